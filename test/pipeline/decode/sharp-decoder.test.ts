import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDecoder } from '../../../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import {
  EMPTY_BYTES,
  makeAvif,
  makeEveryFormat,
  makeJpeg,
  makePixels,
  makePng,
  makeTiff,
  makeWebp,
  QUADRANT_COLOURS,
} from '../../support/images.ts';
import { colourDistance, decode, outcomeOf, samePixels, shortSide, stretchTo } from './decoding.ts';
import type { Decoded } from './decoding.ts';

/** ITU-R BT.709 luma as libvips converts to greyscale; compared with a wide tolerance. */
const greyOf = ([r = 0, g = 0, b = 0]: readonly number[]): number[] => {
  const linear = (value: number) => (value / 255) ** 2.2;
  const luma = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  return Array<number>(3).fill(255 * luma ** (1 / 2.2));
};

/** Colours in the middle of the four quadrants of a crop. */
function quadrantsOf(decoded: Decoded, width: number, height: number, crop = 0): number[][] {
  const [left, right] = [Math.floor(width / 4), Math.ceil((width * 3) / 4)];
  const [top, bottom] = [Math.floor(height / 4), Math.ceil((height * 3) / 4)];
  return [
    decoded.at(left, top, crop),
    decoded.at(right, top, crop),
    decoded.at(left, bottom, crop),
    decoded.at(right, bottom, crop),
  ];
}

function expectColours(
  actual: readonly number[][],
  expected: readonly (readonly number[])[],
  within: number,
): void {
  const distances = actual.map((colour, index) => colourDistance(colour, expected[index] ?? []));
  expect(
    Math.max(...distances),
    `${JSON.stringify(actual)} against ${JSON.stringify(expected)}`,
  ).toBeLessThanOrEqual(within);
}

