import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLost, workerReportDocument } from '../../src/contract/worker-report.ts';
import { fakeReport } from '../support/worker-report.ts';

const LOST_AFTER_MS = 15_000;

describe('a worker report', () => {
  it('comes back from JSON as it was', () => {
    const report = fakeReport({
      state: 'working',
      jobs: [
        {
          queue: 'classify',
          jobId: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA.000001.g0',
          run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
          shard: 1,
          epoch: null,
          itemsDone: 3,
          items: 10,
          since: '2026-01-02T03:04:06.000Z',
        },
      ],
      compute: { pid: 18, eventLoopDelayP99Ms: 2, residentBytes: 2_000, cpuCores: null },
      gpu: { name: 'NVIDIA L4', utilisation: 0.5, memoryUsedBytes: null, memoryTotalBytes: 1 },
    });
    expect(workerReportDocument.decode(workerReportDocument.encode(report), 'here')).toEqual(report);
  });

  it.each([
    ['a name without an end', { name: 'n'.repeat(256) }],
    ['no name', { name: '' }],
    ['a queue of others', { queues: ['mail'] }],
    ['a device that is busier than it can be', { gpu: { ...fakeReport().gpu, name: 'x', utilisation: 1.1 } }],
    ['more jobs than a worker has', { jobs: Array.from({ length: 65 }, () => ({})) }],
  ])('is refused with %s', (_, changes) => {
    expect(() => workerReportDocument.parse({ ...fakeReport(), ...changes }, 'here')).toThrow(/^here: /);
  });

  it('is of a lost worker when it is more than 15 s old', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }),
        fc.integer(),
        (at, ageMs) => {
          expect(isLost({ at: at.toISOString() }, at.getTime() + ageMs)).toBe(ageMs > LOST_AFTER_MS);
        },
      ),
    );
  });
});
