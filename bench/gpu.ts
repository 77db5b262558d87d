/**
 * What a GPU makes of imagemill, without a network: the conformance suite, then labelling and training on every engine
 * that can run on it, beside PyTorch where that is installed. What cannot run says why.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensorflowEnvironment } from '../src/pipeline/engine/tensorflow/process-environment.ts';
import { driverVersion } from '../src/pipeline/engine/tensorflow/load-library.ts';
import { listGpus } from '../src/workers/nvidia-smi.ts';
import { lastJson, measureInChild, runChild } from './child.ts';
import { CACHE, CORES, ROOT } from './machine.ts';
import { prepareModel } from './models.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';
import type { TrainMeasurement } from './train.ts';

const ARCHITECTURE = 'alexnet-owt';
const CLASSES = 1_000;
const WARM_UP_STEPS = 20;
const CLASSIFY_BATCH_SIZE = 256;
const BYTES_PER_MB = 1e6;
const TARGETS = {
  torch: { kind: 'at-least', value: 0.8 },
  /** Flat, but for what an allocator rounds up and a heap that has not been swept. */
  grown: { kind: 'below', value: 64 },
  grownGpu: { kind: 'below', value: 16 },
} as const;
/** Whatever interpreter has a torch for the device. */
const PYTHON = process.env['PYTHON'] ?? 'python3';

export interface GpuBenchOptions {
  /** `cuda:0`; `cpu` goes through everything where there is no GPU. */
  readonly device: string;
  readonly images: number;
  readonly batchSize: number;
  /** Steps of each measurement of training; memory is to stay flat over them. */
  readonly steps: number;
}

interface Skipped {
  readonly skipped: string;
}

/** A measurement, or why there is none. */
type Row<M> = { readonly name: string } & (M | Skipped);

interface ConformanceReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export async function benchGpu(options: GpuBenchOptions): Promise<void> {
  const { device } = options;
  if (device !== 'cpu' && driverVersion() === null) {
    throw new Error(
      `expected an NVIDIA driver for ${device}, found none (--device cpu goes through all the same)`,
    );
  }
  const gpus = await listGpus();
  progress('conformance of every engine');
  const conformance = await runConformance();
  say(
    row('conformance', [
      `${conformance.passed} passed, ${conformance.failed} failed, ${conformance.skipped} skipped`,
    ]),
  );
  const classify = await measureClassify(options);
  const train = await measureTrain(options);
  const checks = checksOf(train);
  sayChecks(checks);
  const names = gpus?.map(({ facts }) => facts.name) ?? [];
  await writeResults('gpu', {
    device,
    gpus: names,
    driver: driverVersion(),
    options,
    checks,
    conformance,
    classify,
    train,
  });
  if (conformance.failed > 0)
    throw new Error(`expected no failure of conformance, got ${conformance.failed}`);
}

/** What can run on the device, by engine. */
function targetsOf(device: string): { readonly engine: string; readonly device: string }[] {
  const webgpu = device === 'cpu' ? [] : [{ engine: 'onnxruntime', device: 'webgpu' }];
  return [{ engine: 'onnxruntime', device }, ...webgpu, { engine: 'tensorflow', device }];
}

function environmentOf({ engine, device }: { engine: string; device: string }): Record<string, string> {
  return engine === 'tensorflow' ? tensorflowEnvironment(device, process.env) : {};
}

