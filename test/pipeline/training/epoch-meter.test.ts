import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrainingTotals } from '../../../src/contract/training.ts';
import {
  addBatch,
  EpochMeter,
  metricsOf,
  NO_TOTALS,
  rateOf,
  waitShareOf,
} from '../../../src/pipeline/training/epoch-meter.ts';

/** A meter on a clock that the test turns, in seconds. */
function meterAt(before: TrainingTotals = NO_TOTALS) {
  const clock = { seconds: 100 };
  return { clock, meter: new EpochMeter(2, before, () => clock.seconds * 1_000) };
}

const batch = { items: 4, lossSum: 8, top1Correct: 1, top5Correct: 3 };

describe('EpochMeter', () => {
  it('tells of a step: loss and errors per item, rate, and the share of waiting', async () => {
    const { clock, meter } = meterAt();
    await meter.waiting(async () => (clock.seconds += 1));
    clock.seconds += 1;
    meter.microBatch(batch);
    meter.microBatch({ ...batch, lossSum: 4, top1Correct: 3 });
    clock.seconds += 2;
    expect(meter.endStep(7, 0.01)).toEqual({
      epoch: 2,
      step: 7,
      loss: 1.5,
      top1Error: 0.5,
      top5Error: 0.25,
      learningRate: 0.01,
      imagesPerSecond: 2,
      dataWaitShare: 0.25,
    });
    expect(meter.totals).toEqual({
      items: 8,
      lossSum: 12,
      top1Correct: 4,
      top5Correct: 6,
      seconds: 4,
      dataWaitSeconds: 1,
    });
  });

  it('leaves out the time in which others had the device, also when that ends in a fault', async () => {
    const { clock, meter } = meterAt();
    await meter.apart(async () => (clock.seconds += 60));
    await expect(
      meter.apart(async () => {
        clock.seconds += 60;
        throw new Error('stopped');
      }),
    ).rejects.toThrow('stopped');
    clock.seconds += 2;
    meter.microBatch(batch);
    expect(meter.endStep(0, 0).imagesPerSecond).toBe(2);
    expect(meter.totals.seconds).toBe(2);
  });

  it('hands out each row once', () => {
    const { meter } = meterAt();
    expect(meter.takeRows()).toEqual([]);
    meter.microBatch(batch);
    const first = meter.endStep(0, 0);
    meter.microBatch(batch);
    const second = meter.endStep(1, 0);
    expect(meter.takeRows()).toEqual([first, second]);
    expect(meter.takeRows()).toEqual([]);
  });

  it('comes to the same sums, to the last bit, wherever it is carried on from', () => {
    const losses = fc.array(fc.double({ min: 0, max: 50, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(losses, fc.nat(), (values, cut) => {
        const at = cut % (values.length + 1);
        const measure = (meter: EpochMeter, part: readonly number[]): TrainingTotals => {
          for (const [step, lossSum] of part.entries()) {
            meter.microBatch({ ...batch, lossSum });
            meter.endStep(step, 0);
          }
          return meter.totals;
        };
        const whole = measure(meterAt().meter, values);
        const first = measure(meterAt().meter, values.slice(0, at));
        // Through the ledger, as JSON.
        const carried = JSON.parse(JSON.stringify(first)) as TrainingTotals;
        expect(measure(meterAt(carried).meter, values.slice(at))).toEqual(whole);
      }),
    );
  });
});

describe('figures', () => {
  it('are 0 where nothing was done', () => {
    expect(metricsOf(NO_TOTALS)).toEqual({ items: 0, loss: 0, top1Error: 0, top5Error: 0 });
    expect([rateOf(NO_TOTALS), waitShareOf(NO_TOTALS)]).toEqual([0, 0]);
  });

  it('never say that more than all of the time was waiting', () => {
    expect(waitShareOf({ ...NO_TOTALS, seconds: 1, dataWaitSeconds: 1.2 })).toBe(1);
  });

  it('add batches up', () => {
    expect(addBatch(addBatch(NO_TOTALS, batch), batch)).toMatchObject({
      items: 8,
      lossSum: 16,
      top5Correct: 6,
    });
  });
});
