import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { deflateSync } from 'node:zlib';

/** Makers of test images. The same options give the same bytes on every run. */

export interface ImageOptions {
  /** Pixels as stored; 64 × 48 where they are left out. */
  readonly width?: number;
  readonly height?: number;
  readonly seed?: number;
  /** `photo`: noise with a photograph's spectrum; `quadrants`: the four {@link QUADRANT_COLOURS}. */
  readonly pattern?: 'photo' | 'quadrants';
  /** EXIF orientation. */
  readonly orientation?: number;
}

export interface JpegOptions extends ImageOptions {
  readonly quality?: number;
  readonly progressive?: boolean;
  readonly colour?: 'rgb' | 'grey' | 'cmyk';
}

export interface PngOptions extends ImageOptions {
  readonly kind?: 'rgb' | 'grey' | 'rgba' | 'palette' | 'rgb16' | 'grey16';
  /** Opacity of `rgba`, 0 to 1. */
  readonly opacity?: number;
}

export interface TiffOptions extends ImageOptions {
  readonly kind?: 'rgb' | 'grey' | 'cmyk' | 'rgb16';
  readonly compression?: 'none' | 'lzw' | 'deflate' | 'jpeg';
  readonly tiled?: boolean;
}

/** RGB, in the order top-left, top-right, bottom-left, bottom-right. */
export const QUADRANT_COLOURS = [
  [230, 30, 30],
  [30, 200, 40],
  [40, 50, 220],
  [240, 220, 60],
] as const;

export const EMPTY_BYTES = new Uint8Array(0);

/** What a server answers when the image is gone: saved under a name such as `cat.jpg`. */
export const HTML_BYTES = new TextEncoder().encode(
  '<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n',
);

export const SVG_BYTES = new TextEncoder().encode(
  '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><rect width="64" height="48"/></svg>',
);

export async function makeJpeg(options: JpegOptions = {}): Promise<Uint8Array> {
  const { quality = 90, progressive = false, colour = 'rgb' } = options;
  const space = { rgb: 'srgb', grey: 'b-w', cmyk: 'cmyk' }[colour];
  return encode(
    options,
    open(options).toColourspace(space).jpeg({ quality, progressive, chromaSubsampling: '4:2:0' }),
  );
}

export async function makePng(options: PngOptions = {}): Promise<Uint8Array> {
  const { kind = 'rgb', opacity = 0.5 } = options;
  const image = open(options);
  if (kind === 'rgba') return encode(options, image.ensureAlpha(opacity).png());
  if (kind === 'palette') return encode(options, image.png({ palette: true, colours: 64, dither: 0 }));
  const space = { rgb: 'srgb', grey: 'b-w', rgb16: 'rgb16', grey16: 'grey16' }[kind];
  return encode(options, image.toColourspace(space).png());
}

export async function makeWebp(options: ImageOptions & { lossless?: boolean } = {}): Promise<Uint8Array> {
  return encode(options, open(options).webp({ quality: 90, lossless: options.lossless ?? false }));
}

/** @param options.frames 1 or more; later frames are black, so that they cannot be taken for the first */
export async function makeGif(options: ImageOptions & { frames?: number } = {}): Promise<Uint8Array> {
  const { width, height } = sizeOf(options);
  const frames = options.frames ?? 1;
  const pixels = new Uint8Array(width * height * 3 * frames);
  pixels.set(makePixels(options));
  const raw = { width, height: height * frames, channels: 3 as const, pageHeight: height };
  return sharp(pixels, { raw }).gif({ dither: 0, effort: 1 }).toBuffer();
}

export async function makeTiff(options: TiffOptions = {}): Promise<Uint8Array> {
  const { kind = 'rgb', compression = 'lzw', tiled = false } = options;
  const space = { rgb: 'srgb', grey: 'b-w', cmyk: 'cmyk', rgb16: 'rgb16' }[kind];
  return encode(
    options,
    open(options)
      .toColourspace(space)
      .tiff({ compression, tile: tiled, ...(tiled ? { tileWidth: 16, tileHeight: 16 } : {}) }),
  );
}

export async function makeAvif(options: ImageOptions = {}): Promise<Uint8Array> {
  return encode(options, open(options).avif({ quality: 80, effort: 0 }));
}

