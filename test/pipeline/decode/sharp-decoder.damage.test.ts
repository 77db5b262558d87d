import * as fc from 'fast-check';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { EMPTY_BYTES, makeEveryFormat, makeJpeg, makePng, makeTiff, truncate } from '../../support/images.ts';
import { decode, outcomeOf, samePixels, shortSide } from './decoding.ts';

const FORMATS = [
  'JPEG, baseline',
  'JPEG, progressive',
  'JPEG, greyscale',
  'JPEG, CMYK',
  'PNG',
  'PNG, greyscale',
  'PNG, alpha',
  'PNG, palette',
  'PNG, 16 bits',
  'WebP, lossy',
  'WebP, lossless',
  'GIF',
  'GIF, animated',
  'TIFF',
  'TIFF, uncompressed',
  'TIFF, JPEG in tiles',
  'TIFF, CMYK',
  'AVIF',
];

let images: Record<string, Uint8Array>;
beforeAll(async () => {
  images = await makeEveryFormat({ width: 100, height: 75 });
});
const imageOf = (format: string): Uint8Array => images[format] ?? EMPTY_BYTES;

describe.each(FORMATS)('%s', (format) => {
  it('decodes when it is whole', async () => {
    expect(await outcomeOf(decode(imageOf(format)))).toBe('decoded');
  });

  it.each([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])('is known as truncated at %f', async (fraction) => {
    expect(await outcomeOf(decode(truncate(imageOf(format), fraction)))).toBe('IMAGE_TRUNCATED');
  });

  it('is known as truncated by a few bytes, or decodes to the same pixels', async () => {
    const whole = await decode(imageOf(format));
    for (const missing of [1, 2, 3, 8, 20]) {
      const cut = imageOf(format).slice(0, -missing);
      const outcome = await outcomeOf(decode(cut));
      if (outcome === 'decoded') expect(samePixels((await decode(cut)).pixels, whole.pixels)).toBe(true);
      else expect(outcome).toBe('IMAGE_TRUNCATED');
    }
  });

  it('with changed bytes decodes or rejects with an ImageError', async () => {
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        async (changes) => {
          const bytes = Uint8Array.from(imageOf(format));
          for (const [where, value] of changes) bytes[Math.floor(where * bytes.length)] = value;
          const outcome = await outcomeOf(decode(bytes));
          outcomes.add(outcome);
          expect(outcome).toMatch(/^(decoded|IMAGE_(TRUNCATED|CORRUPT|FORMAT_UNKNOWN|TOO_MANY_PIXELS))$/);
        },
      ),
      { numRuns: 25, seed: 7 },
    );
    expect(outcomes.size).toBeGreaterThan(0);
  });
});

const MAGIC = [
  '\xff\xd8\xff',
  '\x89PNG\r\n\x1a\n',
  'GIF89a',
  'RIFF\x20\0\0\0WEBP',
  'II*\0',
  'MM\0*',
  '\0\0\0\x10ftypavif',
  '',
];

it('any bytes at all reject with an ImageError', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...MAGIC), fc.uint8Array({ maxLength: 400 }), async (magic, tail) => {
      const outcome = await outcomeOf(decode(Buffer.concat([Buffer.from(magic, 'latin1'), tail])));
      expect(outcome).toMatch(/^IMAGE_/);
    }),
    { numRuns: 400 },
  );
});

describe('a JPEG', () => {
  const END = Buffer.from([0xff, 0xd9]);
  const scanOf = (jpeg: Uint8Array): number => Buffer.from(jpeg).indexOf(Buffer.from([0xff, 0xda]));

  it('whose missing half was closed with an end marker is truncated, not half grey', async () => {
    const jpeg = await makeJpeg({ width: 200, height: 150 });
    const closed = Buffer.concat([truncate(jpeg, 0.6), END]);
    expect(await outcomeOf(decode(closed))).toBe('IMAGE_TRUNCATED');
  });

  it('cut below the crop is truncated although the crop is complete', async () => {
    const jpeg = await makeJpeg({ width: 200, height: 150 });
    expect(await outcomeOf(decode(jpeg.slice(0, -30), shortSide(64, 20)))).toBe('IMAGE_TRUNCATED');
  });

  it.each([
    ['bytes after its end', (jpeg: Uint8Array) => Buffer.concat([jpeg, Buffer.alloc(500)])],
    ['a second picture after it', (jpeg: Uint8Array) => Buffer.concat([jpeg, jpeg])],
    [
      'stray bytes before a marker',
      (jpeg: Uint8Array) =>
        Buffer.concat([jpeg.subarray(0, scanOf(jpeg)), Buffer.alloc(7), jpeg.subarray(scanOf(jpeg))]),
    ],
    [
      'broken EXIF',
      (jpeg: Uint8Array) =>
        Buffer.concat([
          jpeg.subarray(0, 2),
          Buffer.from('\xff\xe1\0\x12Exif\0\0II*\0\xff\xff\0\0', 'latin1'),
          Buffer.alloc(2),
          jpeg.subarray(2),
        ]),
    ],
  ])('with %s decodes to the same pixels', async (_name, damage) => {
    const jpeg = await makeJpeg({ width: 200, height: 150 });
    const { pixels } = await decode(jpeg);
    expect(samePixels((await decode(damage(jpeg))).pixels, pixels)).toBe(true);
  });
});

it('a PNG with a wrong checksum in its pixels is corrupt', async () => {
  const png = Buffer.from(await makePng({ width: 200, height: 150 }));
  const at = png.indexOf('IDAT') + 2000;
  png.writeUInt8(png.readUInt8(at) ^ 0xff, at);
  expect(await outcomeOf(decode(png))).toBe('IMAGE_CORRUPT');
});

it('a TIFF whose last tile lies beyond its end is truncated, though the crop is not in it', async () => {
  const tiff = Buffer.from(await makeTiff({ width: 200, height: 150, compression: 'none', tiled: true }));
  const directory = tiff.readUInt32LE(4);
  const TILE_OFFSETS = 324;
  let entry = directory + 2;
  while (tiff.readUInt16LE(entry) !== TILE_OFFSETS) entry += 12;
  const last = tiff.readUInt32LE(entry + 8) + (tiff.readUInt32LE(entry + 4) - 1) * 4;
  expect(await outcomeOf(decode(tiff, shortSide(64, 20)))).toBe('decoded');
  tiff.writeUInt32LE(1_000_000, last);
  expect(await outcomeOf(decode(tiff, shortSide(64, 20)))).toBe('IMAGE_TRUNCATED');
});

it('an SVG cannot be loaded even past the check of the format', async () => {
  await decode(await makePng());
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>');
  await expect(sharp(svg).raw().toBuffer()).rejects.toThrow(/unsupported image format/);
});
