import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMITS, FAULTS, LOCK_MS, planChaos, WORKERS, WORKLOADS } from './plan.ts';

const options = { longestPauseMs: 30_000 };

describe('planChaos', () => {
  it('gives the same plan for a seed every time', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        expect(planChaos(seed, options)).toEqual(planChaos(seed, options));
      }),
    );
  });

  it('plans faults that come in time, to workers there are, and longer than the lock where that is the point', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const { workload, faults } = planChaos(seed, options);
        expect(faults.length).toBeGreaterThanOrEqual(2);
        for (const { kind, worker, afterCommits, durationMs } of faults) {
          expect(worker).toBeLessThan(WORKERS);
          expect(afterCommits).toBeLessThan(COMMITS[workload]);
          if (['stop worker', 'partition worker', 'pause redis'].includes(kind)) {
            expect(durationMs).toBeGreaterThan(LOCK_MS);
          }
        }
      }),
    );
  });

  it('has every fault in any twelve seeds in a row, and both workloads in any three', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (first) => {
        const plans = Array.from({ length: FAULTS.length }, (_, index) => planChaos(first + index, options));
        const kinds = new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)));
        expect([...kinds].toSorted()).toEqual([...FAULTS].toSorted());
        expect(new Set(plans.slice(0, 3).map(({ workload }) => workload)).size).toBe(WORKLOADS.length);
      }),
    );
  });
});