/** One image of every format that is decoded. */
export async function makeEveryFormat(options: ImageOptions = {}): Promise<Record<string, Uint8Array>> {
  return {
    'JPEG, baseline': await makeJpeg(options),
    'JPEG, progressive': await makeJpeg({ ...options, progressive: true }),
    'JPEG, greyscale': await makeJpeg({ ...options, colour: 'grey' }),
    'JPEG, CMYK': await makeJpeg({ ...options, colour: 'cmyk' }),
    PNG: await makePng(options),
    'PNG, greyscale': await makePng({ ...options, kind: 'grey' }),
    'PNG, alpha': await makePng({ ...options, kind: 'rgba' }),
    'PNG, palette': await makePng({ ...options, kind: 'palette' }),
    'PNG, 16 bits': await makePng({ ...options, kind: 'rgb16' }),
    'PNG, greyscale, 16 bits': await makePng({ ...options, kind: 'grey16' }),
    'WebP, lossy': await makeWebp(options),
    'WebP, lossless': await makeWebp({ ...options, lossless: true }),
    GIF: await makeGif(options),
    'GIF, animated': await makeGif({ ...options, frames: 3 }),
    TIFF: await makeTiff(options),
    'TIFF, uncompressed': await makeTiff({ ...options, compression: 'none' }),
    'TIFF, JPEG in tiles': await makeTiff({ ...options, compression: 'jpeg', tiled: true }),
    'TIFF, CMYK': await makeTiff({ ...options, kind: 'cmyk' }),
    'TIFF, 16 bits': await makeTiff({ ...options, kind: 'rgb16' }),
    AVIF: await makeAvif(options),
  };
}

/** The first `fraction` of the bytes. */
export function truncate(bytes: Uint8Array, fraction: number): Uint8Array {
  return bytes.slice(0, Math.floor(bytes.length * fraction));
}

/** A valid PNG of a few hundred bytes that claims to be of this size. */
export function makePngBomb(width = 50_000, height = 50_000): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc(1000))),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

export function makeRandomBytes(length: number, seed = 1): Uint8Array {
  const random = createRandom(seed);
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = random() * 256;
  return bytes;
}

/** (height, width, 3) uint8 RGB. */
export function makePixels(options: ImageOptions = {}): Uint8Array {
  const { width, height } = sizeOf(options);
  return options.pattern === 'quadrants'
    ? makeQuadrants(width, height)
    : makePhoto(width, height, options.seed ?? 1);
}

function open(options: ImageOptions): Sharp {
  return sharp(makePixels(options), { raw: { ...sizeOf(options), channels: 3 } });
}

async function encode(options: ImageOptions, image: Sharp): Promise<Uint8Array> {
  const { orientation } = options;
  return (orientation === undefined ? image : image.withMetadata({ orientation })).toBuffer();
}

function sizeOf({ width = 64, height = 48 }: ImageOptions): { width: number; height: number } {
  return { width, height };
}

function makeQuadrants(width: number, height: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  let index = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const quadrant = (y * 2 < height ? 0 : 2) + (x * 2 < width ? 0 : 1);
      const colour = QUADRANT_COLOURS[quadrant] ?? [0, 0, 0];
      for (let channel = 0; channel < 3; channel++) pixels[index++] = colour[channel] ?? 0;
    }
  }
  return pixels;
}

/** Octaves of value noise, each with half the amplitude of the one before. Plain loops: a test makes thousands. */
function makePhoto(width: number, height: number, seed: number): Uint8Array {
  const random = createRandom(seed);
  const total = new Float32Array(width * height * 3).fill(128);
  const octaves = Math.max(1, Math.min(8, Math.floor(Math.log2(Math.max(width, height, 2)))));
  for (let octave = 1; octave <= octaves; octave++) addNoise(total, width, height, octave, random);
  return new Uint8Array(new Uint8ClampedArray(total).buffer);
}

function addNoise(
  total: Float32Array,
  width: number,
  height: number,
  octave: number,
  random: () => number,
): void {
  const cells = 2 ** octave;
  const stride = (cells + 1) * 3;
  const lattice = new Float32Array((cells + 1) * stride);
  const amplitude = 360 / cells;
  for (let index = 0; index < lattice.length; index++) lattice[index] = (random() * 2 - 1) * amplitude;
  let index = 0;
  for (let y = 0; y < height; y++) {
    const v = (y / height) * cells;
    const down = v - Math.floor(v);
    const row = Math.floor(v) * stride;
    for (let x = 0; x < width; x++) {
      const u = (x / width) * cells;
      const right = u - Math.floor(u);
      let corner = row + Math.floor(u) * 3;
      for (let channel = 0; channel < 3; channel++, corner++, index++) {
        const upper = (lattice[corner] ?? 0) * (1 - right) + (lattice[corner + 3] ?? 0) * right;
        const lower =
          (lattice[corner + stride] ?? 0) * (1 - right) + (lattice[corner + stride + 3] ?? 0) * right;
        total[index] = (total[index] ?? 0) + upper * (1 - down) + lower * down;
      }
    }
  }
}

function pngChunk(type: string, payload: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), payload]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Mulberry32: small, fast and the same everywhere. @returns numbers in [0, 1) */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
