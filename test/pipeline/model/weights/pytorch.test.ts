import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../../src/contract/errors.ts';
import { readPyTorch } from '../../../../src/pipeline/model/weights/pytorch.ts';
import { elementCount } from '../../../../src/pipeline/model/weights/state-dict.ts';
import type { StateDict } from '../../../../src/pipeline/model/weights/state-dict.ts';
import {
  archive,
  bytes,
  damaged,
  dict,
  expectRefusal,
  float32,
  global,
  int,
  join,
  legacy,
  NONE,
  reference,
  refusal,
  storageId,
  tensor,
  text,
  tuple,
} from './support.ts';

interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly data: readonly (number | 'nan' | 'inf' | '-inf')[];
}

const expected = JSON.parse(Buffer.from(reference('expected.json')).toString()) as Record<
  string,
  Record<string, ExpectedTensor>
>;

const NAMED_NUMBERS = { nan: NaN, inf: Infinity, '-inf': -Infinity };

function expectedTensors(name: string): StateDict {
  const tensors = Object.entries(expected[name] ?? {}).map(([key, { shape, data }]) => {
    const values = data.map((value) => (typeof value === 'string' ? NAMED_NUMBERS[value] : value));
    return [key, { shape, data: Float32Array.from(values) }] as const;
  });
  return new Map(tensors);
}

const four = float32(1, 2, 3, 4);
const names = (tensors: StateDict): string[] => [...tensors.keys()];
const values = (tensors: StateDict, name: string): number[] => [...(tensors.get(name)?.data ?? [])];

describe('readPyTorch', () => {
  it('has references of both formats', () => {
    expect(Object.keys(expected)).toHaveLength(14);
  });

  it.each(Object.keys(expected))('reads %s as PyTorch does', (name) => {
    const wanted = expectedTensors(name);
    expect(wanted.size).toBeGreaterThan(1);
    expect(readPyTorch(reference(name), name)).toEqual(wanted);
  });

  it('takes the state dict of a checkpoint, without the wrapper’s prefix, optimizer or other tensors', () => {
    const tensors = readPyTorch(reference('checkpoint.zip.pth'), 'checkpoint');
    expect(names(tensors)).toEqual([
      '0.weight',
      '0.bias',
      '1.weight',
      '1.bias',
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
      '2.weight',
      '2.bias',
    ]);
    expect(tensors.get('1.num_batches_tracked')).toEqual({ shape: [], data: new Float32Array([0]) });
  });

  it('views the file where float32 is aligned and contiguous, and copies elsewhere', () => {
    const file = reference('views.zip.pth');
    const tensors = readPyTorch(file, 'views');
    const viewed = names(tensors).filter((name) => tensors.get(name)?.data.buffer === file.buffer);
    expect(viewed).toEqual(['whole', 'row', 'scalar', 'unit_axis', 'same_again']);
    expect(tensors.get('same_again')?.data.byteOffset).toBe(tensors.get('whole')?.data.byteOffset);
  });

  it('reads archives that do not start at an aligned address', () => {
    const file = reference('views.zip.pth');
    const shifted = new Uint8Array(file.byteLength + 1);
    shifted.set(file, 1);
    expect(readPyTorch(shifted.subarray(1), 'shifted')).toEqual(expectedTensors('views.zip.pth'));
  });

  it('reads archives of big-endian machines', () => {
    const storage = new Uint8Array(Buffer.from('3f800000c0000000', 'hex'));
    const half = new Uint8Array(Buffer.from('3c00', 'hex'));
    const object = dict(
      text('a'),
      tensor({ length: 2, shape: [2] }),
      text('b'),
      tensor({ key: '1', storageType: 'HalfStorage', length: 1, shape: [1] }),
    );
    const tensors = readPyTorch(archive(object, { 0: storage, 1: half }, { byteOrder: 'big' }), 'big');
    expect([values(tensors, 'a'), values(tensors, 'b')]).toEqual([[1, -2], [1]]);
    expectRefusal(
      () => readPyTorch(archive(object, { 0: storage, 1: half }, { byteOrder: 'middle' }), 'odd'),
      'MODEL_CORRUPT',
      /byte order little or big, got "middle"/,
    );
  });

  it('reads zip64 archives', () => {
    const file = archive(dict(text('w'), tensor()), { 0: four }, { zip64: true });
    expect(values(readPyTorch(file, 'zip64'), 'w')).toEqual([1, 2, 3, 4]);
  });

  it('reads dtypes without a storage type of their own', () => {
    const untyped = join(
      global('torch._utils', '_rebuild_tensor_v3'),
      tuple(
        storageId({ storageType: 'UntypedStorage', length: 4 }),
        int(1),
        tuple(int(1)),
        tuple(int(1)),
        NONE,
        NONE,
        global('torch', 'uint16'),
      ),
      bytes(0x52),
    );
    const file = archive(dict(text('w'), untyped), { 0: new Uint8Array([1, 0, 0xff, 0xff]) });
    expect(values(readPyTorch(file, 'v3'), 'w')).toEqual([65535]);
  });

  it('reads the storage views of old legacy files', () => {
    const view = tuple(text('view'), int(1), int(2));
    const file = legacy(dict(text('w'), tensor({ view, shape: [2] }), text('v'), tensor({ view: NONE })), [
      ['0', 4, four],
    ]);
    expect(values(readPyTorch(file, 'view'), 'w')).toEqual([2, 3]);
    const outside = tuple(text('view'), int(3), int(2));
    expectRefusal(
      () => readPyTorch(legacy(dict(text('w'), tensor({ view: outside })), [['0', 4, four]]), 'outside'),
      'MODEL_CORRUPT',
      /view of storage "0" to lie within it/,
    );
  });
});

