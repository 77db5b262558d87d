import { beforeAll, describe, expect, it } from 'vitest';
import type { TrainRun } from '../../../src/contract/run.ts';
import type { StepDraft } from '../../../src/pipeline/training/epoch-task.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../../src/storage/training-ledger.ts';
import type { FromCompute } from '../../../src/workers/compute/protocol.ts';
import { TrainAttempts } from '../../../src/workers/compute/train-attempts.ts';
import { RunCache } from '../../../src/workers/run-cache.ts';
import { fakePrepareRun, prepareDataset, twoClasses } from '../../pipeline/prepare/support.ts';
import { TestStores } from '../../pipeline/source/support.ts';
import { fakeStepCommit, submittedTrainRun } from '../../support/fake-training.ts';
import { until } from '../../support/training.ts';

const TOKEN = 'token00000';
const STEPS = 6;
const BATCH = 4;

const resolver = new TestStores();
let run: TrainRun;
let scenes = 0;

beforeAll(async () => {
  const items = await twoClasses(resolver, 18);
  const { dataset } = await prepareDataset(resolver, fakePrepareRun(), items);
  expect(Math.floor(dataset.splits.train.items / BATCH)).toBe(STEPS);
  run = submittedTrainRun(dataset, { batchSize: BATCH, microBatchSize: BATCH }, { checkpointSteps: 2 });
});

/** A compute process with a run in memory; its control process commits at once, or as told. */
async function scene(onStep: (attempts: TrainAttempts, draft: StepDraft) => void = commit) {
  const out = `memory://train-attempts-${(scenes += 1)}/`;
  const store = resolver.open(out);
  await new RunLedger(store).createRun(run);
  const sent: FromCompute[] = [];
  const attempts: TrainAttempts = new TrainAttempts({
    resolver,
    runs: new RunCache(resolver),
    engine: 'onnxruntime',
    device: 'cpu',
    engineThreads: 1,
    tensorflowDirectory: undefined,
    fetchConcurrency: 8,
    send(message) {
      sent.push(message);
      if (message.type === 'step') onStep(attempts, message.draft);
    },
  });
  return {
    sent,
    attempts,
    ledger: new TrainingLedger(store),
    start: () => attempts.run({ out, epoch: 1, token: TOKEN }),
    of: <T extends FromCompute['type']>(type: T) =>
      sent.filter((message): message is Extract<FromCompute, { type: T }> => message.type === type),
    phases: () =>
      sent.flatMap((message) =>
        message.type === 'progress' && 'phase' in message.progress ? [message.progress.phase] : [],
      ),
  };
}

const commit = (attempts: TrainAttempts) => attempts.receive({ type: 'committed', token: TOKEN });

describe('TrainAttempts', { timeout: 60_000 }, () => {
  it('trains an epoch, has its checkpoints committed, and says how far it is', async () => {
    const at = await scene();
    const draft = await at.start();
    expect(draft).toMatchObject({ epoch: 1, steps: STEPS, train: { items: STEPS * BATCH } });
    expect(at.of('step').map(({ draft: { step } }) => step)).toEqual([2, 4]);
    expect(at.phases()).toContain('training');
    expect(at.of('paused')).toEqual([]);
  });

  it('holds before its first step when it is paused while it loads, and says so once', async () => {
    const at = await scene();
    const epoch = at.start();
    at.attempts.receive({ type: 'pause', token: TOKEN });
    await until(() => at.of('paused').length > 0);
    const seen = at.sent.length;
    // Signs of life go on.
    await until(() => at.phases().filter((phase) => phase === 'yielding').length >= 2);
    expect(at.sent.slice(seen).every(({ type }) => type === 'progress')).toBe(true);
    expect(at.phases()).not.toContain('training');
    at.attempts.receive({ type: 'resume', token: TOKEN });
    expect(await epoch).toMatchObject({ steps: STEPS });
    expect(at.of('paused')).toEqual([{ type: 'paused', token: TOKEN }]);
  });

  it('stops at once while it is paused, with the state it is in', async () => {
    const at = await scene((attempts) => {
      // After the first checkpoint: the next batch boundary holds.
      attempts.receive({ type: 'pause', token: TOKEN });
      commit(attempts);
    });
    const epoch = expect(at.start()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    await until(() => at.of('paused').length > 0);
    at.attempts.stop(TOKEN);
    await epoch;
    const steps = at.of('step').map(({ draft: { step } }) => step);
    expect(steps[0]).toBe(2);
    expect(steps.length).toBeLessThanOrEqual(2);
  });

  it('stops before it has begun, and leaves nothing behind', async () => {
    const at = await scene();
    const epoch = expect(at.start()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    at.attempts.stop(TOKEN);
    await epoch;
    expect(at.of('step')).toEqual([]);
    // The next attempt starts anew.
    expect(await at.start()).toMatchObject({ steps: STEPS });
  });

  it('is not held up by a pause that comes after the order to stop', async () => {
    const at = await scene((attempts) => {
      attempts.stop(TOKEN);
      attempts.receive({ type: 'pause', token: TOKEN });
      commit(attempts);
    });
    await expect(at.start()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    expect(at.of('paused')).toEqual([]);
  });

  it('fails with the fault of a commit', async () => {
    const at = await scene((attempts) =>
      attempts.receive({
        type: 'committed',
        token: TOKEN,
        error: { code: 'STORE_UNAVAILABLE', message: 'busy' },
      }),
    );
    await expect(at.start()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: 'busy' });
  });

  it('goes on where the ledger says after a stop, to the same bytes', async () => {
    const undisturbed = await (await scene()).start();
    const at = await scene((attempts, draft) => {
      const committed = { ...fakeStepCommit(1, draft.step), ...draft };
      void at.ledger.commitStep(committed).then(() => commit(attempts));
      if (draft.step === 2) attempts.stop(TOKEN);
    });
    await expect(at.start()).rejects.toMatchObject({ code: 'SHUTDOWN' });
    const before = at.of('step').length;
    const draft = await at.start();
    expect(draft.checkpoint.digest).toBe(undisturbed.checkpoint.digest);
    expect(draft.train).toEqual(undisturbed.train);
    // Nothing before the stop was trained again.
    const steps = at.of('step').map(({ draft: { step } }) => step);
    expect(steps.slice(before).every((step) => step > (steps[before - 1] ?? 0))).toBe(true);
    expect(draft.metrics.rows).toBeLessThanOrEqual(4);
  });

  it('does not mind messages for an attempt that is gone', async () => {
    const { attempts, sent } = await scene();
    attempts.receive({ type: 'pause', token: 'gone000000' });
    attempts.receive({ type: 'committed', token: 'gone000000' });
    attempts.stop('gone000000');
    expect(sent).toEqual([]);
  });
});
