import { ImagemillError } from '../contract/errors.ts';
import type { ByteRange } from './object-store.ts';

/** First byte and the byte after the last one. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * The part of an object of `size` bytes that a range covers. A range that reaches past the end is cut there, and
 * one that starts behind it is empty, as HTTP has it for the former and every store here for both.
 * @throws ImagemillError INTERNAL for a range that is not made of whole numbers from 0 on
 */
export function spanOf(range: ByteRange | undefined, size: number): ByteSpan {
  if (range === undefined) return { start: 0, end: size };
  checkRange(range);
  const start = Math.min(range.offset, size);
  return { start, end: Math.min(start + range.length, size) };
}

/** @throws ImagemillError INTERNAL for a range that is not made of whole numbers from 0 on */
export function checkRange(range: ByteRange): void {
  const { offset, length } = range;
  if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0) return;
  throw new ImagemillError(
    'INTERNAL',
    `expected a byte range of whole numbers from 0 on, got offset ${offset} and length ${length}`,
  );
}
