import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { turnPixels } from '../../../src/pipeline/decode/libvips.ts';
import { asOrientation, toStoredRectangle, turnSize } from '../../../src/pipeline/decode/orientation.ts';
import { makePixels } from '../../support/images.ts';

const stored = { width: 13, height: 8 };
const raw = { ...stored, channels: 3 as const };
const pixels = makePixels({ ...stored, seed: 3 });

/** Cuts a rectangle out of (height, width, 3) pixels. */
const cut = (
  image: Uint8Array,
  width: number,
  part: { left: number; top: number; width: number; height: number },
) =>
  Uint8Array.from({ length: part.width * part.height * 3 }, (_, index) => {
    const pixel = Math.floor(index / 3);
    const x = part.left + (pixel % part.width);
    const y = part.top + Math.floor(pixel / part.width);
    return image[(y * width + x) * 3 + (index % 3)] ?? 0;
  });

describe.each([1, 2, 3, 4, 5, 6, 7, 8] as const)('orientation %i', (orientation) => {
  it('turns pixels as libvips does by the EXIF tag', async () => {
    const tagged = await sharp(pixels, { raw }).png().withMetadata({ orientation }).toBuffer();
    const expected = await sharp(tagged, { autoOrient: true }).raw().toBuffer();
    expect(Buffer.compare(await turnPixels(pixels, stored, orientation), expected)).toBe(0);
  });

  it('finds the stored rectangle of a shown one', async () => {
    const shown = turnSize(stored, orientation);
    const part = { left: 1, top: 2, width: 4, height: 3 };
    const whole = await turnPixels(pixels, stored, orientation);
    const storedPart = toStoredRectangle(part, shown, orientation);
    const turned = await turnPixels(cut(pixels, stored.width, storedPart), storedPart, orientation);
    expect(Buffer.compare(turned, cut(whole, shown.width, part))).toBe(0);
  });
});

describe('asOrientation', () => {
  it.each([undefined, 0, 9, 1.5, Number.NaN])('takes %s for upright', (value) => {
    expect(asOrientation(value)).toBe(1);
  });
});
