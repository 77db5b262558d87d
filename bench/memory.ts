/** Whether a worker's memory grows with the number of images. */
import { link, mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CACHE } from './machine.ts';
import { prepareModel } from './models.ts';
import { preparePhotos } from './photos.ts';
import { watchMemory } from './process-tree.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';
import { Service } from './service.ts';

/** A small net: what its 244 MB brother holds would hide what grows. */
const ARCHITECTURE = 'alexnet-small';
const SHARD_SIZE = 250;
const DISTINCT_PHOTOS = 500;
const PHOTO_SIDE = 160;
const SAMPLE_INTERVAL_MS = 100;
const GROWTH_TARGET = { kind: 'below', value: 10 } as const;
const BYTES_PER_MB = 1e6;

export interface MemoryBenchOptions {
  /** Images of the larger run; the smaller has a tenth. */
  readonly images: number;
  readonly cli: string;
}

export async function benchMemory({ images, cli }: MemoryBenchOptions): Promise<void> {
  progress(`preparing ${images} small photos in ${CACHE}`);
  const photos = await prepareLinks(images);
  const { safetensors: model } = await prepareModel(CACHE, ARCHITECTURE);
  const sizes = [Math.ceil(images / 10), images];
  const peaks: number[] = [];
  for (const limit of sizes) {
    progress(`labelling ${limit} images`);
    const service = await Service.start(cli);
    try {
      const watch = watchMemory(service.pid, SAMPLE_INTERVAL_MS);
      await service.classify({ photos, model, out: 'memory', shardSize: SHARD_SIZE, limit });
      peaks.push(watch.stop());
      await service.stop();
    } finally {
      await service.kill();
    }
  }

  const [smaller = 0, larger = 0] = peaks;
  const checks: Check[] = [
    { name: 'growth of the peak', value: 100 * (larger / smaller - 1), unit: '%', target: GROWTH_TARGET },
  ];
  say(`\n${ARCHITECTURE}, photos of ${PHOTO_SIDE} pixels, a fresh worker for each run\n`);
  say(row('peak memory of the worker, all processes', ['MB']));
  sizes.forEach((size, index) => say(row(`  ${size} images`, [(peaks[index] ?? 0) / BYTES_PER_MB])));
  say();
  sayChecks(checks);
  await writeResults('memory', {
    settings: { architecture: ARCHITECTURE, shardSize: SHARD_SIZE, photoSide: PHOTO_SIDE },
    images: sizes,
    peakBytes: peaks,
    checks,
  });
}

/** Many names for a few files: what a worker holds does not depend on whether pixels repeat. */
async function prepareLinks(count: number): Promise<string> {
  const originals = await preparePhotos(
    join(CACHE, `photos-${PHOTO_SIDE}`),
    Math.min(count, DISTINCT_PHOTOS),
    PHOTO_SIDE,
  );
  const folder = join(CACHE, `photos-${PHOTO_SIDE}-links`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (let index = 0; index < count; index++) {
    const original = originals[index % originals.length] ?? '';
    await link(original, join(folder, `${String(index).padStart(7, '0')}-${basename(original)}`));
  }
  return folder;
}
