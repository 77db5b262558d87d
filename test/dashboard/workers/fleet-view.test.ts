import { describe, expect, it } from 'vitest';
import { fleetSchema } from '../../../src/contract/api/workers.ts';
import { workerReportDocument, type WorkerReport } from '../../../src/contract/worker-report.ts';
import { workersPage } from '../../../src/dashboard/pages/workers-page.ts';
import { FleetView } from '../../../src/dashboard/workers/fleet-view.ts';
import type { Queues } from '../../../src/queue/queues.ts';

const NOW = Date.parse('2030-01-01T00:00:00.000Z');

const report = (changes: Partial<WorkerReport> = {}): WorkerReport => ({
  schema: workerReportDocument.id,
  name: 'host-1',
  host: 'host',
  pid: 1,
  version: '0.1.0',
  device: 'cuda:0',
  engine: 'onnxruntime',
  queues: ['classify', 'train'],
  startedAt: '2029-12-31T00:00:00.000Z',
  at: new Date(NOW - 1_000).toISOString(),
  state: 'working',
  jobs: [
    {
      queue: 'classify',
      jobId: 'r-01M87HNDH0DJNDJNR9SN26VPAP.000004.g0',
      run: 'r-01M87HNDH0DJNDJNR9SN26VPAP',
      shard: 4,
      epoch: null,
      itemsDone: 200,
      items: 1_000,
      since: '2029-12-31T23:59:00.000Z',
    },
  ],
  imagesPerSecond: 1_234.5,
  totals: { images: 10_000, errors: 3, shards: 10, epochs: 0 },
  control: { pid: 1, eventLoopDelayP99Ms: 5, residentBytes: 100_000_000, cpuCores: 0.25 },
  compute: { pid: 2, eventLoopDelayP99Ms: 9, residentBytes: 900_000_000, cpuCores: 1.5 },
  gpu: { name: 'A GPU', utilisation: 0.93, memoryUsedBytes: 8e9, memoryTotalBytes: 80e9 },
  ...changes,
});

/** Queues with nothing on them, that count how often they are asked. */
function emptyQueues(): { queues: Queues; asked: () => number } {
  let asked = 0;
  const queue = {
    getJobCounts: () => {
      asked += 1;
      return Promise.resolve({});
    },
    getWaiting: () => Promise.resolve([]),
    getJobs: () => Promise.resolve([]),
    getPrioritized: () => Promise.resolve([]),
    getCountsPerPriority: () => Promise.resolve({}),
    getRanges: () => Promise.resolve([]),
  };
  return { queues: { get: () => queue } as unknown as Queues, asked: () => asked };
}

describe('the fleet', () => {
  it('shows who has not been heard of as lost, and the rest as they said', async () => {
    const workers = [report(), report({ name: 'host-2', at: new Date(NOW - 16_000).toISOString() })];
    const view = new FleetView({ list: () => Promise.resolve(workers) }, emptyQueues().queues, () => NOW);
    const fleet = await view.read();
    expect(fleet.workers.map(({ name, state }) => [name, state])).toEqual([
      ['host-1', 'working'],
      ['host-2', 'lost'],
    ]);
    expect(fleetSchema.parse(fleet)).toEqual(fleet);
  });

  it('is read once for everyone who asks within a second, and again after a fault', async () => {
    let now = NOW;
    let listed = 0;
    const list = () => {
      listed += 1;
      return listed === 2 ? Promise.reject(new Error('away')) : Promise.resolve([report()]);
    };
    const view = new FleetView({ list }, emptyQueues().queues, () => now);
    await Promise.all(Array.from({ length: 100 }, () => view.read()));
    expect(listed).toBe(1);
    now += 1_000;
    await expect(view.read()).rejects.toThrow('away');
    await view.read();
    expect(listed).toBe(3);
  });
});

describe('the page of workers', () => {
  it('tells device, job, use, memory, rate and last report', () => {
    const fleet = { workers: [report()], queues: [] };
    const { text } = workersPage(fleet, NOW);
    for (const shown of [
      'cuda:0',
      'A GPU',
      'GPU 93 %',
      '1.8 cores',
      'GPU 8 GB of 80 GB',
      '1 GB',
      '1,234.5',
    ]) {
      expect(text).toContain(shown);
    }
    expect(text).toContain('href="/runs/r-01M87HNDH0DJNDJNR9SN26VPAP"');
    expect(text).toContain('shard 4, 200/1,000');
    expect(text).toContain('1 s ago');
  });

  it('shows a worker without a GPU, and one whose name is an attack', () => {
    const name = '<script>alert(1)</script>';
    const { text } = workersPage({ workers: [report({ name, gpu: null, compute: null })], queues: [] }, NOW);
    expect(text).not.toContain('<script>');
    expect(text).not.toContain('GPU');
  });
});