describe('colours', () => {
  let images: Record<string, Uint8Array>;
  beforeAll(async () => {
    images = await makeEveryFormat({ pattern: 'quadrants', width: 90, height: 60 });
  });

  it.each([
    ['JPEG, baseline', 4],
    ['JPEG, progressive', 4],
    ['PNG', 0],
    ['PNG, alpha', 0],
    ['PNG, palette', 1],
    ['PNG, 16 bits', 1],
    ['WebP, lossy', 4],
    ['WebP, lossless', 0],
    ['GIF', 1],
    ['GIF, animated', 1],
    ['TIFF', 0],
    ['TIFF, uncompressed', 0],
    ['TIFF, JPEG in tiles', 6],
    ['TIFF, 16 bits', 1],
    ['AVIF', 3],
  ])('%s is within %i levels', async (name, within) => {
    const decoded = await decode(images[name] ?? EMPTY_BYTES, stretchTo(60, 40));
    expect(decoded.image).toEqual({ width: 90, height: 60 });
    expectColours(quadrantsOf(decoded, 60, 40), QUADRANT_COLOURS, within);
  });

  it.each(['JPEG, greyscale', 'PNG, greyscale', 'PNG, greyscale, 16 bits'])('%s is grey', async (name) => {
    const decoded = await decode(images[name] ?? EMPTY_BYTES, stretchTo(60, 40));
    expectColours(quadrantsOf(decoded, 60, 40), QUADRANT_COLOURS.map(greyOf), 6);
  });

  // Written through a press profile and read without one, as Pillow reads them: near the colours, not on them.
  it.each(['JPEG, CMYK', 'TIFF, CMYK'])('%s has recognisable colours', async (name) => {
    const bytes = images[name] ?? EMPTY_BYTES;
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    const decoded = await decode(bytes, stretchTo(60, 40));
    expectColours(quadrantsOf(decoded, 60, 40), QUADRANT_COLOURS, 95);
    expect(quadrantsOf(decoded, 60, 40)[0]?.[0]).toBeGreaterThan(200);
  });

  it('keeps the colour under transparency', async () => {
    const decoded = await decode(
      await makePng({ pattern: 'quadrants', kind: 'rgba', opacity: 0 }),
      shortSide(48, 40),
    );
    expectColours(quadrantsOf(decoded, 40, 40), QUADRANT_COLOURS, 0);
  });

  it('applies no colour profile', async () => {
    const pixels = makePixels({ pattern: 'quadrants', width: 40, height: 40 });
    const tagged = await sharp(pixels, { raw: { width: 40, height: 40, channels: 3 } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const stored = await sharp(tagged, { ignoreIcc: true }).raw().toBuffer();
    const decoded = await decode(tagged, stretchTo(40, 40));
    expect(samePixels(decoded.pixels, stored)).toBe(true);
    expect(colourDistance(decoded.at(5, 5), QUADRANT_COLOURS[0])).toBeGreaterThan(5);
  });

  it('writes RGB whatever the channel order of the model', async () => {
    const decoded = await decode(await makePng({ pattern: 'quadrants' }), {
      ...shortSide(48, 40),
      channelOrder: 'bgr',
    });
    expectColours(quadrantsOf(decoded, 40, 40), QUADRANT_COLOURS, 0);
  });
});

describe('EXIF orientation', () => {
  // Which stored quadrant is shown top-left, top-right, bottom-left, bottom-right.
  const shown: Record<number, readonly [number, number, number, number]> = {
    1: [0, 1, 2, 3],
    2: [1, 0, 3, 2],
    3: [3, 2, 1, 0],
    4: [2, 3, 0, 1],
    5: [0, 2, 1, 3],
    6: [2, 0, 3, 1],
    7: [3, 1, 2, 0],
    8: [1, 3, 0, 2],
  };

  describe.each([
    ['JPEG', makeJpeg],
    ['PNG', makePng],
    ['WebP', makeWebp],
    ['TIFF', makeTiff],
    ['AVIF', makeAvif],
  ])('of a %s', (_name, make) => {
    it.each([1, 2, 3, 4, 5, 6, 7, 8])('%i', async (orientation) => {
      const bytes = await make({ pattern: 'quadrants', width: 60, height: 40, orientation });
      const decoded = await decode(bytes, shortSide(48, 40));
      expect(decoded.image).toEqual(orientation < 5 ? { width: 60, height: 40 } : { width: 40, height: 60 });
      const expected = (shown[orientation] ?? []).map((quadrant) => QUADRANT_COLOURS[quadrant] ?? []);
      expectColours(quadrantsOf(decoded, 40, 40), expected, 6);
    });
  });
});

describe('crops', () => {
  it.each([1, 6])(
    'writes five crops that agree with the centre crop and the corners (orientation %i)',
    async (orientation) => {
      const bytes = await makePng({ width: 90, height: 60, orientation });
      const five = await decode(bytes, shortSide(48, 40), 5);
      const one = await decode(bytes, shortSide(48, 40));
      const size = 40 * 40 * 3;
      expect(samePixels(five.pixels.subarray(4 * size), one.pixels)).toBe(true);
      const [width, height] = orientation === 1 ? [72, 48] : [48, 72];
      const whole = await decode(bytes, stretchTo(width, height));
      const corners = [
        whole.at(0, 0),
        whole.at(width - 40, 0),
        whole.at(0, height - 40),
        whole.at(width - 40, height - 40),
      ];
      expect([0, 1, 2, 3].map((crop) => five.at(0, 0, crop))).toEqual(corners);
    },
  );

  it('pads with black where the image is smaller than the crop', async () => {
    const decoded = await decode(
      await makePng({ pattern: 'quadrants', width: 40, height: 40 }),
      shortSide(20, 31),
    );
    expect(decoded.image).toEqual({ width: 40, height: 40 });
    // 5 black pixels before, 20 of the image, 6 after.
    expect(decoded.at(4, 15)).toEqual([0, 0, 0]);
    expect(decoded.at(15, 4)).toEqual([0, 0, 0]);
    expect(decoded.at(25, 15)).toEqual([0, 0, 0]);
    expect(decoded.at(5, 5)).toEqual([...QUADRANT_COLOURS[0]]);
    expect(decoded.at(24, 24)).toEqual([...QUADRANT_COLOURS[3]]);
  });

  it.each([
    [1, 1, 1],
    [1, 1, 5],
    [1, 500, 1],
    [500, 1, 5],
    [3, 60_000, 1],
    [3, 60_000, 5],
  ] as const)('decodes %i×%i into %i crops', async (width, height, crops) => {
    const decoded = await decode(
      await makePng({ width, height, pattern: 'quadrants' }),
      shortSide(256, 224),
      crops,
    );
    expect(decoded.image).toEqual({ width, height });
    // Of five crops the first is the top-left corner; the one centre crop begins above the middle, which a source one
    // pixel wide magnifies so much that the crop is all edge.
    expect(colourDistance(decoded.at(0, 0), QUADRANT_COLOURS[0])).toBeLessThanOrEqual(crops === 5 ? 1 : 30);
  });

  it('refuses a resize that libvips cannot count', async () => {
    const bytes = await makePng({ width: 1, height: 20_000 });
    expect(await outcomeOf(decode(bytes, shortSide(4096, 64)))).toBe('IMAGE_TOO_MANY_PIXELS');
  });

  it.each(['bilinear', 'bicubic', 'lanczos', 'nearest'] as const)('resizes %s', async (interpolation) => {
    const bytes = await makePng({ pattern: 'quadrants', width: 90, height: 60 });
    const decoded = await decode(bytes, { ...shortSide(30, 24), interpolation });
    expectColours(quadrantsOf(decoded, 24, 24), QUADRANT_COLOURS, 1);
  });

  it('refuses a target of another size', async () => {
    const decoder = createDecoder({ limits: DEFAULT_DECODE_LIMITS, concurrency: 1 });
    const decoding = decoder.decode(await makePng(), shortSide(64, 48), new Uint8Array(100));
    await expect(decoding).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

it('decodes many at a time, each into its own target', async () => {
  const decoder = createDecoder({ limits: DEFAULT_DECODE_LIMITS, concurrency: 2 });
  const colours = Array.from({ length: 30 }, (_, index) => [index * 8, 255 - index * 8, 40] as const);
  const targets = await Promise.all(
    colours.map(async ([r, g, b]) => {
      const bytes = await sharp({ create: { width: 50, height: 40, channels: 3, background: { r, g, b } } })
        .png()
        .toBuffer();
      const target = new Uint8Array(32 * 32 * 3);
      await decoder.decode(bytes, shortSide(36, 32), target);
      return target;
    }),
  );
  expect(targets.map((target) => [...target.subarray(0, 3)])).toEqual(colours);
});
