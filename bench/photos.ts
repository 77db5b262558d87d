/** Photo-like JPEGs, the same bytes for the same seed: what the benchmarks label. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

/** JPEG quality of a camera's "fine" setting and of most photo sites. */
const QUALITY = 90;
/** Longer and shorter side of a 4:3 photo as ImageNet has it; both vary a little. */
const LONG_SIDE = 500;
const SHORT_SIDE = 375;
const SIDE_VARIATION = 24;
const PORTRAIT_FRACTION = 0.25;
const WRITES_AT_A_TIME = 16;

const TEXTURE_SIDE = 512;
const TEXTURE_MASK = TEXTURE_SIDE - 1;
const TEXTURE_SEED = 7;

const SHAPES = 130;
const SHAPE_RADIUS = { min: 7, max: 190 } as const;
/** What a lens leaves of hard edges, in pixels. */
const LENS_BLUR_SIGMA = 0.7;
/** Standard deviation of a sensor's noise, in grey levels. */
const GRAIN = 1;

export interface Photo {
  readonly width: number;
  readonly height: number;
  /** (height, width, 3) uint8 RGB. */
  readonly pixels: Uint8Array;
}

/**
 * Overlapping shapes of all sizes, each with a colour, a slope of light and a texture of its own. Such pictures
 * ("dead leaves": Lee, Mumford & Huang 2001) have a photograph's spectrum, edges and contrast, and so a photograph's
 * number of bytes and decoding time.
 */
export function makePhoto(seed: number): Photo {
  const random = createRandom(seed);
  const long = LONG_SIDE + Math.round((random() - 0.5) * 2 * SIDE_VARIATION);
  const short = SHORT_SIDE + Math.round((random() - 0.5) * 2 * SIDE_VARIATION);
  const isPortrait = random() < PORTRAIT_FRACTION;
  const [width, height] = isPortrait ? [short, long] : [long, short];
  const canvas = { width, height, values: new Float32Array(width * height * 3) };
  const palette = Array.from({ length: 4 }, () => [random() * 255, random() * 255, random() * 255]);
  const light = 0.5 + random() * 0.7;

  for (let index = 0; index < SHAPES; index++) {
    // Radii follow a power law: few large things, many small ones; the first shape is the background.
    const radius =
      index === 0
        ? width + height
        : Math.min(SHAPE_RADIUS.max, SHAPE_RADIUS.min / Math.sqrt(1 - random() * 0.998));
    const base = palette[Math.floor(random() * palette.length)] ?? [128, 128, 128];
    paint(canvas, {
      x: random() * width,
      y: random() * height,
      radius,
      flatness: 0.35 + random() * 0.65,
      angle: random() * Math.PI,
      colour: base.map((value) => light * (value * 0.75 + random() * 64)),
      slope: [(random() - 0.5) * 0.5, (random() - 0.5) * 0.5],
      contrast: random() ** 2 * 46,
      textureX: Math.floor(random() * TEXTURE_SIDE),
      textureY: Math.floor(random() * TEXTURE_SIDE),
    });
  }
  return { width, height, pixels: toBytes(canvas.values, random) };
}

/** A photo as a JPEG (baseline, 4:2:0). */
export function encodePhoto({ width, height, pixels }: Photo): Promise<Uint8Array> {
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .blur(LENS_BLUR_SIGMA)
    .jpeg({ quality: QUALITY, chromaSubsampling: '4:2:0' })
    .toBuffer();
}

/**
 * Writes photos 0…count−1 into a folder, unless they are there already.
 * @param size fits the photos into a square of so many pixels; undefined leaves them as they are
 * @returns paths in the order of their names
 */
export async function preparePhotos(folder: string, count: number, size?: number): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const present = new Set(await readdir(folder));
  const names = Array.from({ length: count }, (_, index) => `${String(index).padStart(6, '0')}.jpg`);
  const missing = names.flatMap((name, seed) => (present.has(name) ? [] : [{ name, seed }]));
  for (let start = 0; start < missing.length; start += WRITES_AT_A_TIME) {
    await Promise.all(
      missing.slice(start, start + WRITES_AT_A_TIME).map(async ({ name, seed }) => {
        const jpeg = await encodePhoto(makePhoto(seed));
        const bytes =
          size === undefined ? jpeg : await sharp(jpeg).resize(size, size, { fit: 'inside' }).toBuffer();
        await writeFile(join(folder, name), bytes);
      }),
    );
  }
  return names.map((name) => join(folder, name));
}

interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

interface Shape {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** Shorter axis ÷ longer axis. */
  readonly flatness: number;
  readonly angle: number;
  readonly colour: readonly number[];
  /** Grey levels per pixel to the right and down. */
  readonly slope: readonly [number, number];
  /** Amplitude of the texture, in grey levels. */
  readonly contrast: number;
  readonly textureX: number;
  readonly textureY: number;
}

function paint({ width, height, values }: Canvas, shape: Shape): void {
  const { x, y, radius, flatness, contrast, slope, textureX, textureY } = shape;
  const [red = 0, green = 0, blue = 0] = shape.colour;
  const cosine = Math.cos(shape.angle);
  const sine = Math.sin(shape.angle);
  const texture = sharedTexture();
  const top = Math.max(0, Math.ceil(y - radius));
  const bottom = Math.min(height - 1, Math.floor(y + radius));
  const left = Math.max(0, Math.ceil(x - radius));
  const right = Math.min(width - 1, Math.floor(x + radius));
  for (let row = top; row <= bottom; row++) {
    const dy = row - y;
    const line = ((row + textureY) & TEXTURE_MASK) * TEXTURE_SIDE;
    for (let column = left; column <= right; column++) {
      const dx = column - x;
      const along = (dx * cosine + dy * sine) / radius;
      const across = (dy * cosine - dx * sine) / (radius * flatness);
      if (along * along + across * across > 1) continue;
      const detail = texture[line + ((column + textureX) & TEXTURE_MASK)] ?? 0;
      const shade = dx * slope[0] + dy * slope[1] + contrast * detail;
      const index = (row * width + column) * 3;
      values[index] = red + shade;
      values[index + 1] = green + shade;
      values[index + 2] = blue + shade;
    }
  }
}

function toBytes(values: Float32Array, random: () => number): Uint8Array {
  for (let index = 0; index < values.length; index += 3) {
    // The sum of two uniform numbers is near enough to a bell.
    const noise = (random() + random() - 1) * GRAIN * Math.sqrt(6);
    for (let channel = 0; channel < 3; channel++) {
      values[index + channel] = (values[index + channel] ?? 0) + noise;
    }
  }
  return new Uint8Array(new Uint8ClampedArray(values).buffer);
}

let texture: Float32Array | null = null;

/** Tileable noise of all octaves, each with 0.7 of the amplitude of the coarser one; deviation about 1. */
function sharedTexture(): Float32Array {
  texture ??= makeTexture();
  return texture;
}

function makeTexture(): Float32Array {
  const random = createRandom(TEXTURE_SEED);
  const sum = new Float32Array(TEXTURE_SIDE * TEXTURE_SIDE);
  let amplitude = 1;
  for (let cells = 8; cells <= TEXTURE_SIDE / 2; cells *= 2) {
    addOctave(sum, cells, amplitude, random);
    amplitude *= 0.7;
  }
  const deviation = Math.sqrt(sum.reduce((total, value) => total + value * value, 0) / sum.length);
  return sum.map((value) => value / deviation);
}

function addOctave(sum: Float32Array, cells: number, amplitude: number, random: () => number): void {
  const lattice = Float32Array.from({ length: cells * cells }, () => (random() * 2 - 1) * amplitude);
  const at = (x: number, y: number) => lattice[(y % cells) * cells + (x % cells)] ?? 0;
  for (let y = 0; y < TEXTURE_SIDE; y++) {
    const v = (y * cells) / TEXTURE_SIDE;
    const row = Math.floor(v);
    for (let x = 0; x < TEXTURE_SIDE; x++) {
      const u = (x * cells) / TEXTURE_SIDE;
      const column = Math.floor(u);
      const upper = at(column, row) * (1 - u + column) + at(column + 1, row) * (u - column);
      const lower = at(column, row + 1) * (1 - u + column) + at(column + 1, row + 1) * (u - column);
      sum[y * TEXTURE_SIDE + x] =
        (sum[y * TEXTURE_SIDE + x] ?? 0) + upper * (1 - v + row) + lower * (v - row);
    }
  }
}

/** Mulberry32: small, fast and the same everywhere. @returns numbers in [0, 1) */
function createRandom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
