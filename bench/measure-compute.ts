/**
 * Child process: classifies full slabs on a device thread, and nothing else. Arguments: model, batch size, images; then
 * engine and device, onnxruntime on the processor where they are left out.
 */
import { randomFillSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readSettings } from '../src/config/environment.ts';
import { DeviceThread } from '../src/pipeline/engine/device-thread.ts';
import { ENGINES } from '../src/pipeline/engine/engine.ts';
import { loadModel } from '../src/pipeline/engine/load-model.ts';
import { CORES } from './machine.ts';

/** One slab on the device, the next waiting for it. */
const SLABS = 2;
const WARM_UP_BATCHES = 4;

const [path = '', batchSizeText = '64', imagesText = '0', engineName = 'onnxruntime', deviceName = 'cpu'] =
  process.argv.slice(2);
const engine = ENGINES.find((known) => known === engineName);
if (engine === undefined) throw new Error(`expected an engine ${ENGINES.join(', ')}, got ${engineName}`);
const batchSize = Number(batchSizeText);
const bytes = readFileSync(path);
const { card } = await loadModel(bytes, { uri: path });
const device = await DeviceThread.start(
  { bytes, card, compile: { topK: 5, batchSize, crops: 1, embeddings: false } },
  {
    engine,
    device: deviceName,
    threads: CORES,
    tensorflowDirectory: readSettings(process.env).worker.tensorflowDirectory,
  },
);
const slabBytes = batchSize * device.graph.height * device.graph.width * 3;

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