describe('damaged PyTorch files', () => {
  const readable = ['views.zip.pth', 'views.legacy.pth', 'ancient.legacy.pth', 'protocol4.zip.pth'];

  it.each(readable)('every truncation of %s is refused', (name) => {
    const file = reference(name);
    for (let length = 0; length < file.byteLength; length++) {
      expect(refusal(() => readPyTorch(file.subarray(0, length), name)).code).toBe('MODEL_CORRUPT');
    }
  });

  it('no flipped byte of an archive changes a weight unnoticed', () => {
    const file = reference('views.zip.pth');
    const intact = readPyTorch(file.slice(), 'intact');
    const differing: number[] = [];
    for (let at = 0; at < file.byteLength; at++) {
      const copy = file.slice();
      copy[at] = (copy[at] ?? 0) ^ 0xff;
      try {
        const tensors = readPyTorch(copy, 'flipped');
        if (JSON.stringify([...tensors]) !== JSON.stringify([...intact])) differing.push(at);
      } catch (error) {
        expect(error).toBeInstanceOf(ImagemillError);
      }
    }
    expect(differing).toEqual([]);
  });

  it.each([...readable, 'checkpoint.legacy.pth', 'dtypes.legacy.pth'])(
    'damaged copies of %s are read or refused, and never anything else',
    (name) => {
      let refused = 0;
      fc.assert(
        fc.property(damaged(reference(name)), (file) => {
          try {
            for (const { shape, data } of readPyTorch(file, name).values()) {
              expect(elementCount(shape)).toBe(data.length);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(ImagemillError);
            expect((error as ImagemillError).code).toMatch(/^MODEL_(CORRUPT|UNSAFE)$/);
            refused++;
          }
        }),
        { numRuns: 300 },
      );
      expect(refused).toBeGreaterThan(50);
    },
  );

  it('damaged pickles behind valid checksums are read or refused, and never anything else', () => {
    const object = dict(text('w'), tensor({ shape: [2, 2], stride: [1, 2] }), text('model.b'), tensor());
    fc.assert(
      fc.property(damaged(object), (pickle) => {
        try {
          readPyTorch(archive(pickle, { 0: four }), 'm');
        } catch (error) {
          expect(error).toBeInstanceOf(ImagemillError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
