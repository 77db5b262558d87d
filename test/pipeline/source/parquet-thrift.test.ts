import { describe, expect, it } from 'vitest';
import { checkStruct } from '../../../src/pipeline/source/parquet-thrift.ts';

const check = (...bytes: number[]): number => checkStruct(new DataView(Uint8Array.from(bytes).buffer), 0);

describe('checkStruct', () => {
  it.each([
    ['nothing', [0], 1],
    ['booleans, which have no bytes', [0x11, 0x12, 0], 3],
    [
      'numbers of every length',
      [0x13, 7, 0x15, 0x80, 0x01, 0x16, 0xff, 0xff, 0x01, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      19,
    ],
    ['text', [0x18, 2, 0x61, 0x62, 0], 5],
    ['a field with a number of its own', [0x05, 0x80, 0x01, 2, 0], 5],
    ['lists, of booleans and of structures', [0x19, 0x21, 1, 0, 0x19, 0x2c, 0, 0, 0], 9],
    ['what follows is left alone', [0x1c, 0, 0, 0xff], 3],
  ])('walks %s', (_, bytes, end) => {
    expect(check(...bytes)).toBe(end);
  });

  it.each([
    ['no end', [0x11], /end within/],
    ['text past the end', [0x18, 9, 0], /end within/],
    ['text of 2^63 bytes', [0x18, ...Array<number>(9).fill(0xff), 1, 0], /end within/],
    ['a number of eleven bytes', [0x16, ...Array<number>(10).fill(0xff), 1, 0], /too long/],
    [
      'a list of 2^32 elements',
      [0x19, 0xf9, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
      /a list has 4294967295 elements/,
    ],
    ['a map', [0x1b, 0, 0], /unknown type 11/],
    ['structures nested without end', Array<number>(200).fill(0x1c), /nested too deep/],
    ['lists nested without end', [0x19, ...Array<number>(200).fill(0x19)], /nested too deep/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => check(...bytes)).toThrow(message);
  });
});
