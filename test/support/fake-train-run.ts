import { runDocument, type TrainRun, type TrainSpec } from '../../src/contract/run.ts';
import { epochCommitDocument, type EpochCommit } from '../../src/contract/training.ts';
import { recipeByName } from '../../src/pipeline/recipe/recipes.ts';

/** A training run as a submit would have written it. */
export function fakeTrainRun(spec: Partial<TrainSpec> = {}): TrainRun {
  return {
    schema: runDocument.id,
    run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    createdAt: '2026-01-02T03:04:05.000Z',
    specDigest: 'sha256:00',
    spec: {
      kind: 'train',
      dataset: { uri: 'memory://dataset/', digest: 'sha256:11' },
      recipe: recipeByName('alexnet-small'),
      seed: 0,
      checkpointSteps: 500,
      keepCheckpoints: 2,
      ...spec,
    },
    fencing: 'conditional-put',
    versions: { imagemill: '0.0.0', node: '20.0.0' },
  };
}

/** An epoch that is done. @param top1Error of training and validation; null: there is no validation split */
export function fakeEpoch(epoch: number, train: number, validation: number | null): EpochCommit {
  const metrics = (top1Error: number) => ({
    loss: 2 * top1Error,
    top1Error,
    top5Error: top1Error / 4,
    items: 100,
  });
  const written = { key: `checkpoints/${epoch}`, bytes: 1, digest: 'sha256:22', rows: 0 };
  return {
    schema: epochCommitDocument.id,
    run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    epoch,
    token: 'token00001',
    worker: 'w',
    committedAt: '2026-01-02T03:05:00.000Z',
    steps: 10,
    learningRate: 0.01,
    train: metrics(train),
    validation: validation === null ? null : metrics(validation),
    seconds: 5,
    imagesPerSecond: 20,
    dataWaitShare: 0.1,
    checkpoint: written,
    metrics: written,
  };
}
