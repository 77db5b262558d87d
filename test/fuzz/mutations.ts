/** Arbitraries of damaged files, for fast-check. */
import * as fc from 'fast-check';

type Mutation = (bytes: Uint8Array) => Uint8Array;

/** Where a mutation happens is drawn as any number and taken modulo the length of what is there by then. */
const anywhere = fc.nat(2 ** 31 - 1);

/** Integers at the edges of what fields, doubles and typed arrays hold. */
const EXTREMES: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xfffffffen,
  0xffffffffn,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n - 1n,
  2n ** 53n + 1n,
  2n ** 60n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** What numbers in text become. */
const EXTREME_DIGITS = [
  '0',
  '-1',
  '-0',
  '1.5',
  '1e309',
  '1e-400',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '9'.repeat(400),
];

const flipBit: fc.Arbitrary<Mutation> = fc.tuple(anywhere, fc.nat(7)).map(([at, bit]) => (bytes) => {
  if (bytes.length === 0) return bytes;
  const copy = Uint8Array.from(bytes);
  const index = at % copy.length;
  copy[index] = (copy[index] ?? 0) ^ (1 << bit);
  return copy;
});

const setByte: fc.Arbitrary<Mutation> = fc.tuple(anywhere, fc.nat(255)).map(([at, value]) => (bytes) => {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0) copy[at % copy.length] = value;
  return copy;
});

const cut: fc.Arbitrary<Mutation> = anywhere.map((at) => (bytes) => bytes.slice(0, at % (bytes.length + 1)));

const remove: fc.Arbitrary<Mutation> = fc.tuple(anywhere, fc.nat(64)).map(
  ([at, length]) =>
    (bytes) =>
      spliced(bytes, at, length, new Uint8Array(0)),
);

const repeat: fc.Arbitrary<Mutation> = fc
  .tuple(anywhere, fc.nat(512), fc.integer({ min: 1, max: 4 }))
  .map(([at, length, times]) => (bytes) => {
    const start = at % (bytes.length + 1);
    const piece = bytes.slice(start, start + length);
    return spliced(bytes, start, 0, Buffer.concat(Array.from({ length: times }, () => piece)));
  });

/** An extreme integer of some width, in either byte order. */
const setInteger: fc.Arbitrary<Mutation> = fc
  .record({
    at: anywhere,
    width: fc.constantFrom(1, 2, 4, 8),
    little: fc.boolean(),
    value: fc.constantFrom(...EXTREMES),
  })
  .map(({ at, width, little, value }) => (bytes) => {
    const copy = Uint8Array.from(bytes);
    if (copy.length < width) return copy;
    writeInteger(copy, at % (copy.length - width + 1), { width, little, value });
    return copy;
  });

/** A length field made larger or smaller: an integer that is at most the size of the file, so probably a length. */
const changeLength: fc.Arbitrary<Mutation> = fc
  .record({
    at: anywhere,
    width: fc.constantFrom(1, 2, 4, 8),
    little: fc.boolean(),
    change: fc.constantFrom(-1n, 1n, 2n, 7n, 8n, 255n, 512n, 65536n),
  })
  .map(({ at, width, little, change }) => (bytes) => {
    const copy = Uint8Array.from(bytes);
    const places = copy.length - width + 1;
    for (let tried = 0; tried < Math.min(places, 64); tried++) {
      const place = (at + tried) % places;
      const value = readInteger(copy, place, { width, little });
      if (value === 0n || value > BigInt(copy.length)) continue;
      writeInteger(copy, place, { width, little, value: value + change });
      break;
    }
    return copy;
  });

/** Digits in text replaced by a number at some edge. */
const setDigits: fc.Arbitrary<Mutation> = fc
  .tuple(anywhere, fc.constantFrom(...EXTREME_DIGITS))
  .map(([at, digits]) => (bytes) => {
    const text = Buffer.from(bytes).toString('latin1');
    const runs = [...text.matchAll(/-?\d+(?:\.\d+)?/g)];
    const run = runs[at % Math.max(1, runs.length)];
    if (run === undefined) return bytes;
    return spliced(bytes, run.index, run[0].length, Buffer.from(digits));
  });

/** A piece of another file, or a word of the format, put anywhere. */
const insert = (pieces: readonly Uint8Array[]): fc.Arbitrary<Mutation> =>
  fc
    .record({
      at: anywhere,
      piece: fc.nat(pieces.length - 1),
      from: anywhere,
      length: fc.nat(256),
      over: fc.boolean(),
    })
    .map(({ at, piece, from, length, over }) => (bytes) => {
      const source = pieces[piece] ?? new Uint8Array(0);
      const start = source.length <= 32 ? 0 : from % source.length;
      const inserted = source.slice(start, start + Math.max(length, 32));
      return spliced(bytes, at, over ? inserted.length : 0, inserted);
    });

/**
 * Damaged files: one of `seeds` after one to six mutations.
 * @param words of the format, which random bytes would never make
 */
export function mutated(
  seeds: readonly Uint8Array[],
  words: readonly Uint8Array[] = [],
): fc.Arbitrary<Uint8Array> {
  const mutation = fc.oneof(
    flipBit,
    setByte,
    cut,
    remove,
    repeat,
    setInteger,
    changeLength,
    setDigits,
    insert(seeds),
    ...(words.length === 0 ? [] : [insert(words)]),
  );
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([seed, mutations]) => mutations.reduce((bytes, mutate) => mutate(bytes), seed));
}

/** Bytes with `removed` of them at a place (modulo the length) replaced. */
function spliced(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const start = at % (bytes.length + 1);
  return Buffer.concat([bytes.subarray(0, start), inserted, bytes.subarray(start + removed)]);
}

interface IntegerForm {
  readonly width: number;
  readonly little: boolean;
}

function readInteger(bytes: Uint8Array, at: number, { width, little }: IntegerForm): bigint {
  const field = [...bytes.subarray(at, at + width)];
  return (little ? field.toReversed() : field).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function writeInteger(
  bytes: Uint8Array,
  at: number,
  { width, little, value }: IntegerForm & { readonly value: bigint },
): void {
  for (let index = 0; index < width; index++) {
    const byte = Number((value >> BigInt(8 * index)) & 0xffn);
    bytes[at + (little ? index : width - 1 - index)] = byte;
  }
}
