import sharp from 'sharp';
import { expect, it } from 'vitest';
import { ImageError } from '../../../src/contract/errors.ts';
import { fillSlab } from '../../../src/pipeline/batch/fill-slab.ts';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';
import { SlabPool } from '../../../src/pipeline/batch/slab-pool.ts';
import { StageClock } from '../../../src/pipeline/batch/stage-clock.ts';
import type { ClassifyResources } from '../../../src/pipeline/classify-resources.ts';
import { createDecoder } from '../../../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import { shortSide } from '../decode/decoding.ts';

const SLOT_BYTES = 2 * 2 * 3;

it('tells of every fetched and every decoded image, and keeps a bad one out of the slots of others', async () => {
  const items = ['a', 'bad', 'c'].map((uri) => ({ uri }));
  const resources = {
    graph: { cropsPerItem: 1, height: 2, width: 2 },
    slabs: new SlabPool(items.length * SLOT_BYTES, 1),
    fetches: new Semaphore(2),
    preprocessing: shortSide(2, 2),
    reader: { read: async ({ uri }: { uri: string }) => Buffer.from(uri) },
    decoder: {
      decode: async (bytes: Uint8Array, _: unknown, target: Uint8Array) => {
        target.fill(bytes[0] ?? 0);
        if (bytes.length > 1) throw new ImageError('IMAGE_CORRUPT', 'bad');
        return { width: 1, height: 1 };
      },
    },
  } as unknown as ClassifyResources;
  let steps = 0;
  const batch = await fillSlab(items, resources, {
    clock: new StageClock(),
    signal: new AbortController().signal,
    onStep: () => (steps += 1),
  });
  expect(steps).toBe(2 * items.length);
  expect(batch.images.map((image) => image?.uri)).toEqual(['a', undefined, 'c']);
  expect(batch.errors).toEqual([{ uri: 'bad', code: 'IMAGE_CORRUPT', message: 'bad' }]);
  const slots = items.map((_, slot) => [...new Uint8Array(batch.slab, slot * SLOT_BYTES, SLOT_BYTES)]);
  expect(slots.map((pixels) => new Set(pixels))).toEqual([new Set([97]), new Set([0]), new Set([99])]);
});

it('counts the time of decoding without the wait for the images before', async () => {
  const count = 16;
  const create = { width: 640, height: 480, channels: 3, background: 'teal' } as const;
  const bytes = await sharp({ create }).jpeg().toBuffer();
  const resources = {
    graph: { cropsPerItem: 1, height: 48, width: 48 },
    slabs: new SlabPool(count * 48 * 48 * 3, 1),
    fetches: new Semaphore(count),
    preprocessing: shortSide(64, 48),
    reader: { read: async () => bytes },
    decoder: createDecoder({ limits: DEFAULT_DECODE_LIMITS, concurrency: 1 }),
  } as unknown as ClassifyResources;
  const clock = new StageClock();
  const items = Array.from({ length: count }, (_, index) => ({ uri: String(index) }));
  const signal = new AbortController().signal;
  const { errors } = await fillSlab(items, resources, { clock, signal, onStep: () => {} });
  expect(errors).toEqual([]);
  const { decode } = clock.seconds();
  expect(decode).toBeGreaterThan(0);
  // One at a time: with the waits it would be eight times what the clock on the wall shows.
  expect(decode).toBeLessThan(2 * clock.elapsedSeconds());
});
