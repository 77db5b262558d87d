import { describe, expect, it } from 'vitest';
import { endOfValues, readFirstDirectory, readValue } from '../../../src/pipeline/decode/tiff-directory.ts';
import { findTruncation } from '../../../src/pipeline/decode/truncation.ts';

interface Layout {
  readonly littleEndian: boolean;
  readonly big: boolean;
}

/** A TIFF of one strip of 10 bytes at its end, and three 16-bit numbers that do not fit into a classic entry. */
function makeDirectory({ littleEndian, big }: Layout): Uint8Array {
  const view = new DataView(new ArrayBuffer(200));
  const offset = (at: number, value: number) =>
    big ? view.setBigUint64(at, BigInt(value), littleEndian) : view.setUint32(at, value, littleEndian);
  view.setUint16(0, littleEndian ? 0x4949 : 0x4d4d);
  view.setUint16(2, big ? 43 : 42, littleEndian);
  if (big) view.setUint16(4, 8, littleEndian);
  const start = 16;
  offset(big ? 8 : 4, start);
  if (big) view.setBigUint64(start, 3n, littleEndian);
  else view.setUint16(start, 3, littleEndian);
  const entry = (index: number, tag: number, type: number, count: number) => {
    const at = start + (big ? 8 : 2) + index * (big ? 20 : 12);
    view.setUint16(at, tag, littleEndian);
    view.setUint16(at + 2, type, littleEndian);
    offset(at + 4, count);
    return at + (big ? 12 : 8);
  };
  const bits = entry(0, 258, 3, 3);
  if (!big) view.setUint32(bits, 150, littleEndian);
  for (let index = 0; index < 3; index++)
    view.setUint16((big ? bits : 150) + index * 2, 8 + index, littleEndian);
  offset(entry(1, 273, big ? 16 : 4, 1), 190);
  view.setUint16(entry(2, 279, 3, 1), 10, littleEndian);
  return new Uint8Array(view.buffer);
}

describe.each([
  { littleEndian: true, big: false },
  { littleEndian: false, big: false },
  { littleEndian: true, big: true },
  { littleEndian: false, big: true },
])('TIFF %o', (layout) => {
  it('reads values inside and outside the entry', () => {
    const directory = readFirstDirectory(makeDirectory(layout));
    const bits = directory?.entries.get(258);
    const strips = directory?.entries.get(273);
    expect(directory?.entries.size).toBe(3);
    if (directory === undefined || bits === undefined || strips === undefined) return;
    expect([0, 1, 2, 3].map((index) => readValue(directory, bits, index))).toEqual([8, 9, 10, undefined]);
    expect(readValue(directory, strips, 0)).toBe(190);
    expect(endOfValues(bits)).toBe(bits.position + 6);
  });

  it('knows at which byte the image is complete', () => {
    const bytes = makeDirectory(layout);
    expect(findTruncation('tiff', bytes)).toBeUndefined();
    expect(findTruncation('tiff', bytes.subarray(0, 199))).toBe('the end of strip or tile 1 of 1');
    expect(findTruncation('tiff', bytes.subarray(0, 30))).toBe('its directory');
    expect(findTruncation('tiff', bytes.subarray(0, 6))).toBe('its directory');
  });
});
