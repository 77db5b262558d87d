import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { ImagemillError } from '../../../../src/contract/errors.ts';
import type { ErrorCode } from '../../../../src/contract/errors.ts';

const REFERENCE = new URL('../../../reference/weights/', import.meta.url);

/** A reference file's bytes at the start of their own buffer, so that alignment within the file is alignment. */
export function reference(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL(name, REFERENCE)));
}

/** The ImagemillError that `action` throws; anything else fails the test. */
export function refusal(action: () => unknown): ImagemillError {
  let result: unknown;
  try {
    result = action();
  } catch (error) {
    expect(error).toBeInstanceOf(ImagemillError);
    return error as ImagemillError;
  }
  return expect.fail(`expected an ImagemillError, got the result ${String(result)}`);
}

export function expectRefusal(action: () => unknown, code: ErrorCode, message: RegExp): void {
  const error = refusal(action);
  expect({ code: error.code, message: error.message }).toEqual({
    code,
    message: expect.stringMatching(message),
  });
  expect(error.message).not.toMatch(/\n/);
}

// A small assembler of pickles: names as in CPython's Lib/pickletools.py.

export const bytes = (...values: number[]): Buffer => Buffer.from(values);
export const join = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);

export function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

export function uint64(value: bigint | number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

export const PROTO = bytes(0x80, 2);
export const STOP = bytes(0x2e);
export const MARK = bytes(0x28);
export const NONE = bytes(0x4e);
export const FALSE = bytes(0x89);
export const EMPTY_LIST = bytes(0x5d);
export const EMPTY_DICT = bytes(0x7d);
export const EMPTY_TUPLE = bytes(0x29);
export const TUPLE = bytes(0x74);
export const TUPLE1 = bytes(0x85);
export const TUPLE2 = bytes(0x86);
export const APPEND = bytes(0x61);
export const APPENDS = bytes(0x65);
export const SETITEM = bytes(0x73);
export const SETITEMS = bytes(0x75);
export const REDUCE = bytes(0x52);
export const NEWOBJ = bytes(0x81);
export const BUILD = bytes(0x62);
export const BINPERSID = bytes(0x51);
export const STACK_GLOBAL = bytes(0x93);
export const BINPUT0 = bytes(0x71, 0);
export const BINGET0 = bytes(0x68, 0);

export const text = (value: string): Buffer => {
  const encoded = Buffer.from(value, 'utf8');
  return join(bytes(0x58), uint32(encoded.byteLength), encoded);
};
export const int = (value: number): Buffer =>
  join(bytes(0x8b), uint32(8), uint64(BigInt.asUintN(64, BigInt(value))));
export const tuple = (...items: readonly Uint8Array[]): Buffer => join(MARK, ...items, TUPLE);
export const global = (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`, 'utf8');
export const dict = (...items: readonly Uint8Array[]): Buffer => join(EMPTY_DICT, MARK, ...items, SETITEMS);
export const pickled = (...parts: readonly Uint8Array[]): Buffer => join(PROTO, ...parts, STOP);

export interface TensorParts {
  readonly storageType?: string;
  readonly key?: string;
  readonly length?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly stride?: readonly number[];
  /** The sixth element of a legacy persistent id. */
  readonly view?: Uint8Array;
}

export function storageId({
  storageType = 'FloatStorage',
  key = '0',
  length = 4,
  view,
}: TensorParts): Buffer {
  const id = [text('storage'), global('torch', storageType), text(key), text('cpu'), int(length)];
  return join(tuple(...id, ...(view === undefined ? [] : [view])), BINPERSID);
}

export function tensor(parts: TensorParts = {}): Buffer {
  const { offset = 0, shape = [4], stride = [1] } = parts;
  return join(
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(storageId(parts), int(offset), tuple(...shape.map(int)), tuple(...stride.map(int)), FALSE, NONE),
    REDUCE,
  );
}

export interface ZipOptions {
  readonly zip64?: boolean;
  readonly method?: number;
  readonly flags?: number;
  readonly crc?: number;
  readonly comment?: string;
}

/** An archive as PyTorch lays it out: stored members, sizes in the directory. */
export function zip(
  members: readonly (readonly [name: string, content: Uint8Array])[],
  { zip64 = false, method = 0, flags = 0, crc, comment = '' }: ZipOptions = {},
): Uint8Array<ArrayBuffer> {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const [name, content] of members) {
    const encoded = Buffer.from(name, 'utf8');
    const padding = (64 - ((at + 30 + encoded.byteLength) % 64)) % 64;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(encoded.byteLength, 26);
    local.writeUInt16LE(padding, 28);
    locals.push(local, encoded, Buffer.alloc(padding), Buffer.from(content));
    const header = Buffer.alloc(46);
    const extra = zip64
      ? join(bytes(1, 0, 24, 0), uint64(content.length), uint64(content.length), uint64(at))
      : [];
    header.writeUInt32LE(0x02014b50, 0);
    header.writeUInt16LE(flags, 8);
    header.writeUInt16LE(method, 10);
    header.writeUInt32LE(crc ?? crc32(content), 16);
    header.writeUInt32LE(zip64 ? 0xffffffff : content.length, 20);
    header.writeUInt32LE(zip64 ? 0xffffffff : content.length, 24);
    header.writeUInt16LE(encoded.byteLength, 28);
    header.writeUInt16LE(extra.length, 30);
    header.writeUInt32LE(zip64 ? 0xffffffff : at, 42);
    central.push(header, encoded, Buffer.from(extra));
    at += 30 + encoded.byteLength + padding + content.length;
  }
  const directory = join(...central);
  const zip64End = Buffer.alloc(76);
  zip64End.writeUInt32LE(0x06064b50, 0);
  uint64(44).copy(zip64End, 4);
  uint64(members.length).copy(zip64End, 24);
  uint64(members.length).copy(zip64End, 32);
  uint64(directory.length).copy(zip64End, 40);
  uint64(at).copy(zip64End, 48);
  zip64End.writeUInt32LE(0x07064b50, 56);
  uint64(at + directory.length).copy(zip64End, 64);
  zip64End.writeUInt32LE(1, 72);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : members.length, 8);
  end.writeUInt16LE(zip64 ? 0xffff : members.length, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : directory.length, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : at, 16);
  end.writeUInt16LE(comment.length, 20);
  return new Uint8Array(join(...locals, directory, ...(zip64 ? [zip64End] : []), end, Buffer.from(comment)));
}

/** A PyTorch archive with this object and these storages by key. */
export function archive(
  object: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>> = {},
  options: ZipOptions & { readonly byteOrder?: string } = {},
): Uint8Array<ArrayBuffer> {
  const data = Object.entries(storages).map(([key, content]) => [`archive/data/${key}`, content] as const);
  const order =
    options.byteOrder === undefined ? [] : ([['archive/byteorder', Buffer.from(options.byteOrder)]] as const);
  return zip([['archive/data.pkl', pickled(object)], ...order, ...data], options);
}

/** A legacy PyTorch file with this object and these storages. */
export function legacy(
  object: Uint8Array,
  storages: readonly (readonly [key: string, length: number, content: Uint8Array])[] = [],
): Buffer {
  return join(
    Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'),
    pickled(int(1001)),
    pickled(EMPTY_DICT),
    pickled(object),
    pickled(EMPTY_LIST, MARK, ...storages.map(([key]) => text(key)), APPENDS),
    ...storages.flatMap(([, length, content]) => [uint64(length), content]),
  );
}

export const float32 = (...values: number[]): Uint8Array => new Uint8Array(new Float32Array(values).buffer);

/** A safetensors file with this header, not padded. */
export function safetensorsFile(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(),
): Uint8Array {
  const json = Buffer.from(header);
  return join(uint64(json.byteLength), json, data);
}

export const tensorInfo = (dtype: string, shape: unknown, offsets: unknown): string =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xff];

/** A file with some bytes changed, a piece cut out, repeated, or the end missing. */
export function damaged(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  const position = fc.nat(original.byteLength - 1);
  const byte = fc.oneof(fc.constantFrom(...INTERESTING), fc.nat(255));
  const edits = fc.array(fc.tuple(position, fc.array(byte, { minLength: 1, maxLength: 8 })), {
    maxLength: 6,
  });
  const cut = fc.option(fc.tuple(position, position), { freq: 3 });
  const repeat = fc.boolean();
  return fc.tuple(edits, cut, repeat).map(([changes, range, again]) => {
    const copy = original.slice();
    for (const [at, values] of changes) copy.set(values.slice(0, copy.byteLength - at), at);
    if (range === null) return copy;
    const [a, b] = range;
    if (again) return join(copy.subarray(0, Math.max(a, b)), copy.subarray(Math.min(a, b)));
    return join(copy.subarray(0, Math.min(a, b)), copy.subarray(Math.max(a, b)));
  });
}
