import { spawnSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { titleNeeding } from '../../../support/needs.ts';
import { readSafetensors, writeSafetensors } from '../../../../src/pipeline/model/weights/safetensors.ts';
import { elementCount } from '../../../../src/pipeline/model/weights/state-dict.ts';
import type { WeightTensor } from '../../../../src/pipeline/model/weights/state-dict.ts';
import {
  damaged,
  expectRefusal,
  join,
  reference,
  safetensorsFile as file,
  tensorInfo as info,
} from './support.ts';

const hasPython = spawnSync('python3', ['-c', 'import numpy, safetensors']).status === 0;

function single(dtype: string, count: number, data: Uint8Array): number[] {
  const { tensors } = readSafetensors(file(`{"t":${info(dtype, [count], [0, data.length])}}`, data), 't');
  return [...(tensors.get('t')?.data ?? [])];
}

const python = (script: string, input: string): string => {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script], {
    input,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
};

const sorted = <T>(entries: [string, T][]): [string, T][] =>
  entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

const unicode = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '0', '1', '__proto__', 'constructor', '"', '\\', '\uff5e', '\u{1f600}'),
  },
);

const weightTensor: fc.Arbitrary<WeightTensor> = fc.array(fc.nat(3), { maxLength: 4 }).chain((shape) => {
  const length = elementCount(shape) ?? 0;
  return fc
    .float32Array({ minLength: length, maxLength: length })
    .map((data): WeightTensor => ({ shape, data }));
});

const stateDict = fc
  .uniqueArray(fc.tuple(unicode, weightTensor), { selector: ([name]) => name, maxLength: 6 })
  .map((entries) => new Map(entries));

const metadata = fc.dictionary(unicode, unicode, { maxKeys: 4 });

describe('readSafetensors', () => {
  it('reads every dtype as float32', () => {
    const { tensors, metadata: found } = readSafetensors(reference('mixed.safetensors'), 'mixed');
    expect(found).toEqual({ format: 'pt' });
    expect([...tensors.keys()].sort()).toEqual([
      'bool',
      'float16',
      'float32',
      'float64',
      'int16',
      'int32',
      'int64',
      'int8',
      'uint16',
      'uint32',
      'uint64',
      'uint8',
    ]);
    for (const [name, { shape, data }] of tensors) {
      expect(shape).toEqual([4]);
      expect(data).toEqual(new Float32Array(name === 'bool' ? [0, 1, 1, 1] : [0, 1, 2, 100]));
    }
  });

  it('reads bfloat16, aligned or not, with infinities, NaN and subnormals', () => {
    const data = Buffer.from('803f00c0807f80ffc07f0100', 'hex');
    const expected = [1, -2, Infinity, -Infinity, NaN, 2 ** -133];
    expect(single('BF16', 6, data)).toEqual(expected);
    const shifted = new Uint8Array(join(Buffer.alloc(1), file(`{"t":${info('BF16', [6], [0, 12])}}`, data)));
    for (const start of [0, 1]) {
      const { tensors } = readSafetensors(new Uint8Array(shifted.buffer.slice(1 - start), start), 't');
      expect([...(tensors.get('t')?.data ?? [])]).toEqual(expected);
    }
  });

  it('reads negative integers and rounds doubles and 64-bit integers to nearest', () => {
    expect(single('I8', 2, new Uint8Array(new Int8Array([-128, 127]).buffer))).toEqual([-128, 127]);
    expect(single('I16', 1, new Uint8Array(new Int16Array([-300]).buffer))).toEqual([-300]);
    expect(single('I32', 1, new Uint8Array(new Int32Array([2 ** 24 + 1]).buffer))).toEqual([2 ** 24]);
    expect(single('I64', 1, new Uint8Array(new BigInt64Array([-(2n ** 40n)]).buffer))).toEqual([-(2 ** 40)]);
    expect(single('F64', 2, new Uint8Array(new Float64Array([0.1, 1e300]).buffer))).toEqual([
      Math.fround(0.1),
      Infinity,
    ]);
  });

  it('reads float32 as a view when aligned, as a copy when not', () => {
    const aligned = reference('float32.safetensors');
    const { tensors } = readSafetensors(aligned, 'aligned');
    const shifted = new Uint8Array(aligned.byteLength + 1);
    shifted.set(aligned, 1);
    const copies = readSafetensors(shifted.subarray(1), 'shifted').tensors;
    expect(copies.size).toBe(7);
    expect([...tensors.values()].every(({ data }) => data.buffer === aligned.buffer)).toBe(true);
    expect([...copies.values()].every(({ data }) => data.buffer !== shifted.buffer)).toBe(true);
    expect(copies).toEqual(tensors);
    expect(tensors.get('features.0.weight')?.data[11]).toBe(Math.fround(11 / 7));
    expect(Object.is(tensors.get('features.0.bias')?.data[1], -0)).toBe(true);
    expect(tensors.get('scalar')).toEqual({ shape: [], data: new Float32Array([1.5]) });
  });

  it.skipIf(!hasPython)(
    titleNeeding('python3 with numpy', hasPython, 'converts all 65,536 float16 values as numpy does'),
    () => {
      const halves = new Uint8Array(Uint16Array.from({ length: 0x10000 }, (_, i) => i).buffer);
      const script =
        'import numpy,sys; sys.stdout.write(numpy.arange(65536, dtype="u2").view("f2").astype("f4").tobytes().hex())';
      const expected = new Float32Array(new Uint8Array(Buffer.from(python(script, ''), 'hex')).buffer);
      const { tensors } = readSafetensors(file(`{"t":${info('F16', [0x10000], [0, 0x20000])}}`, halves), 't');
      const data = tensors.get('t')?.data ?? new Float32Array();
      const wrong = [...expected.keys()].filter((bits) => !Object.is(data[bits], expected[bits]));
      expect({ length: data.length, wrong }).toEqual({ length: 0x10000, wrong: [] });
    },
  );

  it('reads or refuses damaged files, and never anything else', () => {
    for (const name of ['mixed.safetensors', 'float32.safetensors']) {
      let refused = 0;
      fc.assert(
        fc.property(damaged(reference(name)), (bytes) => {
          try {
            for (const { shape, data } of readSafetensors(bytes, name).tensors.values()) {
              expect(elementCount(shape)).toBe(data.length);
            }
          } catch (error) {
            expect(error).toHaveProperty('code', 'MODEL_CORRUPT');
            refused++;
          }
        }),
        { numRuns: 500 },
      );
      expect(refused).toBeGreaterThan(100);
    }
  });
});

