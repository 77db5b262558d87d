import { UnrecoverableError, WaitingError, type Job } from 'bullmq';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { planDocument } from '../../src/contract/ledger.ts';
import { trainJob } from '../../src/contract/jobs.ts';
import type { EpochCommit } from '../../src/contract/training.ts';
import type { EpochDraft, StepDraft } from '../../src/pipeline/training/epoch-task.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { AttemptOptions } from '../../src/workers/compute/compute-host.ts';
import type { EpochTaskId, WorkKind } from '../../src/workers/compute/protocol.ts';
import { SHUTDOWN_REASON } from '../../src/workers/job-outcome.ts';
import { RunCache } from '../../src/workers/run-cache.ts';
import { createTrainProcessor } from '../../src/workers/train-processor.ts';
import { fakeEpochCommit, fakeStepCommit, ignoredActivity, tinyTrainRun } from '../support/fake-training.ts';
import { NO_S3 } from '../support/object-stores.ts';

type Training = (task: EpochTaskId, options: AttemptOptions<'train'>) => Promise<EpochDraft>;

let scenes = 0;

/** A worker whose compute process trains as told, on a run in memory. */
async function scene(
  training: Training,
  changes: { attempts?: number; attemptsMade?: number; epoch?: number } = {},
) {
  const resolver = createStoreResolver({ s3: NO_S3 });
  const out = `memory://train-processor-${(scenes += 1)}/`;
  const ledger = new RunLedger(resolver.open(out));
  const run = tinyTrainRun();
  await ledger.createRun(run);
  await ledger.createPlan({ schema: planDocument.id, run: run.run, shards: 3, items: 12 });
  const works: WorkKind[] = [];
  const compute = {
    async run(kind: WorkKind, task: EpochTaskId, options: AttemptOptions<'train'>): Promise<unknown> {
      options.signal.throwIfAborted();
      works.push(kind);
      return kind === 'train' ? training(task, options) : { digest: 'sha256:33' };
    },
    pause: () => Promise.resolve(),
    resume() {},
  } as Parameters<typeof createTrainProcessor>[0]['compute'];
  const addEpochJob = vi.fn(async () => 'job');
  const { epoch = 1, attempts = 3, attemptsMade = 0 } = changes;
  const data = { schema: trainJob.id, run: run.run, out, epoch, generation: 4, priority: 100 };
  const moveToWait = vi.fn(async () => 0);
  const job: object = {
    id: 'job-1',
    data,
    attemptsMade,
    opts: { attempts },
    moveToWait,
    updateProgress: () => Promise.resolve(),
  };
  const process = createTrainProcessor({
    compute,
    runs: new RunCache(resolver),
    queues: { addEpochJob },
    turns: undefined,
    attempts: 7,
    workerName: 'worker-1',
    activity: ignoredActivity,
    logger: createLogger('silent'),
  });
  const stop = new AbortController();
  return {
    ledger,
    training: new TrainingLedger(ledger.store),
    works,
    addEpochJob,
    moveToWait,
    stop,
    work: async () => process(job as Job, 'lock', stop.signal),
  };
}

/** What an attempt makes; its objects carry its token. */
function epochDraft({ epoch, token }: EpochTaskId): EpochDraft {
  const {
    schema: _s,
    run: _r,
    token: _t,
    worker: _w,
    committedAt: _c,
    ...draft
  } = fakeEpochCommit(epoch, 0.2);
  return {
    ...draft,
    checkpoint: { ...draft.checkpoint, key: `checkpoints/${epoch}.${token}` },
    metrics: { ...draft.metrics, key: `metrics/${epoch}.${token}` },
  };
}

function stepDraft({ epoch, token }: EpochTaskId, step: number): StepDraft {
  const {
    schema: _s,
    run: _r,
    token: _t,
    worker: _w,
    committedAt: _c,
    ...draft
  } = fakeStepCommit(epoch, step);
  return {
    ...draft,
    checkpoint: { ...draft.checkpoint, key: `checkpoints/${epoch}-${step}.${token}` },
    metrics: { ...draft.metrics, key: `metrics/${epoch}-${step}.${token}` },
  };
}

async function put(
  { store }: TrainingLedger,
  ...drafts: Pick<StepDraft, 'checkpoint' | 'metrics'>[]
): Promise<void> {
  for (const { checkpoint, metrics } of drafts) {
    await store.put(checkpoint.key, Uint8Array.of(1));
    await store.put(metrics.key, Uint8Array.of(1));
  }
}

