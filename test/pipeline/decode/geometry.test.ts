import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coveredRectangle, planGeometry } from '../../../src/pipeline/decode/geometry.ts';
import { shortSide, stretchTo } from './decoding.ts';

const sides = fc.integer({ min: 1, max: 20_000 });

describe('planGeometry', () => {
  // Sizes and crops that torchvision 0.14 gives for Resize(256) and CenterCrop(224).
  it.each([
    [500, 375, 341, 256, 58, 16],
    [375, 500, 256, 341, 16, 58],
    [256, 256, 256, 256, 16, 16],
    // (257 − 224) / 2 = 16.5 goes to 16, (259 − 224) / 2 = 17.5 to 18: half to even
    [257, 256, 257, 256, 16, 16],
    [259, 256, 259, 256, 18, 16],
    [1, 500, 256, 128_000, 16, 63_888],
    [333, 101, 844, 256, 310, 16],
  ])('%i×%i is resized to %i×%i and cropped at %i, %i', (width, height, toWidth, toHeight, left, top) => {
    const geometry = planGeometry({ width, height }, shortSide(256, 224), 1);
    expect(geometry.resized).toEqual({ width: toWidth, height: toHeight });
    expect(geometry.origins).toEqual([{ left, top }]);
  });

  it('pads evenly, with the odd pixel after the image', () => {
    const geometry = planGeometry({ width: 100, height: 300 }, shortSide(51, 56), 1);
    expect(geometry.resized).toEqual({ width: 51, height: 153 });
    expect(geometry.origins).toEqual([{ left: -2, top: 48 }]);
  });

  it('takes five crops in the order of FiveCrop', () => {
    const geometry = planGeometry({ width: 500, height: 375 }, shortSide(256, 224), 5);
    expect(geometry.origins).toEqual([
      { left: 0, top: 0 },
      { left: 117, top: 0 },
      { left: 0, top: 32 },
      { left: 117, top: 32 },
      { left: 58, top: 16 },
    ]);
  });

  it('stretches both sides to the crop', () => {
    const geometry = planGeometry({ width: 500, height: 375 }, stretchTo(227, 200), 1);
    expect(geometry.resized).toEqual({ width: 227, height: 200 });
    expect(geometry.origins).toEqual([{ left: 0, top: 0 }]);
  });

  it('keeps every crop inside, or centred where it does not fit', () => {
    fc.assert(
      fc.property(
        sides,
        sides,
        fc.integer({ min: 1, max: 512 }),
        fc.integer({ min: 1, max: 512 }),
        fc.constantFrom(1, 5),
        (width, height, size, crop, crops) => {
          const geometry = planGeometry({ width, height }, shortSide(size, crop), crops);
          const { resized } = geometry;
          expect(Math.min(resized.width, resized.height)).toBe(size);
          expect(geometry.origins).toHaveLength(crops);
          for (const { left, top } of geometry.origins) {
            expect(left).toBeLessThanOrEqual(Math.max(0, resized.width - crop));
            expect(left).toBeGreaterThanOrEqual(Math.min(0, -Math.floor((crop - resized.width) / 2)));
            expect(top).toBeLessThanOrEqual(Math.max(0, resized.height - crop));
            expect(top).toBeGreaterThanOrEqual(Math.min(0, -Math.floor((crop - resized.height) / 2)));
          }
          const part = coveredRectangle(geometry, geometry.origins);
          expect(part.width).toBeGreaterThanOrEqual(Math.min(crop, resized.width));
          expect(part.left + part.width).toBeLessThanOrEqual(resized.width);
          expect(part.top + part.height).toBeLessThanOrEqual(resized.height);
        },
      ),
    );
  });
});
