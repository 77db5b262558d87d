import { describe, expect, it } from 'vitest';
import { checkDeltas, checkRuns, checkSharedTexts } from '../../../src/pipeline/source/parquet-runs.ts';

const viewOf = (bytes: readonly number[]): DataView => new DataView(Uint8Array.from(bytes).buffer);

describe('checkRuns', () => {
  const check = (bytes: readonly number[], width: number, values: number): void =>
    checkRuns(viewOf(bytes), 0, bytes.length, width, values);

  it('takes runs, packed groups, and padding after the last value', () => {
    expect(() => check([20, 1], 1, 10)).not.toThrow();
    expect(() => check([3, 0xff, 4, 1], 1, 10)).not.toThrow();
    expect(() => check([3, 0xff], 1, 5)).not.toThrow();
  });

  it.each([
    ['a run of a billion values', [0x80, 0x80, 0x80, 0x80, 0x08, 1], 1, 2, /a run has 1073741824 values/],
    ['groups of a billion values', [0x81, 0x80, 0x80, 0x80, 0x08, 1], 0, 2, /values/],
    ['runs that end too early', [4, 1], 1, 10, /end within/],
    ['empty runs only', [0, 0, 0, 0], 0, 10, /ends before its values|end within/],
    ['values of 40 bits', [4, 1, 1, 1, 1, 1], 40, 2, /packed in 40 bits/],
  ])('refuses %s', (_, bytes, width, values, message) => {
    expect(() => check(bytes, width, values)).toThrow(message);
  });
});

/** 128 values in 4 pieces, none of them packed in any bits: all equal to the first. */
const equal = (values: number, first: number): number[] => [0x80, 0x01, 4, values, first * 2, 0, 0, 0, 0, 0];

describe('checkDeltas', () => {
  it('says where they end', () => {
    expect(checkDeltas(viewOf([...equal(100, 5), 0xff]), 0, 100)).toBe(10);
  });

  it.each([
    ['minus one piece', [0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f, 9, 0, 0, 0, 0]],
    ['no piece', [0x80, 0x01, 0, 9, 0, 0, 0, 0]],
    ['no values', [0, 4, 9, 0, 0, 0, 0]],
    ['pieces of a fraction', [3, 2, 9, 0, 0, 0, 0]],
  ])('refuses a block with %s', (_, bytes) => {
    expect(() => checkDeltas(viewOf(bytes), 0, 9)).toThrow(/a block of deltas has/);
  });

  it('refuses deltas of 65 bits, and an early end', () => {
    expect(() => checkDeltas(viewOf([0x80, 0x01, 4, 9, 0, 0, 65, 0, 0, 0]), 0, 9)).toThrow(/65 bits/);
    expect(() => checkDeltas(viewOf([0x80, 0x01, 4, 9, 0, 0]), 0, 9)).toThrow(RangeError);
  });
});

describe('checkSharedTexts', () => {
  const texts = [...equal(100, 3), ...equal(100, 2)];

  it('counts what texts have when they are written out', () => {
    expect(() => checkSharedTexts(viewOf(texts), 0, 100, 500)).not.toThrow();
    expect(() => checkSharedTexts(viewOf(texts), 0, 100, 499)).toThrow(/500 bytes of text, at most 499/);
  });

  it('refuses negative lengths', () => {
    const negative = [0x80, 0x01, 4, 100, 3, 0, 0, 0, 0, 0];
    expect(() => checkSharedTexts(viewOf([...negative, ...equal(100, 2)]), 0, 100, 500)).toThrow(
      /negative length/,
    );
  });
});
