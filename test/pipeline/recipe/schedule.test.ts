import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Recipe, Schedule } from '../../../src/contract/recipe.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';
import { bestEpoch, halfCosine, learningRateAt, shouldStop } from '../../../src/pipeline/recipe/schedule.ts';

function recipe(schedule: Schedule, changes: Partial<Recipe> = {}): Recipe {
  return { ...RECIPES['alexnet-owt'], learningRate: 0.5, epochs: 10, warmupEpochs: 0, ...changes, schedule };
}

/** The rate at the first step of each epoch. */
function ratesByEpoch(of: Recipe, validationErrors: readonly number[], stepsPerEpoch = 4): number[] {
  return Array.from({ length: of.epochs }, (_, index) =>
    learningRateAt(of, { epoch: index + 1, step: 0, stepsPerEpoch, validationErrors }),
  );
}

/** The rate of every step of the run. */
function ratesByStep(of: Recipe, stepsPerEpoch: number, validationErrors: readonly number[] = []): number[] {
  return Array.from({ length: of.epochs * stepsPerEpoch }, (_, index) =>
    learningRateAt(of, {
      epoch: Math.floor(index / stepsPerEpoch) + 1,
      step: index % stepsPerEpoch,
      stepsPerEpoch,
      validationErrors,
    }),
  );
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const schedules = fc.oneof(
  fc.constant<Schedule>({ kind: 'constant' }),
  fc.record({
    kind: fc.constant('plateau' as const),
    factor: share,
    patience: fc.integer({ min: 1, max: 4 }),
    drops: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({ kind: fc.constant('steps' as const), factor: share, epochs: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('cosine' as const), final: share }),
);
const errorsOf = (epochs: number): fc.Arbitrary<number[]> =>
  fc.array(fc.oneof(share, fc.constant(Number.NaN)), { minLength: epochs, maxLength: epochs });

describe('learningRateAt', () => {
  it('is at most the recipe’s rate, at least 0, and never rises after warm-up', () => {
    fc.assert(
      fc.property(
        schedules,
        errorsOf(10),
        fc.double({ min: 0, max: 10, noNaN: true }),
        fc.integer({ min: 1, max: 7 }),
        (schedule, errors, warmupEpochs, stepsPerEpoch) => {
          const rates = ratesByStep(recipe(schedule, { warmupEpochs }), stepsPerEpoch, errors);
          rates.forEach((rate, index) => {
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(0.5);
            if (index > warmupEpochs * stepsPerEpoch) expect(rate).toBeLessThanOrEqual(rates[index - 1] ?? 0);
          });
        },
      ),
    );
  });

  it('depends on the errors of earlier epochs only', () => {
    fc.assert(
      fc.property(schedules, errorsOf(10), errorsOf(4), (schedule, errors, others) => {
        const position = { epoch: 7, step: 1, stepsPerEpoch: 3 };
        const changed = [...errors.slice(0, 6), ...others];
        expect(learningRateAt(recipe(schedule), { ...position, validationErrors: changed })).toBe(
          learningRateAt(recipe(schedule), { ...position, validationErrors: errors }),
        );
      }),
    );
  });

  it('warms up linearly over a fraction of an epoch, and is whole from there on', () => {
    const rates = ratesByStep(recipe({ kind: 'constant' }, { warmupEpochs: 1.5, epochs: 3 }), 4);
    const rising = [1, 2, 3, 4, 5].map((step) => (0.5 * step) / 6);
    expect(rates.slice(0, 5).map((rate) => rate.toFixed(12))).toEqual(rising.map((rate) => rate.toFixed(12)));
    expect(rates.slice(5)).toEqual(Array.from({ length: 7 }, () => 0.5));
  });

  it('divides by ten every so many epochs', () => {
    const rates = ratesByEpoch(recipe({ kind: 'steps', factor: 0.1, epochs: 3 }), []);
    const expected = [0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005, 0.005, 0.005, 0.0005];
    expect(rates.map((rate) => rate.toPrecision(9))).toEqual(expected.map((rate) => rate.toPrecision(9)));
  });

  it('raises a factor to any power', () => {
    fc.assert(
      fc.property(share, fc.integer({ min: 0, max: 300 }), (factor, times) => {
        const of = recipe({ kind: 'steps', factor, epochs: 1 }, { epochs: 301, learningRate: 1 });
        const rate = learningRateAt(of, {
          epoch: times + 1,
          step: 0,
          stepsPerEpoch: 1,
          validationErrors: [],
        });
        expect(Math.abs(rate - factor ** times)).toBeLessThan(1e-13);
      }),
    );
  });

  it('drops on a plateau: patience counts epochs without a new best, and starts again after a drop', () => {
    const schedule: Schedule = { kind: 'plateau', factor: 0.5, patience: 2, drops: 2 };
    // Best after epochs 1 and 4; an equal error is no better one.
    const errors = [0.9, 0.9, 0.95, 0.8, 0.8, 0.81, 0.85, 0.82, 0.9, 0.9];
    expect(ratesByEpoch(recipe(schedule), errors)).toEqual([
      0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125,
    ]);
    expect(ratesByEpoch(recipe(schedule), [9, 8, 7, 6, 5, 4, 3, 2, 1])).toEqual(Array(10).fill(0.5));
  });

  it('never drops more often, or sooner after the last drop, than the plateau allows', () => {
    fc.assert(
      fc.property(
        errorsOf(10),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        (errors, patience, drops) => {
          const rates = ratesByEpoch(recipe({ kind: 'plateau', factor: 0.5, patience, drops }), errors);
          const dropsAt = rates.flatMap((rate, index) =>
            index > 0 && rate < (rates[index - 1] ?? 0) ? [index] : [],
          );
          expect(dropsAt.length).toBeLessThanOrEqual(drops);
          expect(rates.at(-1)).toBe(0.5 * 0.5 ** dropsAt.length);
          [0, ...dropsAt].reduce((earlier, at) => {
            expect(at - earlier).toBeGreaterThanOrEqual(patience);
            return at;
          });
        },
      ),
    );
  });

  it('follows half a cosine from the end of warm-up to just above its final share', () => {
    const of = recipe({ kind: 'cosine', final: 0.2 }, { warmupEpochs: 1, epochs: 5 });
    const rates = ratesByStep(of, 50);
    rates.slice(50).forEach((rate, index) => {
      const expected = 0.5 * (0.2 + 0.8 * 0.5 * (1 + Math.cos((Math.PI * index) / 200)));
      expect(Math.abs(rate - expected)).toBeLessThan(1e-14);
    });
    expect(rates[50]).toBe(0.5);
    expect(rates.at(-1)).toBeGreaterThan(0.1);
    expect(rates.at(-1)).toBeLessThan(0.10005);
  });

  it('stays whole where warm-up takes all epochs', () => {
    const rates = ratesByStep(recipe({ kind: 'cosine', final: 0 }, { warmupEpochs: 2, epochs: 2 }), 2);
    expect(rates).toEqual([0.125, 0.25, 0.375, 0.5]);
  });

  it('refuses a place outside the run, and a plateau without its past', () => {
    const of = recipe({ kind: 'plateau', factor: 0.1, patience: 1, drops: 1 });
    const at = (epoch: number, step: number, validationErrors: number[]): number =>
      learningRateAt(of, { epoch, step, stepsPerEpoch: 4, validationErrors });
    expect(() => at(0, 0, [])).toThrow('expected an epoch from 1 to 10 and a step below 4, got 0 and 0');
    expect(() => at(11, 0, Array(10).fill(1))).toThrow(RangeError);
    expect(() => at(1, 4, [])).toThrow(RangeError);
    expect(() => at(3, 0, [0.5])).toThrow('plateau: expected the errors of 2 epochs, got 1');
  });
});

describe('halfCosine', () => {
  it('is the cosine to 1e-15, falls, and meets both ends', () => {
    const values = Array.from({ length: 10_001 }, (_, index) => halfCosine(index / 10_000));
    values.forEach((value, index) => {
      expect(Math.abs(value - (1 + Math.cos((Math.PI * index) / 10_000)) / 2)).toBeLessThan(1e-15);
      if (index > 0) expect(value).toBeLessThan(values[index - 1] ?? 0);
    });
    expect(values[0]).toBe(1);
    expect(values[10_000]).toBeLessThan(1e-16);
  });

  // Bit for bit, as the same operations give them in Python.
  it('has these bits', () => {
    expect([0.1, 0.25, 1 / 3, 0.5, 0.9].map(halfCosine)).toEqual([
      0.9755282581475768, 0.8535533905932737, 0.75, 0.5, 0.02447174185242318,
    ]);
  });
});

describe('bestEpoch', () => {
  it('is the first of the lowest, from 1', () => {
    expect(bestEpoch([])).toBeUndefined();
    expect(bestEpoch([Number.NaN])).toBeUndefined();
    expect(bestEpoch([0.5, 0.25, Number.NaN, 0.25, 0.3])).toBe(2);
  });
});

describe('shouldStop', () => {
  it('counts epochs since the best one', () => {
    const errors = [0.5, 0.4, 0.4, 0.45];
    expect(shouldStop({ earlyStopping: 2 }, errors)).toBe(true);
    expect(shouldStop({ earlyStopping: 2 }, errors.slice(0, 3))).toBe(false);
    expect(shouldStop({ earlyStopping: 3 }, errors)).toBe(false);
    expect(shouldStop({ earlyStopping: 0 }, Array(100).fill(1))).toBe(false);
    expect(shouldStop({ earlyStopping: 1 }, [])).toBe(false);
    expect(shouldStop({ earlyStopping: 2 }, [Number.NaN, Number.NaN])).toBe(true);
  });

  it('never stops before a plateau could lower the rate, if it waits longer', () => {
    fc.assert(
      fc.property(errorsOf(10), fc.integer({ min: 1, max: 4 }), (errors, patience) => {
        const stopAt = errors.findIndex((_, index) =>
          shouldStop({ earlyStopping: patience + 1 }, errors.slice(0, index + 1)),
        );
        if (stopAt < 0) return;
        const rates = ratesByEpoch(recipe({ kind: 'plateau', factor: 0.5, patience, drops: 1 }), errors);
        expect(rates[stopAt]).toBe(0.25);
      }),
    );
  });
});
