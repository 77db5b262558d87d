import { describe, expect, it } from 'vitest';
import { checkCost } from '../../../src/pipeline/decode/check-cost.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import { countJpegScans, readJpegHeader } from '../../../src/pipeline/decode/jpeg-header.ts';
import type { ImageFormat } from '../../../src/pipeline/decode/image-format.ts';
import { countDirectories } from '../../../src/pipeline/decode/tiff-directory.ts';
import { readWebpCanvas } from '../../../src/pipeline/decode/webp-header.ts';
import { scanBomb } from '../../support/hostile/jpeg.ts';
import { makeJpeg, makePngBomb, makeTiff, makeWebp } from '../../support/images.ts';
import { pngChunk } from './png-chunks.ts';

const check = (format: ImageFormat, bytes: Uint8Array) => () =>
  checkCost(format, bytes, DEFAULT_DECODE_LIMITS);

describe('checkCost', () => {
  it('lets ordinary images pass', async () => {
    for (const progressive of [false, true]) {
      expect(check('jpeg', await makeJpeg({ progressive }))).not.toThrow();
    }
    expect(check('tiff', await makeTiff())).not.toThrow();
    expect(check('webp', await makeWebp())).not.toThrow();
  });

  it.each([
    ['PNG', 'png', makePngBomb(), 'IMAGE_TOO_MANY_PIXELS'],
    ['PNG without columns', 'png', makePngBomb(0, 5), 'IMAGE_CORRUPT'],
    ['JPEG of 101 scans', 'jpeg', scanBomb(64, 64, 101), 'IMAGE_CORRUPT'],
  ] as const)('refuses a %s', (_name, format, bytes, code) => {
    expect(check(format, bytes)).toThrow(expect.objectContaining({ code }));
  });

  it('lets a JPEG of 100 scans pass', () => {
    expect(check('jpeg', scanBomb(64, 64, 100))).not.toThrow();
  });

  it('counts texts of a PNG up to its limit', () => {
    const withTexts = (count: number) =>
      Buffer.concat([makePngBomb(8, 8).subarray(0, 33), ...Array<Buffer>(count).fill(pngChunk('zTXt'))]);
    expect(check('png', withTexts(100))).not.toThrow();
    expect(check('png', withTexts(101))).toThrow(/at most 100 texts/);
  });
});

describe('countJpegScans', () => {
  const scansOf = (bytes: Uint8Array, most = 1_000) => {
    const header = readJpegHeader(bytes);
    if (header === undefined) throw new Error('expected a header');
    return countJpegScans(bytes, header, most);
  };

  it('counts up to the end of the image, whatever follows it', async () => {
    const [baseline, progressive] = [await makeJpeg(), await makeJpeg({ progressive: true })];
    expect(scansOf(baseline)).toBe(1);
    const scans = scansOf(progressive);
    expect(scans).toBeGreaterThan(5);
    expect(scansOf(Buffer.concat([progressive, progressive]))).toBe(scans);
    expect(scansOf(progressive, 3)).toBe(4);
  });

  it('is not misled by an end marker within a segment between scans', () => {
    const bomb = scanBomb(64, 64, 20);
    const second = bomb.indexOf(Buffer.from([0xff, 0xda]), bomb.indexOf(Buffer.from([0xff, 0xda])) + 2);
    const comment = Buffer.from([0xff, 0xfe, 0, 4, 0xff, 0xd9]);
    expect(scansOf(Buffer.concat([bomb.subarray(0, second), comment, bomb.subarray(second)]))).toBe(20);
  });
});

describe('countDirectories', () => {
  function chain(nexts: readonly number[], big: boolean): Buffer {
    const [head, count, entry, offset] = big ? [16, 8, 20, 8] : [8, 2, 12, 4];
    const size = count + entry + offset;
    const bytes = Buffer.alloc(head + nexts.length * size);
    bytes.write('II', 'latin1');
    bytes.writeUInt16LE(big ? 43 : 42, 2);
    const write = (value: number, at: number) =>
      big ? bytes.writeBigUInt64LE(BigInt(value), at) : bytes.writeUInt32LE(value, at);
    const place = (index: number) => (index < 0 ? 0 : head + index * size);
    write(head, big ? 8 : 4);
    nexts.forEach((next, index) => {
      bytes.writeUInt8(1, place(index));
      write(place(next), place(index) + count + entry);
    });
    return bytes;
  }

  it.each([false, true])('counts a chain, a loop once, and no more than asked (BigTIFF: %s)', (big) => {
    expect(countDirectories(chain([1, 2, -1], big), 10)).toBe(3);
    expect(countDirectories(chain([1, 2, 0], big), 10)).toBe(3);
    expect(countDirectories(chain([0], big), 10)).toBe(1);
    expect(countDirectories(chain([1, 2, 99], big), 10)).toBe(3);
    expect(countDirectories(chain([1, 2, 3, 4, -1], big), 2)).toBe(3);
  });

  it('counts none where there is no header', () => {
    expect(countDirectories(new Uint8Array(5), 10)).toBe(0);
  });
});

describe('readWebpCanvas', () => {
  it.each([true, false])('reads what libwebp wrote (lossless: %s)', async (lossless) => {
    expect(readWebpCanvas(await makeWebp({ width: 123, height: 45, lossless }))).toEqual({
      width: 123,
      height: 45,
    });
  });

  it('reads nothing of other chunks and short files', async () => {
    const webp = Buffer.from(await makeWebp());
    expect(readWebpCanvas(webp.subarray(0, 29))).toBeUndefined();
    webp.write('ABCD', 12, 'latin1');
    expect(readWebpCanvas(webp)).toBeUndefined();
  });
});
