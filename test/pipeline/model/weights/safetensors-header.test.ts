import { describe, expect, it } from 'vitest';
import { readSafetensors } from '../../../../src/pipeline/model/weights/safetensors.ts';
import {
  expectRefusal,
  join,
  refusal,
  safetensorsFile as file,
  tensorInfo as info,
  uint64,
} from './support.ts';

describe('the header of safetensors', () => {
  const four = new Uint8Array(4);
  const hostile: [name: string, bytes: Uint8Array, message: RegExp][] = [
    ['no header length', new Uint8Array(7), /at least 8 bytes, got 7/],
    [
      'a header longer than 100 MB',
      join(uint64(100_000_001), four),
      /at most 100000000 bytes, got 100000001/,
    ],
    ['a header length of 2^64 - 1', join(uint64(2n ** 64n - 1n), four), /got 18446744073709551615/],
    ['a header longer than the file', join(uint64(5), four), /header of 5 bytes, but only 4 bytes follow/],
    ['no JSON', file('{"t":'), /to be JSON/],
    ['an open string', file('{"t'), /to be JSON/],
    ['a bad escape in a name', file('{"\\x":1}'), /to be JSON/],
    ['an empty header', file(''), /to be JSON/],
    ['an array', file('[]'), /a JSON object/],
    ['bytes that are not UTF-8', file(Buffer.from([0x7b, 0xff, 0x7d])), /UTF-8/],
    ['deep nesting', file(`{"t":${'['.repeat(200_000)}`), /at most 3 nested levels/],
    ['metadata that is not an object', file('{"__metadata__":[]}'), /__metadata__ to be an object/],
    [
      'metadata that is not text',
      file('{"__metadata__":{"a":1}}'),
      /__metadata__ "a" to be a string, got "1"/,
    ],
    ['a tensor that is not an object', file('{"t":3}'), /tensor "t" to be an object/],
    ['no dtype', file('{"t":{"shape":[],"data_offsets":[0,4]}}', four), /dtype/],
    ['an unknown dtype', file(`{"t":${info('F8_E4M3', [4], [0, 4])}}`, four), /dtype.*F8_E4M3/],
    ['a dtype of Object.prototype', file(`{"t":${info('toString', [4], [0, 4])}}`, four), /dtype/],
    ['complex numbers', file(`{"t":${info('C64', [0], [0, 0])}}`), /dtype/],
    ['a negative size', file(`{"t":${info('F32', [-1], [0, 4])}}`, four), /shape of sizes/],
    ['a fractional size', file(`{"t":${info('F32', [0.5], [0, 2])}}`, four), /shape of sizes/],
    [
      'a product that overflows',
      file(`{"t":${info('F32', [2 ** 40, 2 ** 40, 0], [0, 0])}}`),
      /shape of sizes/,
    ],
    ['sizes that are text', file(`{"t":${info('F32', ['1'], [0, 4])}}`, four), /shape of sizes/],
    ['a span that is not the shape', file(`{"t":${info('F32', [2], [0, 4])}}`, four), /span 8 bytes.*got 4/],
    ['one offset', file(`{"t":${info('F32', [1], [0])}}`, four), /offsets/],
    ['three offsets', file(`{"t":${info('F32', [1], [0, 4, 4])}}`, four), /offsets/],
    ['offsets in reverse', file(`{"t":${info('F32', [1], [4, 0])}}`, four), /offsets/],
    ['a negative offset', file(`{"t":${info('F32', [1], [-4, 0])}}`, four), /offsets/],
    ['data that is cut off', file(`{"t":${info('F32', [2], [0, 8])}}`, four), /expected 8 bytes.*got 4/],
    ['data that nothing describes', file('{}', four), /expected 0 bytes.*got 4/],
    ['a gap at the start', file(`{"t":${info('F32', [0], [4, 4])}}`, four), /"t" leaves a gap/],
    [
      'a gap between tensors',
      file(`{"a":${info('U8', [1], [0, 1])},"b":${info('U8', [1], [3, 4])}}`, four),
      /"b" leaves a gap/,
    ],
    [
      'tensors that overlap',
      file(`{"a":${info('F32', [1], [0, 4])},"b":${info('U8', [2], [2, 4])}}`, four),
      /"b" overlaps/,
    ],
    [
      'a duplicate tensor',
      file(`{"a":${info('F32', [1], [0, 4])},"a":${info('F32', [1], [0, 4])}}`, four),
      /"a" twice/,
    ],
    [
      'a duplicate tensor, spelled differently',
      file(`{"a":${info('F32', [1], [0, 4])},"\\u0061" :${info('F32', [1], [0, 4])}}`, four),
      /"a" twice/,
    ],
    [
      'a duplicate field',
      file('{"a":{"dtype":"F32","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', four),
      /twice/,
    ],
    ['duplicate metadata', file('{"__metadata__":{},"__metadata__":{"a":"b"}}'), /"__metadata__" twice/],
  ];
  it.each(hostile)('refuses %s', (_, bytes, message) => {
    expectRefusal(() => readSafetensors(bytes, 'evil.safetensors'), 'MODEL_CORRUPT', message);
    expect(refusal(() => readSafetensors(bytes, 'evil.safetensors')).message).toMatch(/^evil\.safetensors: /);
  });

  it('keeps messages short and free of control characters', () => {
    const name = JSON.stringify(`\u001b[31m\u009b\u202e${'x'.repeat(100_000)}`);
    const { message } = refusal(() => readSafetensors(file(`{${name}:1}`), 'evil'));
    expect(message.length).toBeLessThan(300);
    expect(message).not.toMatch(/[\p{Cc}\u202e]/u);
  });
});
