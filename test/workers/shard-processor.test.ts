import type { Job } from 'bullmq';
import { describe, expect, it, vi } from 'vitest';
import { classifyJob } from '../../src/contract/jobs.ts';
import { commitDocument, type Commit, type Part } from '../../src/contract/ledger.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import type { AttemptOptions } from '../../src/workers/compute/compute-host.ts';
import type { WorkKind } from '../../src/workers/compute/protocol.ts';
import { RunCache } from '../../src/workers/run-cache.ts';
import { createShardProcessor } from '../../src/workers/shard-processor.ts';
import { fakeRun } from '../support/fake-run.ts';
import { NO_S3 } from '../support/object-stores.ts';

type Options = Parameters<typeof createShardProcessor>[0];

const SHARD = 3;
const PART: Part = {
  part: { key: `parts/000003.aaaaaaaa.jsonl`, bytes: 1, digest: 'sha256:00', rows: 9 },
  errors: null,
  items: 10,
  labelled: 9,
  errorsByCode: { IMAGE_EMPTY: 1 },
  bytesRead: 100,
  seconds: 1,
  stages: { fetch: 1, decode: 1, compute: 1, write: 1 },
};

const commitOf = (run: string): Commit => ({
  schema: commitDocument.id,
  run,
  shard: SHARD,
  token: 'somebodyelse',
  worker: 'worker-2',
  committedAt: '2026-01-02T03:04:05.000Z',
  ...PART,
});

let scenes = 0;

/** A worker that attempts a shard of a run in memory; `during` happens meanwhile. */
async function scene(during: (ledger: RunLedger, run: string) => Promise<unknown> = async () => {}) {
  const resolver = createStoreResolver({ s3: NO_S3 });
  const out = `memory://shard-processor-${(scenes += 1)}/`;
  const ledger = new RunLedger(resolver.open(out));
  const run = fakeRun();
  await ledger.createRun(run);
  const compute = {
    async run(_kind: WorkKind, _task: unknown, options: AttemptOptions<'classify'>): Promise<Part> {
      options.onProgress({ items: 4, errors: 0 });
      await during(ledger, run.run);
      return PART;
    },
  } as unknown as Options['compute'];
  const activity = { jobProgress: vi.fn(), shardCommitted: vi.fn(), shardUnused: vi.fn() };
  const process = createShardProcessor({
    kind: 'classify',
    compute,
    isolated: {} as Options['isolated'],
    runs: new RunCache(resolver),
    workerName: 'worker-1',
    activity,
    logger: createLogger('silent'),
  });
  const data = { schema: classifyJob.id, run: run.run, out, shard: SHARD, items: PART.items };
  const job: object = { id: 'job-1', data, attemptsMade: 0, opts: {}, updateProgress: async () => {} };
  return { ledger, run: run.run, activity, work: async () => process(job as Job, 'lock') };
}

describe('what a shard processor tells of a shard', () => {
  it('is how far it is, and what its commit holds', async () => {
    const { activity, work } = await scene();
    expect(await work()).toEqual({ items: 10, errors: 1 });
    expect(activity.jobProgress).toHaveBeenCalledExactlyOnceWith('job-1', 4);
    // Ten images in batches of four.
    expect(activity.shardCommitted).toHaveBeenCalledExactlyOnceWith('job-1', 'classify', PART, 3);
    expect(activity.shardUnused).not.toHaveBeenCalled();
  });

  it('is that it was skipped, where there is a commit already', async () => {
    const { ledger, run, activity, work } = await scene();
    await ledger.commit(commitOf(run));
    expect(await work()).toEqual({ items: 10, errors: 1 });
    expect(activity.shardUnused).toHaveBeenCalledExactlyOnceWith('classify', 'skipped');
    expect(activity.shardCommitted).not.toHaveBeenCalled();
  });

  it('is that it lost its race, where another attempt was faster; nothing of it counts', async () => {
    const { activity, work } = await scene((ledger, run) => ledger.commit(commitOf(run)));
    expect(await work()).toEqual({ items: 10, errors: 1 });
    expect(activity.shardUnused).toHaveBeenCalledExactlyOnceWith('classify', 'lost_race');
    expect(activity.shardCommitted).not.toHaveBeenCalled();
  });
});
