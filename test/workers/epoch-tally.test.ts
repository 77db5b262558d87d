import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrainingTotals } from '../../src/contract/training.ts';
import { NO_TOTALS } from '../../src/pipeline/training/epoch-meter.ts';
import type { EpochDraft } from '../../src/pipeline/training/epoch-task.ts';
import { EpochTally } from '../../src/workers/epoch-tally.ts';
import type { TrainedSteps } from '../../src/workers/worker-metrics.ts';

const BATCH = 8;

function heard() {
  const [steps, places, outcomes]: [TrainedSteps[], unknown[][], string[]] = [[], [], []];
  return {
    steps,
    places,
    outcomes,
    stepsCommitted: (trained: TrainedSteps) => void steps.push(trained),
    jobStandsAt: (...place: unknown[]) => void places.push(['at', ...place]),
    epochProgress: (...place: unknown[]) => void places.push(['progress', ...place]),
    epochEnded: (outcome: string) => void outcomes.push(outcome),
  };
}

const totals = (step: number): TrainingTotals => ({
  ...NO_TOTALS,
  items: step * BATCH,
  seconds: step * 2,
  dataWaitSeconds: step / 2,
});

const draft = (steps: number): EpochDraft =>
  ({ steps, train: { items: steps * BATCH }, seconds: steps * 2, dataWaitShare: 0.25 }) as EpochDraft;

describe('the tally of an epoch', () => {
  it('counts what this attempt added, wherever it began and however often it commits', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 6 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 50 }), cuts, (from, steps) => {
        const observer = heard();
        const before = from === 0 ? undefined : { step: from, totals: totals(from) };
        const tally = new EpochTally(observer, 'job', BATCH, before);
        for (const step of steps.filter((step) => step > from).sort((a, b) => a - b)) {
          tally.step({ step, totals: totals(step) }, true);
        }
        tally.epoch(draft(100), true);
        const sum = (name: keyof TrainedSteps) =>
          observer.steps.reduce((total, trained) => total + trained[name], 0);
        expect(sum('steps')).toBe(100 - from);
        expect(sum('images')).toBe((100 - from) * BATCH);
        expect(sum('seconds')).toBeCloseTo((100 - from) * 2);
        expect(sum('dataWaitSeconds')).toBeCloseTo((100 - from) / 2);
        expect(observer.outcomes).toEqual(['committed']);
      }),
    );
  });

  it('does not count steps whose commit another attempt has won, nor their epoch', () => {
    const observer = heard();
    const tally = new EpochTally(observer, 'job', BATCH, undefined);
    tally.step({ step: 10, totals: totals(10) }, false);
    tally.step({ step: 15, totals: totals(15) }, true);
    tally.epoch(draft(20), false);
    expect(observer.steps).toEqual([{ steps: 5, images: 5 * BATCH, seconds: 10, dataWaitSeconds: 2.5 }]);
    expect(observer.outcomes).toEqual(['lost_race']);
  });

  it('tells where it begins, and progress in images, once it knows the number of steps', () => {
    const observer = heard();
    const tally = new EpochTally(observer, 'job', BATCH, { step: 5, totals: totals(5) });
    const shared = { epoch: 1, top1Error: null, learningRate: 0, imagesPerSecond: 0 } as const;
    tally.progress({ ...shared, step: 0, steps: 0, loss: null, phase: 'waiting' });
    tally.progress({ ...shared, step: 6, steps: 10, loss: 0.5, phase: 'training' });
    tally.progress({ ...shared, step: 7, steps: 10, loss: 0.4, phase: 'training' });
    expect(observer.places).toEqual([
      ['at', 'job', 40, 80],
      ['progress', 'job', 48, 0.5],
      ['progress', 'job', 56, 0.4],
    ]);
  });
});
