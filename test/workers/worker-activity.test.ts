import { describe, expect, it, vi } from 'vitest';
import type { Part } from '../../src/contract/ledger.ts';
import type { CurrentJob } from '../../src/contract/worker-report.ts';
import { createMetricsRegister } from '../../src/telemetry/metrics.ts';
import { RateMeter } from '../../src/workers/rate-meter.ts';
import { WorkerActivity } from '../../src/workers/worker-activity.ts';
import { WorkerMetrics, type WorkerGauges } from '../../src/workers/worker-metrics.ts';
import { metricsIn } from '../support/metrics.ts';

const job = (jobId: string): CurrentJob => ({
  queue: 'classify',
  jobId,
  run: null,
  shard: 0,
  epoch: null,
  itemsDone: 0,
  items: 100,
  since: '2026-01-02T03:04:05.000Z',
});

const PART = {
  items: 100,
  labelled: 97,
  errorsByCode: { IMAGE_EMPTY: 2, IMAGE_CORRUPT: 1 },
  bytesRead: 5_000,
  stages: { fetch: 1, decode: 2, compute: 3, write: 0.5 },
} as unknown as Part;

function scene() {
  let nowMs = 0;
  const register = createMetricsRegister();
  const metrics = new WorkerMetrics(register);
  const activity = new WorkerActivity(metrics, new RateMeter(() => nowMs));
  return {
    metrics,
    activity,
    read: async () => metricsIn(await register.metrics()),
    passes: (ms: number) => (nowMs += ms),
  };
}

describe('the activity of a worker', () => {
  it('lists the jobs in progress, and says when that changes', () => {
    const { activity } = scene();
    const changed = vi.fn();
    activity.onJobs(changed);
    activity.jobStarted(job('a'));
    activity.jobStarted(job('b'));
    activity.jobProgress('a', 30);
    expect(activity.snapshot().jobs).toEqual([{ ...job('a'), itemsDone: 30 }, job('b')]);
    expect(changed).toHaveBeenCalledTimes(2);
    activity.jobEnded('a');
    expect(activity.snapshot().jobs).toEqual([job('b')]);
    expect(changed).toHaveBeenCalledTimes(3);
  });

  it('counts images in the rate once: not those of an earlier attempt, nor progress that starts anew', () => {
    const { activity, passes } = scene();
    activity.jobStarted(job('a'));
    activity.jobStandsAt('a', 40, 100);
    activity.jobProgress('a', 60);
    activity.jobProgress('a', 0);
    activity.jobProgress('a', 10);
    activity.jobProgress('of another worker', 1_000);
    passes(5_000);
    expect(activity.snapshot().imagesPerSecond).toBeCloseTo(30 / 5);
  });

  it('adds up what was committed, and counts to the last image in the rate', async () => {
    const { activity, passes, read } = scene();
    activity.jobStarted(job('a'));
    activity.jobProgress('a', 90);
    activity.shardCommitted('a', 'classify', PART, 25);
    activity.shardUnused('classify', 'lost_race');
    activity.stepsCommitted({ steps: 3, images: 24, seconds: 5, dataWaitSeconds: 2 });
    activity.epochEnded('committed');
    activity.epochEnded('lost_race');
    passes(4_000);
    expect(activity.snapshot()).toMatchObject({
      totals: { images: 97 + 24, errors: 3, shards: 1, epochs: 1 },
      imagesPerSecond: 25,
    });
    expect(await read()).toMatchObject({
      'imagemill_images_total{kind="classify",outcome="labelled"}': 97,
      'imagemill_images_total{kind="classify",outcome="error"}': 3,
      'imagemill_images_total{kind="train",outcome="trained"}': 24,
      'imagemill_item_errors_total{code="IMAGE_EMPTY"}': 2,
      'imagemill_item_errors_total{code="IMAGE_CORRUPT"}': 1,
      'imagemill_batches_total{kind="classify"}': 25,
      'imagemill_batches_total{kind="train"}': 3,
      'imagemill_stage_seconds_total{kind="classify",stage="decode"}': 2,
      'imagemill_stage_seconds_total{kind="train",stage="data_wait"}': 2,
      'imagemill_stage_seconds_total{kind="train",stage="compute"}': 3,
      'imagemill_bytes_read_total{kind="classify"}': 5_000,
      'imagemill_shards_total{kind="classify",outcome="committed"}': 1,
      'imagemill_shards_total{kind="classify",outcome="lost_race"}': 1,
      'imagemill_shards_total{kind="classify",outcome="skipped"}': 0,
      'imagemill_epochs_total{outcome="committed"}': 1,
      'imagemill_epochs_total{outcome="lost_race"}': 1,
      imagemill_train_steps_total: 3,
    });
  });
});