async function runConformance(): Promise<ConformanceReport> {
  const folder = await mkdtemp(join(tmpdir(), 'imagemill-conformance-'));
  try {
    const report = join(folder, 'report.json');
    const args = ['vitest', 'run', 'test/pipeline/engine', '--reporter=json', `--outputFile=${report}`];
    await new Promise((resolve) => {
      spawn('npx', args, { cwd: ROOT, stdio: 'ignore' }).once('close', resolve);
    });
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
      await readFile(report, 'utf8'),
    ) as Record<string, number>;
    return { passed: numPassedTests ?? 0, failed: numFailedTests ?? 0, skipped: numPendingTests ?? 0 };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measureClassify({ device, images }: GpuBenchOptions): Promise<unknown[]> {
  const { safetensors } = await prepareModel(CACHE, ARCHITECTURE);
  const rows: Row<{ images: number; seconds: number }>[] = [];
  for (const target of targetsOf(device)) {
    const name = `labelling, ${target.engine} ${target.device}`;
    progress(name);
    const args = [safetensors, CLASSIFY_BATCH_SIZE, images, target.engine, target.device].map(String);
    const module = new URL('./measure-compute.ts', import.meta.url);
    const measured = await orWhyNot(() =>
      measureInChild<{ images: number; seconds: number }>(module, args, { env: environmentOf(target) }),
    );
    rows.push({ name, ...measured });
    sayRow(name, measured);
  }
  return rows;
}

async function measureTrain({ device, batchSize, steps }: GpuBenchOptions): Promise<Row<TrainMeasurement>[]> {
  const rows: Row<TrainMeasurement>[] = [];
  const counts = [batchSize, steps, WARM_UP_STEPS].map(String);
  const add = async (name: string, measure: () => Promise<TrainMeasurement>): Promise<void> => {
    progress(name);
    const measured = await orWhyNot(measure);
    rows.push({ name, ...measured });
    sayRow(name, measured);
  };
  for (const target of targetsOf(device)) {
    const args = [ARCHITECTURE, ...counts, String(CLASSES), target.engine, target.device];
    const module = new URL('./measure-train.ts', import.meta.url);
    await add(`training, ${target.engine} ${target.device}`, () =>
      measureInChild<TrainMeasurement>(module, args, { env: environmentOf(target) }),
    );
  }
  const torchDevice = device.startsWith('cuda') ? 'cuda' : 'cpu';
  if (spawnSync(PYTHON, ['-c', 'import torch, torchvision']).status === 0) {
    const args = ['bench/peers/torch_train.py', ...counts, String(CORES), String(CLASSES), torchDevice];
    await add(
      `training, PyTorch ${torchDevice}`,
      async () => lastJson(await runChild(PYTHON, args)) as TrainMeasurement,
    );
  } else say(row('training, PyTorch', [`skipped: ${PYTHON} has no torch and torchvision`]));
  return rows;
}

/** Of what was measured; what was not has no check. */
function checksOf(rows: readonly Row<TrainMeasurement>[]): Check[] {
  const find = (engine: string): TrainMeasurement | undefined =>
    rows
      .flatMap((measured) => ('skipped' in measured ? [] : [measured]))
      .find(({ name }) => name.includes(engine));
  const [own, torch] = [find('tensorflow'), find('PyTorch')];
  const checks: Check[] = [];
  if (own === undefined) return checks;
  const speed = ({ images, seconds }: TrainMeasurement): number => images / seconds;
  if (torch !== undefined) {
    const value = speed(own) / speed(torch);
    checks.push({ name: '--engine tensorflow ÷ PyTorch', value, unit: '×', target: TARGETS.torch });
  }
  const grown = (name: string, bytes: number | null | undefined, target: Check['target']): void => {
    if (typeof bytes === 'number') checks.push({ name, value: bytes / BYTES_PER_MB, unit: 'MB', target });
  };
  grown('growth of the process', own.grownBytes, TARGETS.grown);
  grown('growth on the GPU', own.grownGpuBytes, TARGETS.grownGpu);
  return checks;
}

async function orWhyNot<M>(measure: () => Promise<M>): Promise<M | Skipped> {
  try {
    return await measure();
  } catch (error) {
    const lines = (error instanceof Error ? error.message : String(error)).split('\n');
    return { skipped: lines.find((line) => /Error/.test(line)) ?? lines[0] ?? 'no reason given' };
  }
}

function sayRow(name: string, measured: { images: number; seconds: number } | Skipped): void {
  const value =
    'skipped' in measured
      ? `skipped: ${measured.skipped}`
      : `${(measured.images / measured.seconds).toFixed(1)} images/s`;
  say(row(name, [value]));
}
