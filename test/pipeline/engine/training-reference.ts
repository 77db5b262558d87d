/** Runs the cases of test/reference/training and says how far every tensor is from what PyTorch computed. */
import { readFileSync } from 'node:fs';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import type {
  BatchStatistics,
  MicroBatch,
  Trainer,
  TrainingState,
} from '../../../src/pipeline/engine/trainer.ts';
import { batchOf, EPOCH, partOf, type TrainingCase } from '../../reference/training/cases.ts';
import type { ConformanceEngine } from './conformance-engine.ts';
import { distance, LOGITS, withoutDecay } from './training-support.ts';

interface Statistics {
  readonly lossSum: number;
  readonly top1: number;
  readonly top5: number;
}

export interface TensorReference {
  readonly norm: number;
  /** float32, little-endian, base64. */
  readonly samples: string;
}

export interface TrainingReference {
  /** Which of its batches each step takes. */
  readonly variants: readonly number[];
  readonly steps: readonly Statistics[];
  readonly evaluation: Statistics;
  readonly tensors: Readonly<Record<string, TensorReference>>;
}

export function readTrainingReference(path: string): TrainingReference {
  return JSON.parse(readFileSync(path, 'utf8')) as TrainingReference;
}

/** What is kept of a tensor: see `sample` in make-reference.py. */
interface Sketch {
  readonly norm: number;
  readonly samples: Float32Array;
}

const SAMPLES = 96;

function sketch(values: Float32Array): Sketch {
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += (values[index] ?? Number.NaN) ** 2;
  const place = (index: number): number =>
    Math.floor(((Math.imul(index + 1, 0x9e3779b1) >>> 0) / 2 ** 32) * values.length);
  const samples =
    values.length <= SAMPLES
      ? values.slice()
      : Float32Array.from({ length: SAMPLES }, (_, index) => values[place(index)] ?? Number.NaN);
  return { norm: Math.sqrt(squares), samples };
}

function decode({ norm, samples }: TensorReference): Sketch {
  const bytes = Buffer.from(samples, 'base64');
  const values = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));
  return { norm, samples: Float32Array.from(values) };
}

export interface CaseResult {
  readonly steps: readonly Statistics[];
  readonly evaluation: Statistics;
  readonly tensors: ReadonlyMap<string, Sketch>;
}

/** An engine's version of everything that a reference has. */
export async function runCase(
  training: TrainingCase,
  engine: ConformanceEngine,
  weights: StateDict,
  { variants }: TrainingReference,
): Promise<CaseResult> {
  const batches = variants.map((variant, step) => batchOf(training, step, variant));
  const [first, last] = [batches.at(0), batches.at(-1)];
  if (first === undefined || last === undefined) throw new Error(`${training.name}: no steps`);
  const tensors = await firstStep(training, engine, weights, first);
  const trainer = await engine.create(training.spec, { weights, velocities: new Map() });
  const steps: Statistics[] = [];
  for (const [step, batch] of batches.entries()) {
    steps.push(await trainStep(training, trainer, batch, step));
    if (step === 0 || step === batches.length - 1) sketchState(tensors, trainer.state(), step + 1);
  }
  const evaluation = await evaluate(training, trainer, last);
  await trainer.close();
  return { steps, evaluation, tensors };
}

/** One batch, a micro-batch at a time. */
export async function trainStep(
  { spec, learningRate }: TrainingCase,
  trainer: Trainer,
  batch: MicroBatch,
  step: number,
): Promise<Statistics> {
  const { batchSize, microBatchSize } = spec;
  const parts: BatchStatistics[] = [];
  for (let micro = 0; micro < batchSize / microBatchSize; micro++) {
    const part = partOf(batch, micro * microBatchSize, (micro + 1) * microBatchSize);
    parts.push(await trainer.train(part, { epoch: EPOCH, step, micro }, learningRate));
  }
  return total(parts);
}

