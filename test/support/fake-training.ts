import type { Dataset } from '../../src/contract/dataset.ts';
import type { WrittenObject } from '../../src/contract/ledger.ts';
import type { TrainRun, TrainSpec } from '../../src/contract/run.ts';
import { stepCommitDocument, type EpochCommit, type StepCommit } from '../../src/contract/training.ts';
import { encodePng } from '../../src/pipeline/decode/encode-png.ts';
import type { SplitItems } from '../../src/pipeline/dataset/read-split.ts';
import type { StagedMicroBatch, TrainedSlab } from '../../src/pipeline/engine/trainer-thread.ts';
import type { BatchFacts } from '../../src/pipeline/engine/trainer-protocol.ts';
import type { TrainingPosition } from '../../src/pipeline/engine/trainer.ts';
import type { CheckpointHeader } from '../../src/pipeline/model/checkpoint.ts';
import { writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import type { TrainingDevice } from '../../src/pipeline/training/epoch-task.ts';
import type { TrainingSetup } from '../../src/pipeline/training/training-setup.ts';
import type { EpochObserver } from '../../src/workers/epoch-tally.ts';
import { fakeEpoch, fakeTrainRun } from './fake-train-run.ts';

/** Side of the network's input, in pixels. */
export const FAKE_SIDE = 4;

/** Three epochs in batches of 4 and micro-batches of 2, with a checkpoint every 2 steps; no randomness in the images. */
export function tinyTrainRun(
  recipe: Partial<TrainSpec['recipe']> = {},
  spec: Partial<TrainSpec> = {},
): TrainRun {
  const run = fakeTrainRun({ checkpointSteps: 2, keepCheckpoints: 0, ...spec });
  const { augmentation } = run.spec.recipe;
  return {
    ...run,
    spec: {
      ...run.spec,
      recipe: {
        ...run.spec.recipe,
        epochs: 3,
        batchSize: 4,
        microBatchSize: 2,
        warmupEpochs: 0,
        schedule: { kind: 'constant' },
        augmentation: { ...augmentation, crop: { kind: 'center-crop', resizeTo: FAKE_SIDE } },
        ...recipe,
      },
    },
  };
}

/** A run on a dataset in memory, as a submit would have written it. */
export function submittedTrainRun(
  { digest }: Pick<Dataset, 'digest'>,
  recipe: Partial<TrainSpec['recipe']> = {},
  spec: Partial<TrainSpec> = {},
): TrainRun {
  const run = fakeTrainRun();
  return fakeTrainRun({
    recipe: { ...run.spec.recipe, batchSize: 8, microBatchSize: 8, learningRate: 0.001, ...recipe },
    dataset: { uri: 'memory://dataset/', digest },
    ...spec,
  });
}

export interface FakeSplit {
  readonly items: SplitItems;
  /** Items in the order in which they were read. */
  readonly read: number[];
  /** Called before an item is read. */
  onRead: (item: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Images of one colour, which tells the item; its class is its parity. */
export async function fakeSplit(count: number): Promise<FakeSplit> {
  const images = await Promise.all(Array.from({ length: count }, (_, item) => imageOf(item)));
  const read: number[] = [];
  const split: FakeSplit = {
    read,
    onRead: () => Promise.resolve(),
    items: {
      count,
      shard: new Uint32Array(count),
      offsets: new Float64Array(count),
      lengths: new Uint32Array(count),
      classes: Uint16Array.from({ length: count }, (_, item) => item % 2),
      widths: new Uint16Array(count).fill(FAKE_SIDE),
      heights: new Uint16Array(count).fill(FAKE_SIDE),
      tars: ['train/000000.tar'],
      async readItem(item, signal) {
        await split.onRead(item, signal);
        read.push(item);
        return images[item] ?? new Uint8Array();
      },
    },
  };
  return split;
}

const encoded = new Map<number, Promise<Uint8Array>>();

function imageOf(item: number): Promise<Uint8Array> {
  const pixels = new Uint8Array(FAKE_SIDE * FAKE_SIDE * 3).fill(item);
  const image = encoded.get(item) ?? encodePng(pixels, { width: FAKE_SIDE, height: FAKE_SIDE, channels: 3 });
  encoded.set(item, image);
  return image;
}

/** What `trainEpoch` needs to know of a run; the rest is left out. */
export function fakeSetup(
  run: TrainRun,
  train: FakeSplit,
  validation: FakeSplit,
  stepsPerEpoch: number,
): TrainingSetup {
  const setup: object = {
    run,
    train: train.items,
    validation: validation.items,
    stepsPerEpoch,
    preprocessing: { resize: { kind: 'short-side', size: FAKE_SIDE } },
    dataset: { classes: ['even', 'odd'], meanPixel: [0, 0, 0], eigenvalues: [1, 1, 1], eigenvectors: [] },
    trainer: { architecture: { input: { width: FAKE_SIDE, height: FAKE_SIDE } }, colour: false },
  };
  return setup as TrainingSetup;
}

interface TrainRequest extends BatchFacts {
  readonly position: TrainingPosition;
  readonly learningRate: number;
}

/**
 * A device whose one weight is a sum over everything it was trained on, in order: it tells whether two trainings were
 * the same. As on a real one, a batch counts when its last micro-batch is done.
 */
export class FakeDevice implements TrainingDevice {
  readonly mirrors: boolean = false;
  /** Micro-batches that were handed over and neither trained on nor released. */
  staged = 0;
  readonly trained: { readonly epoch: number; readonly step: number; readonly micro: number }[] = [];
  readonly microBatches: number;
  evaluated = 0;
  weight: number;
  /** Called before each micro-batch; what it returns is the loss. */
  onTrain: (request: TrainRequest) => number | Promise<number> = () => 0.1;
  onEvaluate: () => number | Promise<number> = () => 0.2;
  onCheckpoint: (header: CheckpointHeader) => void | Promise<void> = () => {};
  #sum = 0;

  constructor({ batchSize, microBatchSize }: TrainSpec['recipe'], weight = 1) {
    this.microBatches = batchSize / microBatchSize;
    this.weight = weight;
  }

  stage(slab: ArrayBuffer, batch: BatchFacts): StagedMicroBatch {
    this.staged += 1;
    return {
      train: (position, learningRate) => {
        this.staged -= 1;
        return this.#train(slab, { ...batch, position, learningRate });
      },
      release: async () => {
        this.staged -= 1;
        return slab;
      },
    };
  }

  async #train(slab: ArrayBuffer, request: TrainRequest): Promise<TrainedSlab> {
    const loss = await this.onTrain(request);
    const { epoch, step, micro } = request.position;
    this.trained.push({ epoch, step, micro });
    if (micro === 0) this.#sum = 0;
    const pixels = new Uint8Array(slab);
    this.#sum += (pixels[0] ?? 0) + 3 * (pixels.at(-1) ?? 0) + (request.labels[0] ?? 0);
    if (micro === this.microBatches - 1) {
      this.weight = Math.fround(this.weight * 0.9 + request.learningRate * this.#sum);
    }
    return { slab, statistics: this.#statistics(request.labels.length, loss) };
  }

  async evaluate(slab: ArrayBuffer, _labels: Int32Array, count: number): Promise<TrainedSlab> {
    const loss = await this.onEvaluate();
    this.evaluated += count;
    return { slab, statistics: this.#statistics(count, loss) };
  }

  async checkpoint(header: CheckpointHeader): Promise<Uint8Array> {
    // As the real one, which does requests in order: the state is that of now.
    const data = Float32Array.of(this.weight);
    await this.onCheckpoint(header);
    return writeSafetensors(new Map([['weight', { shape: [1], data }]]), {
      position: `${header.epoch}-${header.step}`,
    });
  }

  #statistics(items: number, loss: number): TrainedSlab['statistics'] {
    return { items, lossSum: loss * items, top1Correct: items - 1, top5Correct: items };
  }
}

const written = (key: string): WrittenObject => ({ key, bytes: 1, digest: `sha256:${key}`, rows: 1 });

/** An epoch that is done, with objects of its own. @param error validation top-1 error */
export function fakeEpochCommit(
  epoch: number,
  error: number,
  fields: Partial<EpochCommit> = {},
): EpochCommit {
  return {
    ...fakeEpoch(epoch, 0.5, error),
    token: 'token00000',
    committedAt: `2026-01-02T03:04:${String(10 + epoch)}.000Z`,
    checkpoint: written(`checkpoints/${epoch}.safetensors`),
    metrics: written(`metrics/${epoch}.jsonl`),
    ...fields,
  };
}

export function fakeStepCommit(epoch: number, step: number, fields: Partial<StepCommit> = {}): StepCommit {
  return {
    schema: stepCommitDocument.id,
    run: fakeTrainRun().run,
    epoch,
    step,
    token: 'token00000',
    worker: 'w',
    committedAt: '2026-01-02T03:04:06.000Z',
    checkpoint: written(`checkpoints/${epoch}-${step}.safetensors`),
    metrics: written(`metrics/${epoch}-${step}.jsonl`),
    totals: {
      items: step * 4,
      lossSum: step,
      top1Correct: step,
      top5Correct: step,
      seconds: 1,
      dataWaitSeconds: 0,
    },
    ...fields,
  };
}

/** Nobody hears what epochs do. */
export const ignoredActivity: EpochObserver = {
  jobStandsAt: () => {},
  epochProgress: () => {},
  stepsCommitted: () => {},
  epochEnded: () => {},
};
