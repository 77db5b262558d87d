/** Child process: classifies full slabs on a device thread, and nothing else. Arguments: model, batch size, images. */
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DeviceThread } from '../src/pipeline/engine/device-thread.ts';
import { loadModel } from '../src/pipeline/engine/load-model.ts';
import { CORES } from './machine.ts';

/** One slab on the device, the next waiting for it. */
const SLABS = 2;
const WARM_UP_BATCHES = 4;

const [path = '', batchSizeText = '64', imagesText = '0'] = process.argv.slice(2);
const batchSize = Number(batchSizeText);
const model = await loadModel(readFileSync(path), { uri: path });
const graph = model.compile({ topK: 5, batchSize, crops: 1, embeddings: false });
const slabBytes = batchSize * graph.height * graph.width * 3;
const device = await DeviceThread.start(graph, { engine: 'onnxruntime', device: 'cpu', threads: CORES });

async function classifyBatches(batches: number): Promise<void> {
  let left = batches;
  await Promise.all(
    Array.from({ length: SLABS }, async () => {
      let slab = randomFillSync(new Uint8Array(slabBytes)).buffer;
      while (left-- > 0) ({ slab } = await device.classify(slab, batchSize));
    }),
  );
}

await classifyBatches(WARM_UP_BATCHES);
const batches = Math.ceil(Number(imagesText) / batchSize);
const startedAtMs = performance.now();
await classifyBatches(batches);
const seconds = (performance.now() - startedAtMs) / 1_000;
process.stdout.write(`${JSON.stringify({ images: batches * batchSize, seconds })}\n`);
await device.terminate();