describe('the metrics of a worker', () => {
  it('call images of a prepare run prepared, and have no batches of them', async () => {
    const { metrics, read } = scene();
    metrics.shardCommitted('prepare', PART, 0);
    const found = await read();
    expect(found['imagemill_images_total{kind="prepare",outcome="prepared"}']).toBe(97);
    expect(Object.keys(found).filter((name) => name.startsWith('imagemill_batches'))).toEqual([]);
  });

  it('have no loss before the first step', async () => {
    const { activity, read } = scene();
    expect(await read()).not.toHaveProperty('imagemill_train_loss');
    activity.epochProgress('e', 10, null);
    expect(await read()).not.toHaveProperty('imagemill_train_loss');
    activity.epochProgress('e', 20, 0.75);
    expect(await read()).toHaveProperty('imagemill_train_loss', 0.75);
  });

  it('tell of jobs, compute processes and the worker itself', async () => {
    const { metrics, read } = scene();
    let gauges: WorkerGauges = {
      control: { eventLoopDelayP99Ms: 12, residentBytes: 1_000 },
      compute: { eventLoopDelayP99Ms: 3, residentBytes: 2_000 },
      gpu: { name: 'NVIDIA L4', utilisation: 0.25, memoryUsedBytes: 10, memoryTotalBytes: 40 },
    };
    metrics.watch({ name: 'w-1', device: 'cuda:0', engine: 'onnxruntime', version: '1.2.3' }, () => gauges);
    metrics.jobEnded('train', 'retried', 2, 'COMPUTE_DIED');
    metrics.computeEnded('hung');
    expect(await read()).toMatchObject({
      'imagemill_worker_info{name="w-1",device="cuda:0",engine="onnxruntime",version="1.2.3"}': 1,
      'imagemill_job_attempts_total{queue="train",outcome="retried"}': 1,
      'imagemill_job_errors_total{queue="train",code="COMPUTE_DIED"}': 1,
      'imagemill_job_seconds_bucket{le="1",queue="train"}': 0,
      'imagemill_job_seconds_bucket{le="3",queue="train"}': 1,
      'imagemill_compute_restarts_total{reason="hung"}': 1,
      'imagemill_compute_restarts_total{reason="died"}': 0,
      imagemill_device_utilisation_ratio: 0.25,
      'imagemill_device_memory_bytes{state="used"}': 10,
      'imagemill_device_memory_bytes{state="total"}': 40,
      'imagemill_event_loop_delay_p99_seconds{process="control"}': 0.012,
      'imagemill_event_loop_delay_p99_seconds{process="compute"}': 0.003,
      'imagemill_process_resident_bytes{process="compute"}': 2_000,
    });
    gauges = { ...gauges, compute: null, gpu: null };
    const later = await read();
    expect(later).not.toHaveProperty('imagemill_device_utilisation_ratio');
    expect(Object.keys(later).filter((name) => /device_|compute"}/.test(name))).toEqual([]);
    expect(later['imagemill_process_resident_bytes{process="control"}']).toBe(1_000);
  });

  it('do not know runs', async () => {
    const { activity, read } = scene();
    activity.jobStarted({
      ...job('r-01JD3ZQ8W5T9V2B6N4K7M1C0XA.000001.g0'),
      run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    });
    activity.shardCommitted('r-01JD3ZQ8W5T9V2B6N4K7M1C0XA.000001.g0', 'evaluate', PART, 1);
    expect(JSON.stringify(await read())).not.toContain('r-01');
  });
});
