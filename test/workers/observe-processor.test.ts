import { DelayedError, UnrecoverableError, WaitingChildrenError, WaitingError, type Job } from 'bullmq';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { currentJobSchema } from '../../src/contract/worker-report.ts';
import { endJob, SHUTDOWN_REASON } from '../../src/workers/job-outcome.ts';
import { describeJob, observeProcessor } from '../../src/workers/observe-processor.ts';

const RUN = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';
const NOW = new Date('2026-01-02T03:04:05.000Z');

const jobOf = (changes: object = {}): Job =>
  ({
    id: `${RUN}.000007.g0`,
    data: { shard: 7, items: 20 },
    attemptsMade: 0,
    opts: { attempts: 3 },
    moveToWait: async () => 0,
    ...changes,
  }) as unknown as Job;

function observed(processor: () => Promise<string>) {
  const [activity, metrics] = [{ jobStarted: vi.fn(), jobEnded: vi.fn() }, { jobEnded: vi.fn() }];
  return { activity, metrics, process: observeProcessor('classify', processor, activity, metrics) };
}

describe('an observed processor', () => {
  it('tells of a job that it begins and ends, and returns what the processor returns', async () => {
    const { activity, metrics, process } = observed(async () => 'done');
    expect(await process(jobOf(), 'lock')).toBe('done');
    expect(activity.jobStarted).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ queue: 'classify', run: RUN, shard: 7, epoch: null, items: 20 }),
    );
    expect(activity.jobEnded).toHaveBeenCalledExactlyOnceWith(`${RUN}.000007.g0`);
    expect(metrics.jobEnded).toHaveBeenCalledExactlyOnceWith(
      'classify',
      'completed',
      expect.any(Number),
      null,
    );
  });

  it.each([
    [
      'a fault that may pass',
      new ImagemillError('STORE_UNREACHABLE', 'x'),
      0,
      'retried',
      'STORE_UNREACHABLE',
    ],
    [
      'the same at the last try',
      new ImagemillError('STORE_UNREACHABLE', 'x'),
      2,
      'failed',
      'STORE_UNREACHABLE',
    ],
    ['a fault that stays', new ImagemillError('MODEL_NOT_FOUND', 'x'), 0, 'failed', 'MODEL_NOT_FOUND'],
    ['a fault of nobody’s', new TypeError('x'), 0, 'retried', 'INTERNAL'],
    ['a worker that stops', new ImagemillError('SHUTDOWN', 'x'), 0, 'handed_back', null],
  ])('counts %s', async (_, fault, attemptsMade, outcome, code) => {
    const job = jobOf({ attemptsMade });
    const { activity, metrics, process } = observed(() => endJob(job, 'lock', undefined, fault));
    await expect(process(job, 'lock')).rejects.toThrow();
    expect(metrics.jobEnded).toHaveBeenCalledExactlyOnceWith('classify', outcome, expect.any(Number), code);
    expect(activity.jobEnded).toHaveBeenCalledOnce();
  });

  it('counts what is handed back, for whatever reason, as no failure', async () => {
    const stop = AbortSignal.abort(SHUTDOWN_REASON);
    const ends = [
      () => endJob(jobOf(), 'lock', stop, new Error('stopped')),
      () => Promise.reject(new DelayedError()),
      () => Promise.reject(new WaitingError()),
    ];
    for (const end of ends) {
      const { metrics, process } = observed(end);
      await expect(process(jobOf(), 'lock')).rejects.toThrow();
      expect(metrics.jobEnded).toHaveBeenCalledExactlyOnceWith(
        'classify',
        'handed_back',
        expect.any(Number),
        null,
      );
    }
  });

  it('does not count a plan whose shards are on their way: it has not ended', async () => {
    const { activity, metrics, process } = observed(() => Promise.reject(new WaitingChildrenError()));
    await expect(process(jobOf(), 'lock')).rejects.toThrow(WaitingChildrenError);
    expect(metrics.jobEnded).not.toHaveBeenCalled();
    expect(activity.jobEnded).toHaveBeenCalledOnce();
  });

  it('passes on the very error that the processor failed with', async () => {
    const error = new UnrecoverableError('enough');
    const { process } = observed(() => Promise.reject(error));
    await expect(process(jobOf(), 'lock')).rejects.toBe(error);
  });
});

describe('what is told of a job', () => {
  it('has the agreed form, whatever its data are', () => {
    fc.assert(
      fc.property(fc.string(), fc.anything(), (id, data) => {
        const told = describeJob('train', { id, data }, NOW);
        expect(currentJobSchema.parse(told)).toEqual(told);
      }),
    );
  });

  it('names the epoch of a training job, and no run of a foreign one', () => {
    expect(describeJob('train', { id: `${RUN}.e000003.g0`, data: { epoch: 3 } }, NOW)).toEqual({
      queue: 'train',
      jobId: `${RUN}.e000003.g0`,
      run: RUN,
      shard: null,
      epoch: 3,
      itemsDone: 0,
      items: null,
      since: NOW.toISOString(),
    });
    expect(describeJob('plan', { id: 'repeat:x:1', data: null }, NOW).run).toBeNull();
  });
});