describe('writeSafetensors', () => {
  it('writes what the reference implementation writes', () => {
    const expected = reference('float32.safetensors');
    const { tensors, metadata: found } = readSafetensors(expected, 'float32');
    const shuffled = new Map([...tensors].reverse());
    expect(Buffer.from(writeSafetensors(shuffled, found))).toEqual(Buffer.from(expected));
  });

  it('gives back names, shapes, bits and metadata', () => {
    fc.assert(
      fc.property(stateDict, metadata, (tensors, texts) => {
        const read = readSafetensors(writeSafetensors(tensors, texts), 'round trip');
        expect(sorted(Object.entries(read.metadata))).toEqual(sorted(Object.entries(texts)));
        expect(new Map(sorted([...read.tensors]))).toEqual(new Map(sorted([...tensors])));
      }),
    );
  });

  it('aligns the data and does not depend on the order of tensors or metadata', () => {
    fc.assert(
      fc.property(stateDict, metadata, (tensors, texts) => {
        const written = writeSafetensors(tensors, texts);
        expect(new DataView(written.buffer).getUint32(0, true) % 8).toBe(0);
        const reversed = Object.fromEntries(Object.entries(texts).reverse());
        expect(writeSafetensors(new Map([...tensors].reverse()), reversed)).toEqual(written);
      }),
    );
  });

  it('writes views of larger arrays', () => {
    const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    const { tensors } = readSafetensors(writeSafetensors(new Map([['t', { shape: [2], data }]])), 'view');
    expect(tensors.get('t')?.data).toEqual(new Float32Array([1, 2]));
  });

  it.skipIf(!hasPython)(
    titleNeeding('python3 with safetensors', hasPython, 'writes the same bytes as Python for any names'),
    () => {
      const samples = fc.sample(stateDict, { numRuns: 60, seed: 7 });
      const input = samples.map((tensors) =>
        [...tensors].map(([name, { shape, data }]) => ({
          name,
          shape,
          hex: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
        })),
      );
      const script = `
import json, sys, numpy
from safetensors.numpy import save, load
for tensors in json.load(sys.stdin):
    arrays = {t["name"]: numpy.frombuffer(bytes.fromhex(t["hex"]), "<f4").reshape(t["shape"]) for t in tensors}
    written = save(arrays)
    load(written)
    print(written.hex())
`;
      const written = samples.map((tensors) => Buffer.from(writeSafetensors(tensors)).toString('hex'));
      expect(written).toEqual(python(script, JSON.stringify(input)).trimEnd().split('\n'));
    },
  );

  it('refuses names that the format cannot hold', () => {
    const one = { shape: [1], data: new Float32Array(1) };
    expectRefusal(() => writeSafetensors(new Map([['__metadata__', one]])), 'MODEL_CORRUPT', /__metadata__/);
    expectRefusal(() => writeSafetensors(new Map([['a\ud800', one]])), 'MODEL_CORRUPT', /valid Unicode/);
    expectRefusal(() => writeSafetensors(new Map(), { a: '\udc00' }), 'MODEL_CORRUPT', /valid Unicode/);
  });

  it('refuses a shape that its data does not have', () => {
    const wrong = new Map([['t', { shape: [2, 3], data: new Float32Array(5) }]]);
    expectRefusal(() => writeSafetensors(wrong), 'INTERNAL', /2 × 3 elements in tensor "t", got 5/);
  });
});
