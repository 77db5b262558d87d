/** Child process: decodes photos that lie in memory, as a worker does, and nothing else. Arguments: folder, count. */
import { readFileSync } from 'node:fs';
import { TORCHVISION_PREPROCESSING } from '../src/contract/model-card.ts';
import { mapAhead } from '../src/pipeline/batch/map-ahead.ts';
import { BATCHES_AHEAD } from '../src/pipeline/classify-resources.ts';
import { createDecoder } from '../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../src/pipeline/decode/decoder.ts';
import { listPhotos } from './inputs.ts';
import { CORES } from './machine.ts';

const BATCH_SIZE = 64;
const { height, width } = TORCHVISION_PREPROCESSING.crop;
const SLOT_BYTES = height * width * 3;

const [folder = '', count = '0'] = process.argv.slice(2);
const photos = (await listPhotos(folder, Number(count))).map((path) => readFileSync(path));
const decoder = createDecoder({ concurrency: CORES, limits: DEFAULT_DECODE_LIMITS });

async function decodeAll(images: readonly Uint8Array[]): Promise<number> {
  const slabs = Array.from({ length: BATCHES_AHEAD }, () => new Uint8Array(BATCH_SIZE * SLOT_BYTES));
  const batches = Array.from({ length: Math.ceil(images.length / BATCH_SIZE) }, (_, index) => index);
  const decoded = mapAhead(batches, BATCHES_AHEAD, async (batch) => {
    const slab = slabs[batch % BATCHES_AHEAD] ?? new Uint8Array();
    const part = images.slice(batch * BATCH_SIZE, (batch + 1) * BATCH_SIZE);
    await Promise.all(
      part.map((bytes, slot) =>
        decoder.decode(
          bytes,
          TORCHVISION_PREPROCESSING,
          slab.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES),
        ),
      ),
    );
    return part.length;
  });
  let done = 0;
  for await (const size of decoded) done += size;
  return done;
}

await decodeAll(photos.slice(0, 2 * BATCH_SIZE));
const startedAtMs = performance.now();
const images = await decodeAll(photos);
const seconds = (performance.now() - startedAtMs) / 1_000;
process.stdout.write(`${JSON.stringify({ images, seconds })}\n`);
