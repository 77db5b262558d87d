/** Entry of the benchmarks; `scripts/bench.mjs` sets the machine up first. */
import { parseArgs } from 'node:util';
import { benchClassify } from './classify.ts';
import { benchDashboard } from './dashboard.ts';
import { benchGpu } from './gpu.ts';
import { benchMemory } from './memory.ts';
import { benchMnist } from './mnist.ts';
import { benchPlan } from './plan.ts';
import { benchTrain } from './train.ts';

const DEFAULT_IMAGES = {
  classify: 2_400,
  memory: 20_000,
  plan: 1_000_000,
  train: 640,
  mnist: 60_000,
  /** Runs. */
  dashboard: 10_000,
  gpu: 20_000,
} as const;
const TRAIN_BATCH_SIZE = 64;
type Benchmark = keyof typeof DEFAULT_IMAGES;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string' },
    repetitions: { type: 'string', default: '3' },
    'skip-peers': { type: 'boolean', default: false },
    cli: { type: 'string', default: 'dist/cli.js' },
    /** Of `gpu` alone, as the next two are. */
    device: { type: 'string', default: 'cuda:0' },
    steps: { type: 'string', default: '1000' },
    'batch-size': { type: 'string', default: '256' },
  },
});

function isBenchmark(name: string | undefined): name is Benchmark {
  return name !== undefined && name in DEFAULT_IMAGES;
}

function positiveInteger(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`expected ${option} of 1 or more, got ${text}`);
}

async function main(): Promise<void> {
  const name = positionals[0];
  if (!isBenchmark(name) || positionals.length > 1) {
    throw new Error(
      `expected one of ${Object.keys(DEFAULT_IMAGES).join(', ')}, got ${positionals.join(' ')}`,
    );
  }
  const images = positiveInteger('--images', values.images ?? String(DEFAULT_IMAGES[name]));
  const repetitions = positiveInteger('--repetitions', values.repetitions);
  const { cli } = values;
  if (name === 'classify') {
    await benchClassify({ images, repetitions, skipPeers: values['skip-peers'], cli });
  } else if (name === 'train') {
    const steps = Math.max(1, Math.floor(images / TRAIN_BATCH_SIZE));
    await benchTrain({ steps, repetitions, skipPeers: values['skip-peers'], cli });
  } else if (name === 'mnist') await benchMnist({ cli });
  else if (name === 'dashboard') await benchDashboard({ runs: images, cli });
  else if (name === 'gpu') {
    const { device } = values;
    const steps = positiveInteger('--steps', values.steps);
    await benchGpu({
      device,
      images,
      steps,
      batchSize: positiveInteger('--batch-size', values['batch-size']),
    });
  } else if (name === 'memory') await benchMemory({ images, cli });
  else await benchPlan({ keys: images });
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
