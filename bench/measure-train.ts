/**
 * Child process: trains on random pixels, and nothing else. Arguments: architecture, batch size, steps, warm-up steps,
 * classes; then engine and device, onnxruntime on the processor where they are left out.
 */
import { randomFillSync } from 'node:crypto';
import { initialArchitecture } from './train-network.ts';
import { readSettings } from '../src/config/environment.ts';
import { ENGINES } from '../src/pipeline/engine/engine.ts';
import { TrainerThread, type StagedMicroBatch } from '../src/pipeline/engine/trainer-thread.ts';
import { listGpus } from '../src/workers/nvidia-smi.ts';
import { CORES } from './machine.ts';

const KIB = 1_024;
const [name = '', batchText, stepsText, warmUpText, classesText] = process.argv.slice(2);
const [batchSize, steps, warmUp, classes] = [batchText, stepsText, warmUpText, classesText].map(Number) as [
  number,
  number,
  number,
  number,
];
const [engineName = 'onnxruntime', deviceName = 'cpu'] = process.argv.slice(7);
const engine = ENGINES.find((known) => known === engineName);
if (engine === undefined) throw new Error(`expected an engine ${ENGINES.join(', ')}, got ${engineName}`);
const { spec, facts } = initialArchitecture(name, batchSize, classes);
const trainer = await TrainerThread.start({
  engine,
  device: deviceName,
  tensorflowDirectory: readSettings(process.env).worker.tensorflowDirectory,
  threads: CORES,
  spec,
  facts,
  initial: { kind: 'random' },
});
const { height, width } = spec.architecture.input;
/** One that is trained on, and one that is handed over meanwhile, as in an epoch. */
const slabs = Array.from(
  { length: 2 },
  () => randomFillSync(new Uint8Array(batchSize * height * width * 3)).buffer,
);
const labels = Int32Array.from({ length: batchSize }, (_, index) => index % classes);
let step = 0;
let loss = Number.NaN;

function stage(): StagedMicroBatch {
  const slab = slabs.pop();
  if (slab === undefined) throw new Error('expected a slab');
  return trainer.stage(slab, { labels, colour: null, mirrored: null });
}

async function train(count: number): Promise<void> {
  let staged = stage();
  for (let index = 0; index < count; index++) {
    const trained = staged.train({ epoch: 1, step: step++, micro: 0 }, 0.01);
    staged = stage();
    const { slab, statistics } = await trained;
    slabs.push(slab);
    loss = statistics.lossSum / batchSize;
  }
  slabs.push(await staged.release());
}

/** In use on all GPUs, by whomever; null where the driver does not say. */
async function gpuBytes(): Promise<number | null> {
  if (!deviceName.startsWith('cuda')) return null;
  const used = (await listGpus())?.map(({ facts }) => facts.memoryUsedBytes ?? Number.NaN);
  return used === undefined ? null : used.reduce((sum, bytes) => sum + bytes, 0);
}

await train(warmUp);
const warmBytes = process.memoryUsage.rss();
const warmGpuBytes = await gpuBytes();
const startedAtMs = performance.now();
await train(steps);
const seconds = (performance.now() - startedAtMs) / 1_000;
const peakBytes = process.resourceUsage().maxRSS * KIB;
const grownBytes = process.memoryUsage.rss() - warmBytes;
const grownGpuBytes = warmGpuBytes === null ? null : ((await gpuBytes()) ?? Number.NaN) - warmGpuBytes;
process.stdout.write(
  `${JSON.stringify({ images: steps * batchSize, seconds, loss, peakBytes, grownBytes, grownGpuBytes })}\n`,
);
await trainer.terminate();
