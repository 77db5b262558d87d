import { describe, expect, it } from 'vitest';
import { describeContent, sniffImageFormat } from '../../../src/pipeline/decode/image-format.ts';
import {
  HTML_BYTES,
  makeAvif,
  makeGif,
  makeJpeg,
  makePng,
  makeTiff,
  makeWebp,
  SVG_BYTES,
} from '../../support/images.ts';

const latin1 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const isoFile = (...brands: string[]): Uint8Array => {
  const [major = '', ...compatible] = brands;
  const size = String.fromCharCode(16 + compatible.length * 4);
  return latin1(`\0\0\0${size}ftyp${major}\0\0\0\0${compatible.join('')}`);
};

describe('sniffImageFormat', () => {
  it.each([
    ['jpeg', makeJpeg],
    ['png', makePng],
    ['webp', makeWebp],
    ['gif', makeGif],
    ['tiff', makeTiff],
    ['avif', makeAvif],
  ] as const)('knows %s', async (format, make) => {
    expect(sniffImageFormat(await make())).toBe(format);
  });

  it.each([
    ['big-endian TIFF', 'MM\0*\0\0\0\x08', 'tiff'],
    ['little-endian BigTIFF', 'II+\0\x08\0\0\0', 'tiff'],
    ['big-endian BigTIFF', 'MM\0+\0\x08\0\0', 'tiff'],
    ['GIF87a', 'GIF87a\x01\0\x01\0', 'gif'],
  ])('knows %s', (_name, head, format) => {
    expect(sniffImageFormat(latin1(head))).toBe(format);
  });

  it('knows AVIF by a compatible brand', () => {
    expect(sniffImageFormat(isoFile('mif1', 'mif1', 'avif'))).toBe('avif');
    expect(sniffImageFormat(isoFile('avis', 'msf1'))).toBe('avif');
  });

  it('reads a view into a larger buffer', async () => {
    const png = await makePng();
    const buffer = new Uint8Array(png.length + 7);
    buffer.set(png, 7);
    expect(sniffImageFormat(buffer.subarray(7))).toBe('png');
  });

  it.each(['', '\xff', '\xff\xd8', '\x89PNG', 'RIFF\0\0\0\0WAVE', 'II*', 'GIF88a', '<svg xmlns="', 'BM\0\0'])(
    'takes %j for no image',
    (head) => {
      expect(sniffImageFormat(latin1(head))).toBeUndefined();
    },
  );
});

describe('describeContent', () => {
  it.each([
    [HTML_BYTES, 'an HTML document'],
    [latin1('\xef\xbb\xbf \n<HTML>'), 'an HTML document'],
    [SVG_BYTES, 'an SVG drawing'],
    [latin1('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'an SVG drawing'],
    [latin1('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), 'an XML document'],
    [latin1('%PDF-1.7\n'), 'a PDF document'],
    [latin1('BM6\0\0\0'), 'a BMP image'],
    [isoFile('heic', 'mif1', 'heic'), 'a HEIC image'],
    [isoFile('isom', 'mp42'), 'an MP4 or similar media file'],
    [latin1('\0\0\0\x0cjP  \r\n\x87\n'), 'a JPEG 2000 image'],
    [latin1('\xff\x4f\xff\x51\0\x2f'), 'a JPEG 2000 image'],
    [latin1('\0\0\0\x0cJXL \r\n\x87\n'), 'a JPEG XL image'],
    [latin1('\xff\x0a\xfa\x1f'), 'a JPEG XL image'],
    [latin1('PK\x03\x04\x14\0'), 'a ZIP archive'],
    [latin1('{"error": "not found"}'), 'a text document'],
    [latin1('\x01\x02\x03'), '3 bytes of an unknown kind'],
  ])('%#: says %s', (bytes, description) => {
    expect(describeContent(bytes)).toBe(description);
  });
});