/** A micro-batch at a time, filled up with the first items again, which must not count; one image fills its own. */
async function evaluate(
  { spec }: TrainingCase,
  trainer: Trainer,
  { images, labels }: MicroBatch,
): Promise<Statistics> {
  const { batchSize, microBatchSize: rows } = spec;
  const doubled = {
    images: Uint8Array.from({ length: 2 * images.length }, (_, index) => images[index % images.length] ?? 0),
    labels: Int32Array.from([...labels, ...labels]),
    colour: null,
    mirrored: null,
  };
  const parts: BatchStatistics[] = [];
  const counted = Math.max(1, rows - 1);
  for (let first = 0; first < batchSize; first += counted) {
    const count = Math.min(counted, batchSize - first);
    parts.push(await trainer.evaluate(partOf(doubled, first, first + rows), count));
  }
  return total(parts);
}

function total(parts: readonly BatchStatistics[]): Statistics {
  const sum = (valueOf: (part: BatchStatistics) => number): number =>
    parts.reduce((result, part) => result + valueOf(part), 0);
  return {
    lossSum: sum(({ lossSum }) => lossSum),
    top1: sum(({ top1Correct }) => top1Correct),
    top5: sum(({ top5Correct }) => top5Correct),
  };
}

/** Logits and gradients of the first batch: without decay the first velocities, from zero, are the gradients. */
async function firstStep(
  training: TrainingCase,
  engine: ConformanceEngine,
  weights: StateDict,
  batch: MicroBatch,
): Promise<Map<string, Sketch>> {
  const { batchSize, microBatchSize: rows } = training.spec;
  const undecayed = { ...training, spec: withoutDecay(training.spec) };
  const logits: number[] = [];
  for (let micro = 0; micro < batchSize / rows; micro++) {
    const part = partOf(batch, micro * rows, (micro + 1) * rows);
    const position = { epoch: EPOCH, step: 0, micro };
    logits.push(...(await engine.logits(undecayed.spec, weights, part, position)));
  }
  const trainer = await engine.create(undecayed.spec, { weights, velocities: new Map() });
  await trainStep(undecayed, trainer, batch, 0);
  const tensors = new Map([[LOGITS, sketch(Float32Array.from(logits))]]);
  for (const [name, { data }] of trainer.state().velocities) tensors.set(`gradient:${name}`, sketch(data));
  await trainer.close();
  return tensors;
}

function sketchState(
  tensors: Map<string, Sketch>,
  { weights, velocities }: TrainingState,
  step: number,
): void {
  for (const [name, { data }] of velocities) {
    tensors.set(`velocity${step}:${name}`, sketch(data));
    tensors.set(`weight${step}:${name}`, sketch(weights.get(name)?.data ?? new Float32Array()));
  }
}

/** How far rounding alone may drive two weights apart in some steps, as a part of their size. */
const WEIGHT_ROUNDING = 2 ** -21;

/**
 * By name of the tensor: its relative error, or that of its norm, whichever is larger. Weights change little in a few
 * steps, so that what counts is the error of the change, apart from rounding.
 */
export function errorsOf(
  { steps, evaluation, tensors }: CaseResult,
  reference: TrainingReference,
  weights: StateDict,
): Map<string, number> {
  const errors = new Map<string, number>();
  for (const [name, encoded] of Object.entries(reference.tensors)) {
    const expected = decode(encoded);
    const actual = tensors.get(name) ?? { norm: Number.NaN, samples: new Float32Array() };
    const error = Math.max(
      distance(actual.samples, expected.samples),
      distance([actual.norm], [expected.norm]),
    );
    const before = name.startsWith('weight') ? weights.get(name.slice(name.indexOf(':') + 1)) : undefined;
    const change = before === undefined ? 0 : errorOfChange(actual, expected, sketch(before.data));
    errors.set(name, Math.max(error, change));
  }
  const compare = (name: string, actual: Statistics | undefined, expected: Statistics): void => {
    errors.set(`${name} loss`, distance([actual?.lossSum ?? Number.NaN], [expected.lossSum]));
  };
  reference.steps.forEach((expected, index) => compare(`step ${index + 1}`, steps[index], expected));
  compare('evaluation', evaluation, reference.evaluation);
  return errors;
}

function errorOfChange(actual: Sketch, expected: Sketch, before: Sketch): number {
  const wrong = distance(actual.samples, expected.samples) - WEIGHT_ROUNDING;
  return wrong > 0 ? wrong / distance(before.samples, expected.samples) : 0;
}