async function keysBelow({ store }: TrainingLedger, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list(prefix)) keys.push(...page.map(({ key }) => key));
  return keys;
}

const failing = (code: 'LOSS_NOT_FINITE' | 'STORE_FULL' | 'STORE_UNAVAILABLE' | 'OBJECT_NOT_FOUND') => () =>
  Promise.reject(new ImagemillError(code, 'as told'));

afterEach(() => void vi.useRealTimers());

describe('the processor of an epoch', () => {
  it('trains, commits, publishes and enqueues the next epoch', async () => {
    const at = await scene(async (task) => epochDraft(task));
    expect(await at.work()).toEqual({ epoch: 1, top1Error: 0.2 });
    expect(at.works).toEqual(['train', 'publish']);
    const commit = await at.training.findEpoch(1);
    expect(commit).toMatchObject({ worker: 'worker-1', run: tinyTrainRun().run });
    expect(commit?.checkpoint.key).toBe(`checkpoints/1.${commit?.token}`);
    const job = { run: tinyTrainRun().run, out: at.ledger.out, epoch: 2, generation: 4, priority: 100 };
    expect(at.addEpochJob).toHaveBeenCalledExactlyOnceWith(job, 7, 0, undefined);
  });

  it('does not train again what is committed, but sees to what follows', async () => {
    const at = await scene(() => Promise.reject(new Error('trained')));
    await at.training.commitEpoch(fakeEpochCommit(1, 0.3));
    expect(await at.work()).toEqual({ epoch: 1, top1Error: 0.3 });
    expect(at.works).toEqual(['publish']);
    expect(at.addEpochJob).toHaveBeenCalledOnce();
  });

  it('writes the summary after the last epoch, and enqueues nothing', async () => {
    const at = await scene(async (task) => epochDraft(task), { epoch: 3 });
    for (const epoch of [1, 2]) await at.training.commitEpoch(fakeEpochCommit(epoch, 0.3));
    await at.work();
    expect(at.addEpochJob).not.toHaveBeenCalled();
    expect(await at.ledger.state()).toBe('done');
  });

  it('commits checkpoints as they come, and removes those they replace', async () => {
    const seen: string[][] = [];
    const at = await scene(async (task, { onStep }) => {
      for (const step of [2, 4]) {
        const draft = stepDraft(task, step);
        await put(at.training, draft);
        await onStep?.(draft);
        seen.push(await keysBelow(at.training, 'checkpoints/'));
      }
      const draft = epochDraft(task);
      await put(at.training, draft);
      return draft;
    });
    await at.work();
    expect(seen.map((keys) => keys.map((key) => key.split('.')[0]))).toEqual([
      ['checkpoints/1-2'],
      ['checkpoints/1-4'],
    ]);
    const token = (await at.training.findEpoch(1))?.token;
    expect(await keysBelow(at.training, 'checkpoints/')).toEqual([`checkpoints/1.${token}`]);
    expect((await at.training.steps(1)).map(({ step, totals }) => [step, totals.items])).toEqual([
      [2, 8],
      [4, 16],
    ]);
    expect(await keysBelow(at.training, 'metrics/')).toHaveLength(3);
  });

  it('removes its own objects, and no others, where another attempt came first', async () => {
    const theirs = fakeEpochCommit(1, 0.2, { token: 'theirtoken' });
    const theirStep = fakeStepCommit(1, 2, { token: 'theirtoken' });
    const at = await scene(async (task, { onStep }) => {
      await at.training.commitStep(theirStep);
      const [step, epoch] = [stepDraft(task, 2), epochDraft(task)];
      await put(at.training, step, theirStep, epoch, theirs);
      await onStep?.(step);
      expect(await keysBelow(at.training, 'checkpoints/')).toContain(theirStep.checkpoint.key);
      await at.training.commitEpoch(theirs);
      return epoch;
    });
    await at.work();
    expect(await at.training.findEpoch(1)).toEqual(theirs);
    expect(await keysBelow(at.training, 'checkpoints/')).toEqual([theirs.checkpoint.key]);
    expect(await keysBelow(at.training, 'metrics/')).toEqual(
      [theirStep.metrics.key, theirs.metrics.key].toSorted(),
    );
    expect(at.addEpochJob).toHaveBeenCalledOnce();
  });

  it('goes on with what another attempt has committed, whatever its own came to', async () => {
    const theirs: EpochCommit = fakeEpochCommit(1, 0.25, { token: 'theirtoken' });
    const at = await scene(async () => {
      // Their commit removed the checkpoint that this attempt was about to read.
      await at.training.commitEpoch(theirs);
      throw new ImagemillError('OBJECT_NOT_FOUND', 'no checkpoint');
    });
    expect(await at.work()).toEqual({ epoch: 1, top1Error: 0.25 });
    expect(at.addEpochJob).toHaveBeenCalledOnce();
    expect(await at.ledger.findFailure()).toBeNull();
  });

  it('writes why a run cannot go on, and is not tried again', async () => {
    const at = await scene(failing('LOSS_NOT_FINITE'));
    const outcome = at.work();
    await expect(outcome).rejects.toBeInstanceOf(UnrecoverableError);
    await expect(outcome).rejects.toThrow('LOSS_NOT_FINITE: as told');
    expect(await at.ledger.findFailure()).toMatchObject({ code: 'LOSS_NOT_FINITE', message: 'as told' });
    expect(at.addEpochJob).not.toHaveBeenCalled();
  });

  it('is tried again where that may help; only its last try leaves a reason', async () => {
    const failures = [null, null, 'STORE_UNAVAILABLE'];
    for (const [attemptsMade, failure] of failures.entries()) {
      const at = await scene(failing('STORE_UNAVAILABLE'), { attemptsMade });
      const outcome = at.work();
      await expect(outcome).rejects.toThrow('STORE_UNAVAILABLE: as told');
      await expect(outcome).rejects.not.toBeInstanceOf(UnrecoverableError);
      expect((await at.ledger.findFailure())?.code ?? null).toBe(failure);
    }
  });

  it('tells a person after a few tries that the store is full', async () => {
    const at = await scene(failing('STORE_FULL'), { attemptsMade: 2, attempts: 10 });
    await expect(at.work()).rejects.toBeInstanceOf(UnrecoverableError);
    expect((await at.ledger.findFailure())?.code).toBe('STORE_FULL');
  });

  it('hands the job back when the worker stops', async () => {
    const at = await scene(async (_, { signal }) => {
      at.stop.abort(SHUTDOWN_REASON);
      signal.throwIfAborted();
      throw new Error('not stopped');
    });
    await expect(at.work()).rejects.toBeInstanceOf(WaitingError);
    expect(at.moveToWait).toHaveBeenCalledExactlyOnceWith('lock');
    expect(await at.ledger.findFailure()).toBeNull();
  });

  it('does not begin where the run was cancelled, and leaves no failure', async () => {
    const at = await scene(() => Promise.reject(new Error('trained')));
    await at.ledger.cancel(tinyTrainRun().run, new Date());
    const outcome = at.work();
    await expect(outcome).rejects.toBeInstanceOf(UnrecoverableError);
    await expect(outcome).rejects.toThrow(/^RUN_CANCELLED: .* before epoch 1$/);
    expect(at.works).toEqual([]);
    expect(await at.ledger.state()).toBe('cancelled');
  });

  it('ends an epoch whose run is cancelled meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const at = await scene(async (_, { signal }) => {
      await at.ledger.cancel(tinyTrainRun().run, new Date());
      while (!signal.aborted) await vi.advanceTimersByTimeAsync(500);
      signal.throwIfAborted();
      throw new Error('not stopped');
    });
    const outcome = at.work();
    await expect(outcome).rejects.toBeInstanceOf(UnrecoverableError);
    await expect(outcome).rejects.toThrow('RUN_CANCELLED');
    expect(vi.getTimerCount()).toBe(0);
    expect(await at.ledger.findFailure()).toBeNull();
  });

  it('enqueues nothing after an epoch of a run that is cancelled', async () => {
    const at = await scene(async (task) => {
      await at.ledger.cancel(tinyTrainRun().run, new Date());
      return epochDraft(task);
    });
    await at.work();
    expect(await at.training.findEpoch(1)).not.toBeNull();
    expect(at.addEpochJob).not.toHaveBeenCalled();
  });

  it('refuses a job it cannot read', async () => {
    const at = await scene(async (task) => epochDraft(task), { epoch: 0 });
    await expect(at.work()).rejects.toThrow(/^CONTRACT_INVALID: /);
  });
});
