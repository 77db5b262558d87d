import { describe, expect, it } from 'vitest';
import { convertCmykToRgb, copyCrop, takeOddPixels } from '../../../src/pipeline/decode/pixels.ts';

/** (height, width, 3) with x, y and a constant as channels. */
const coordinates = (width: number, height: number, left = 0, top = 0): Uint8Array =>
  Uint8Array.from({ length: width * height * 3 }, (_, index) => {
    const pixel = Math.floor(index / 3);
    return [left + (pixel % width), top + Math.floor(pixel / width), 200][index % 3] ?? 0;
  });

describe('copyCrop', () => {
  it('cuts the crop out of a larger part that lies anywhere', () => {
    const part = { left: 3, top: 2, width: 9, height: 7 };
    const geometry = { resized: { width: 20, height: 20 }, crop: { width: 4, height: 3 }, origins: [] };
    const target = new Uint8Array(4 * 3 * 3);
    copyCrop(coordinates(9, 7, 3, 2), part, geometry, { left: 6, top: 5 }, target);
    expect(target).toEqual(coordinates(4, 3, 6, 5));
  });

  it('writes zeros where the crop reaches beyond the image', () => {
    const part = { left: 0, top: 0, width: 2, height: 1 };
    const geometry = { resized: { width: 2, height: 1 }, crop: { width: 4, height: 3 }, origins: [] };
    const target = new Uint8Array(4 * 3 * 3).fill(99);
    copyCrop(coordinates(2, 1), part, geometry, { left: -1, top: -1 }, target);
    const expected = new Uint8Array(4 * 3 * 3);
    expected.set([0, 0, 200, 1, 0, 200], (4 + 1) * 3);
    expect(target).toEqual(expected);
  });
});

describe('takeOddPixels', () => {
  it.each([
    [2, 2],
    [2, 1],
    [1, 2],
  ])('halves along the axes that were doubled (%i, %i)', (x, y) => {
    const taken = takeOddPixels(coordinates(5 * x, 4 * y), { width: 5, height: 4 }, { x, y }, 3);
    const expected = coordinates(5, 4).map((value, index) =>
      index % 3 === 0 ? value * x + x - 1 : index % 3 === 1 ? value * y + y - 1 : value,
    );
    expect(taken).toEqual(expected);
  });
});

describe('convertCmykToRgb', () => {
  it.each([
    [
      [0, 0, 0, 0],
      [255, 255, 255],
    ],
    [
      [0, 0, 0, 255],
      [0, 0, 0],
    ],
    [
      [0, 255, 255, 0],
      [255, 0, 0],
    ],
    [
      [100, 50, 200, 30],
      [137, 181, 49],
    ],
  ])('%j is %j', (cmyk, rgb) => {
    expect([...convertCmykToRgb(Uint8Array.from(cmyk))]).toEqual(rgb);
  });
});
