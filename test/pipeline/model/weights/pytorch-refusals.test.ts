import { describe, expect, it } from 'vitest';
import { readPyTorch } from '../../../../src/pipeline/model/weights/pytorch.ts';
import {
  archive,
  bytes,
  dict,
  EMPTY_DICT,
  expectRefusal,
  float32,
  global,
  int,
  join,
  legacy,
  NONE,
  pickled,
  reference,
  refusal,
  storageId,
  tensor,
  text,
  tuple,
  uint64,
  zip,
} from './support.ts';

const four = float32(1, 2, 3, 4);

describe('what readPyTorch refuses', () => {
  it.each<[string, RegExp]>([
    ['refused-complex.zip.pth', /"weight" to convert to float32, got complex64/],
    ['refused-complex.legacy.pth', /"weight" to convert to float32, got complex64/],
  ])('%s', (name, message) => {
    expectRefusal(() => readPyTorch(reference(name), name), 'MODEL_CORRUPT', message);
  });

  it('a whole model, with advice', () => {
    const read = (): unknown => readPyTorch(reference('refused-model.zip.pth'), 'm');
    expectRefusal(read, 'MODEL_UNSAFE', /torch\.nn\.modules\.linear\.Linear.*state_dict\(\)/);
  });

  it('a TorchScript program, with advice', () => {
    const read = (): unknown => readPyTorch(reference('refused-torchscript.pt'), 'm');
    expectRefusal(
      read,
      'MODEL_FORMAT_UNKNOWN',
      /TorchScript program; .*torch\.jit\.load\(path\)\.state_dict\(\)/,
    );
  });

  const overlapping = (): Uint8Array => {
    const members = Array.from({ length: 50 }, (_, i) => [`a/data/${i}`, new Uint8Array(64)] as const);
    const keys = members.map((_, i) => tensor({ key: String(i), length: 1000, shape: [1000] }));
    const object = dict(...keys.flatMap((value, i) => [text(String(i)), value]));
    const file = zip([['a/data.pkl', pickled(object)], ...members], { crc: 0 });
    const view = new DataView(file.buffer);
    const { byteLength } = file;
    // Each directory entry claims 4,000 bytes, so that each member runs over those after it.
    for (let at = 0; at < byteLength - 46; at++) {
      const isMember = view.getUint32(at, true) === 0x02014b50 && view.getUint32(at + 24, true) === 64;
      if (isMember) for (const field of [20, 24]) view.setUint32(at + field, 4000, true);
    }
    return file;
  };

  // What PyTorch 2 writes for torch._neg_view(x): the bytes are x, a flag of the tensor says "negated".
  const negated = join(
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(storageId({}), int(0), tuple(int(4)), tuple(int(1)), NONE, NONE, dict(text('neg'), bytes(0x88))),
    bytes(0x52),
  );

  const w = (value: Uint8Array): Uint8Array => dict(text('w'), value);
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /a zip archive or a pickle/],
    ['text', Buffer.from('hello'), /a zip archive or a pickle/],
    ['another pickle', pickled(EMPTY_DICT), /magic number/],
    ['a zip archive without a pickle', zip([['a/b', four]]), /with a data\.pkl/],
    [
      'an archive with two pickles',
      zip([
        ['a/data.pkl', four],
        ['b/data.pkl', four],
      ]),
      /one data\.pkl in the archive, got 2/,
    ],
    ['a compressed archive', archive(w(tensor()), { 0: four }, { method: 8 }), /without compression/],
    ['a storage that is missing', archive(w(tensor())), /expected "archive\/data\/0" in the archive/],
    [
      'a storage that is too short',
      archive(w(tensor({ length: 5 })), { 0: four }),
      /"0" to have 20 bytes, got 16/,
    ],
    ['members that overlap', overlapping(), /members of the archive not to overlap/],
    [
      'a storage of two types',
      archive(dict(text('a'), tensor(), text('b'), tensor({ storageType: 'IntStorage' })), { 0: four }),
      /storage "0" to have one type and one size/,
    ],
    ['a length of a legacy storage', legacy(w(tensor()), [['0', 5, four]]), /"0" to have 4 elements, got 5/],
    [
      'a legacy storage that nothing uses',
      legacy(w(tensor()), [['1', 4, four]]),
      /storages that the pickled object/,
    ],
    ['a legacy storage that is missing', legacy(w(tensor())), /its storage "0" in the file/],
    [
      'a legacy storage that is cut off',
      legacy(w(tensor()), [['0', 4, four]]).subarray(0, -1),
      /16 more bytes/,
    ],
    [
      'a tensor past its storage',
      archive(w(tensor({ offset: 1 })), { 0: four }),
      /within its storage of 16 bytes/,
    ],
    [
      'strides past the storage',
      archive(w(tensor({ shape: [2, 2], stride: [3, 1] })), { 0: four }),
      /within its storage of 16 bytes/,
    ],
    ['lazily negated values', archive(w(negated), { 0: four }), /lazy negation/],
    ['a negative stride', archive(w(tensor({ offset: 3, stride: [-1] })), { 0: four }), /valid offset/],
    ['a negative offset', archive(w(tensor({ offset: -1 })), { 0: four }), /valid offset/],
    ['a negative size', archive(w(tensor({ shape: [-1] })), { 0: four }), /valid offset/],
    ['fewer strides than sizes', archive(w(tensor({ shape: [2, 2] })), { 0: four }), /valid offset/],
    [
      '65 axes',
      archive(w(tensor({ shape: Array(65).fill(1), stride: Array(65).fill(1) })), { 0: four }),
      /valid/,
    ],
    ['a huge storage', archive(w(tensor({ length: 2 ** 53 - 1 })), { 0: four }), /describes a storage/],
    ['a negative storage', archive(w(tensor({ length: -1 })), { 0: four }), /describes a storage/],
    [
      'a shape whose product overflows',
      archive(w(tensor({ shape: [2 ** 30, 2 ** 30], stride: [0, 0] })), { 0: four }),
      /valid offset, shape/,
    ],
    [
      'a few bytes that a stride of 0 repeats without end',
      archive(w(tensor({ shape: [2 ** 40], stride: [0] })), { 0: four }),
      /at most 8 times the size of the file/,
    ],
  ])('%s', (_, file, message) => {
    expectRefusal(() => readPyTorch(file, 'evil.pth'), 'MODEL_CORRUPT', message);
    expect(refusal(() => readPyTorch(file, 'evil.pth')).message).toMatch(/^evil\.pth: /);
  });

  it('many expanded tensors that are too much together', () => {
    const each = tensor({ shape: [2 ** 20], stride: [0] });
    const object = dict(...Array.from({ length: 5 }, (_, i) => [text(`w${i}`), each]).flat());
    expectRefusal(
      () => readPyTorch(archive(object, { 0: four }), 'm'),
      'MODEL_CORRUPT',
      /"w4" and those before/,
    );
  });

  it('storage lengths in a legacy file that are no sizes', () => {
    const file = legacy(w(tensor()), [['0', 4, four]]);
    uint64(2n ** 63n).copy(file, file.byteLength - 24);
    expectRefusal(() => readPyTorch(file, 'm'), 'MODEL_CORRUPT', /expected a size at byte/);
  });
});
