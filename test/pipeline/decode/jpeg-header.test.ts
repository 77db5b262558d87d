import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasJpegEnd, readJpegHeader } from '../../../src/pipeline/decode/jpeg-header.ts';
import { makeJpeg } from '../../support/images.ts';

const segment = (marker: number, payload: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from([0xff, marker, (payload.length + 2) >> 8, (payload.length + 2) & 255]),
    payload,
  ]);

const afterSoi = (jpeg: Uint8Array, inserted: Uint8Array): Uint8Array =>
  Buffer.concat([jpeg.subarray(0, 2), inserted, jpeg.subarray(2)]);

describe('readJpegHeader', () => {
  it.each([
    ['baseline', {}, 3],
    ['progressive', { progressive: true }, 3],
    ['greyscale', { colour: 'grey' }, 1],
    ['CMYK', { colour: 'cmyk' }, 4],
  ] as const)('reads the size of a %s JPEG', async (_name, options, components) => {
    const header = readJpegHeader(await makeJpeg({ width: 77, height: 31, ...options }));
    expect(header).toMatchObject({ width: 77, height: 31, components, orientation: 1 });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('reads EXIF orientation %i', async (orientation) => {
    expect(readJpegHeader(await makeJpeg({ orientation }))?.orientation).toBe(orientation);
  });

  it.each([
    ['a directory beyond its end', 'Exif\0\0II*\0\xff\xff\xff\x7f'],
    ['nothing behind the signature', 'Exif\0\0'],
    ['orientation 9', 'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0'],
    [
      'an orientation of the wrong type',
      'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0\0\0\0\0',
    ],
  ])('takes EXIF with %s for upright', async (_name, exif) => {
    const jpeg = afterSoi(await makeJpeg(), segment(0xe1, Buffer.from(exif, 'latin1')));
    expect(readJpegHeader(jpeg)).toMatchObject({ width: 64, height: 48, orientation: 1 });
  });

  it('skips fill bytes and stray bytes before a marker', async () => {
    const jpeg = afterSoi(await makeJpeg(), Buffer.from([0, 1, 2, 0xff, 0xff, 0xff]));
    expect(readJpegHeader(jpeg)).toMatchObject({ width: 64, height: 48 });
  });

  it('gives up on a header of nothing but fill bytes', () => {
    const bytes = new Uint8Array(1_000_000).fill(0xff);
    bytes[1] = 0xd8;
    expect(readJpegHeader(bytes)).toBeUndefined();
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (tail) => {
        const header = readJpegHeader(Uint8Array.from([0xff, 0xd8, 0xff, ...tail]));
        expect(header === undefined || header.scanOffset > 0).toBe(true);
      }),
    );
  });
});

describe('hasJpegEnd', () => {
  it('is not taken in by the end marker of an EXIF thumbnail', async () => {
    const thumbnail = Buffer.concat([
      Buffer.from('Exif\0\0', 'latin1'),
      await makeJpeg({ width: 16, height: 16 }),
    ]);
    const jpeg = afterSoi(await makeJpeg(), segment(0xe1, thumbnail));
    const cut = jpeg.subarray(0, jpeg.length - 100);
    const header = readJpegHeader(cut);
    expect(header).toBeDefined();
    if (header === undefined) return;
    expect(hasJpegEnd(cut, header)).toBe(false);
    expect(hasJpegEnd(jpeg, header)).toBe(true);
  });
});
