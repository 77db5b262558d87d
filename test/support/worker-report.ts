import { workerReportDocument, type WorkerReport } from '../../src/contract/worker-report.ts';

/** A report of a worker that waits for work. */
export function fakeReport(changes: Partial<WorkerReport> = {}): WorkerReport {
  return {
    schema: workerReportDocument.id,
    name: 'worker-1',
    host: 'host-1',
    pid: 17,
    version: '0.1.0',
    device: 'cuda:0',
    engine: 'onnxruntime',
    queues: ['plan', 'classify'],
    startedAt: '2026-01-02T03:04:05.000Z',
    at: new Date().toISOString(),
    state: 'idle',
    jobs: [],
    imagesPerSecond: 0,
    totals: { images: 0, errors: 0, shards: 0, epochs: 0 },
    control: { pid: 17, eventLoopDelayP99Ms: 1, residentBytes: 1_000, cpuCores: 0.1 },
    compute: null,
    gpu: null,
    ...changes,
  };
}
