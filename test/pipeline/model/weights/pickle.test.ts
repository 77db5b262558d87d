import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../../src/contract/errors.ts';
import { readPickle } from '../../../../src/pipeline/model/weights/pickle.ts';
import { PickleTuple } from '../../../../src/pipeline/model/weights/pickle-values.ts';
import type { PickleValue } from '../../../../src/pipeline/model/weights/pickle-values.ts';
import { TorchHost } from '../../../../src/pipeline/model/weights/torch-host.ts';
import {
  APPEND,
  APPENDS,
  BINGET0,
  BINPERSID,
  BINPUT0,
  BUILD,
  bytes,
  EMPTY_DICT,
  EMPTY_LIST,
  EMPTY_TUPLE,
  expectRefusal,
  global,
  int,
  join,
  MARK,
  NEWOBJ,
  NONE,
  pickled,
  REDUCE,
  SETITEM,
  STACK_GLOBAL,
  tensor,
  text,
  tuple,
  TUPLE1,
  TUPLE2,
  uint32,
  uint64,
} from './support.ts';

const read = (...parts: Uint8Array[]): PickleValue =>
  readPickle(pickled(...parts), 0, new TorchHost('p'), 'p').value;

describe('readPickle', () => {
  it.each<[string, Uint8Array, PickleValue]>([
    ['None', NONE, null],
    ['booleans', join(bytes(0x88, 0x89), TUPLE2), new PickleTuple([true, false])],
    ['BININT', bytes(0x4a, 0xfe, 0xff, 0xff, 0xff), -2],
    ['BININT1', bytes(0x4b, 0xff), 255],
    ['BININT2', bytes(0x4d, 0xff, 0xff), 65535],
    ['LONG1 of no bytes', bytes(0x8a, 0), 0],
    ['LONG1, negative', bytes(0x8a, 1, 0x80), -128],
    ['LONG1 beyond 2^53', bytes(0x8a, 8, 1, 0, 0, 0, 0, 0, 0, 0x40), 2n ** 62n + 1n],
    ['LONG4', int(-(2 ** 40)), -(2 ** 40)],
    ['BINFLOAT', bytes(0x47, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a), 0.1],
    ['SHORT_BINSTRING', bytes(0x55, 1, 0x61), 'a'],
    ['BINSTRING', bytes(0x54, 1, 0, 0, 0, 0x61), 'a'],
    ['SHORT_BINUNICODE', bytes(0x8c, 2, 0xc3, 0xa9), 'é'],
    ['BINUNICODE', text('\ufeffé'), '\ufeffé'],
    ['BINUNICODE8', join(bytes(0x8d), uint64(1), bytes(0x61)), 'a'],
    [
      'empty containers',
      tuple(EMPTY_LIST, EMPTY_DICT, EMPTY_TUPLE),
      new PickleTuple([[], new Map(), new PickleTuple([])]),
    ],
    ['TUPLE3', join(int(1), int(2), int(3), bytes(0x87)), new PickleTuple([1, 2, 3])],
    ['APPEND and APPENDS', join(EMPTY_LIST, int(1), APPEND, MARK, int(2), int(3), APPENDS), [1, 2, 3]],
    [
      'SETITEM, twice for a key',
      join(EMPTY_DICT, int(1), NONE, SETITEM, int(1), int(2), SETITEM),
      new Map([[1, 2]]),
    ],
    ['the memo', join(text('a'), BINPUT0, BINGET0, TUPLE2), new PickleTuple(['a', 'a'])],
    ['MEMOIZE', join(text('a'), bytes(0x94), BINGET0, TUPLE2), new PickleTuple(['a', 'a'])],
    [
      'LONG_BINPUT and LONG_BINGET',
      join(int(7), bytes(0x72), uint32(0xffffffff), bytes(0x6a), uint32(0xffffffff), TUPLE2),
      new PickleTuple([7, 7]),
    ],
    ['FRAME', join(bytes(0x95), uint64(2), NONE), null],
    [
      'an OrderedDict with attributes',
      join(global('collections', 'OrderedDict'), EMPTY_TUPLE, REDUCE, EMPTY_DICT, BUILD),
      new Map(),
    ],
    [
      'STACK_GLOBAL',
      join(text('torch'), text('Size'), STACK_GLOBAL, tuple(tuple(int(2))), REDUCE),
      new PickleTuple([2]),
    ],
    ['torch.device', join(global('torch', 'device'), tuple(text('cuda'), int(1)), REDUCE), 'cuda:1'],
  ])('reads %s', (_, opcodes, value) => {
    expect(read(opcodes)).toEqual(value);
  });

  it('starts where it is told and says where it ended', () => {
    const two = join(bytes(0xff), pickled(int(1)), pickled(int(2)));
    const first = readPickle(two, 1, new TorchHost('p'), 'p');
    expect(first.value).toBe(1);
    expect(readPickle(two, first.end, new TorchHost('p'), 'p')).toEqual({ value: 2, end: two.byteLength });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty stack', bytes(), /a value on the stack/],
    ['a tuple of values below the mark', join(int(1), MARK, TUPLE1), /1 values on the stack/],
    ['a value below the mark', join(EMPTY_LIST, int(1), MARK, APPEND), /a value on the stack/],
    ['no mark', APPENDS, /a mark/],
    ['a memo entry that is not set', BINGET0, /memo entry 0/],
    [
      'items for a list',
      join(EMPTY_LIST, MARK, int(1), int(2), bytes(0x75)),
      /a dict to set items of, got list/,
    ],
    ['a key without a value', join(EMPTY_DICT, MARK, int(1), bytes(0x75)), /a value for each key/],
    ['an element for a dict', join(EMPTY_DICT, int(1), APPEND), /a list to append to, got dict/],
    [
      'arguments that are no tuple',
      join(global('torch', 'Size'), int(1), REDUCE),
      /a tuple of arguments, got int/,
    ],
    ['attributes of a number', join(int(1), EMPTY_DICT, BUILD), /takes attributes, got int/],
    ['a persistent id that is no storage', join(text('x'), BINPERSID), /describes a storage/],
    ['a protocol of the future', bytes(0x80, 6), /protocol up to 5, got 6/],
    ['an unknown opcode', bytes(0x00), /opcode 0x00 at byte 2/],
    ['a text opcode', Buffer.from('I1\n'), /opcode 0x49/],
    ['text that is not UTF-8', bytes(0x8c, 1, 0xff), /UTF-8 text of 1 bytes/],
    ['text longer than the pickle', bytes(0x8c, 200, 0x61), /200 more bytes/],
    [
      'text of 4 GB',
      join(bytes(0x58), uint32(0xffffffff)),
      /strings of at most 1048576 bytes, got 4294967295/,
    ],
    ['text of 2^63 bytes', join(bytes(0x8d), uint64(2n ** 63n)), /expected a size/],
    ['an integer of 2 GB', join(bytes(0x8b), uint32(2 ** 31)), /integers of at most 255 bytes/],
    ['a frame of 2^52 bytes', join(bytes(0x95), uint64(2n ** 52n)), /a frame of 4503599627370496 bytes/],
    ['a global without an end', Buffer.from('cos'), /a line of at most/],
    ['a global of numbers', join(int(1), int(2), STACK_GLOBAL), /names of a global, got int and int/],
  ])('refuses %s', (_, opcodes, message) => {
    expectRefusal(() => read(opcodes), 'MODEL_CORRUPT', message);
  });

  it('refuses a pickle without an end', () => {
    expectRefusal(
      () => readPickle(bytes(0x80, 2, 0x4e), 0, new TorchHost('p'), 'p'),
      'MODEL_CORRUPT',
      /1 more bytes/,
    );
  });

  it('reads or refuses any opcodes, and never anything else', () => {
    const opcode = fc.constantFrom(
      MARK,
      NONE,
      EMPTY_LIST,
      EMPTY_DICT,
      EMPTY_TUPLE,
      TUPLE1,
      TUPLE2,
      APPEND,
      APPENDS,
      SETITEM,
      REDUCE,
      NEWOBJ,

      BUILD,
      BINPERSID,
      STACK_GLOBAL,
      BINPUT0,
      BINGET0,
      bytes(0x74),
      bytes(0x75),
      bytes(0x94),
      bytes(0x87),

      text('torch'),
      text('Size'),
      int(3),
      tensor(),
      global('collections', 'OrderedDict'),
      global('torch', 'int8'),
      global('torch._utils', '_rebuild_parameter'),
      global('torch', 'device'),
    );
    let readable = 0;
    fc.assert(
      fc.property(fc.array(opcode, { maxLength: 40 }), (opcodes) => {
        try {
          read(NONE, ...opcodes);
          readable++;
        } catch (error) {
          expect(error).toBeInstanceOf(ImagemillError);
        }
      }),
      { numRuns: 3000 },
    );
    expect(readable).toBeGreaterThan(10);
  });
});
