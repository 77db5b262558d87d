/**
 * Learning rates and stopping as pure functions of the recipe and of the validation errors so far. Only operations
 * that IEEE 754 rounds exactly (+ − × ÷), never `Math.cos` or `Math.pow`, whose last bit differs between engines:
 * the same run has the same rates on every machine.
 */
import type { Recipe, Schedule } from '../../contract/recipe.ts';
import { unreachable } from '../model/architecture.ts';

/** What the schedule looks at. */
type ScheduledRecipe = Pick<Recipe, 'learningRate' | 'epochs' | 'warmupEpochs' | 'schedule'>;

/** A place in a run. */
export interface TrainingPosition {
  /** From 1. */
  readonly epoch: number;
  /** Batch within the epoch, from 0. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  /** Of epochs 1, 2, …; those of `epoch` and later are not looked at. */
  readonly validationErrors: readonly number[];
}

/**
 * The learning rate of one step: `learningRate` × warm-up × schedule, never above `learningRate`.
 * Warm-up rises linearly and reaches 1 with the last of its steps (Goyal et al. 2017, arXiv 1706.02677). `steps` and
 * `plateau` count epochs from the start of the run; half a cosine begins where warm-up ends and would reach `final`
 * with the step after the last.
 * @throws RangeError a position outside the run, or `plateau` without the errors of the epochs before
 */
export function learningRateAt(recipe: ScheduledRecipe, position: TrainingPosition): number {
  const { epoch, step, stepsPerEpoch } = position;
  const inside =
    [epoch, step, stepsPerEpoch].every(Number.isInteger) &&
    epoch >= 1 &&
    epoch <= recipe.epochs &&
    step >= 0 &&
    step < stepsPerEpoch;
  if (!inside) {
    throw new RangeError(
      `expected an epoch from 1 to ${recipe.epochs} and a step below ${stepsPerEpoch}, got ${epoch} and ${step}`,
    );
  }
  const stepsDone = (epoch - 1) * stepsPerEpoch + step;
  const warmupSteps = recipe.warmupEpochs * stepsPerEpoch;
  const warmup = stepsDone + 1 < warmupSteps ? (stepsDone + 1) / warmupSteps : 1;
  return recipe.learningRate * warmup * scheduleFactor(recipe, position, stepsDone, warmupSteps);
}

function scheduleFactor(
  { schedule, epochs }: ScheduledRecipe,
  { epoch, stepsPerEpoch, validationErrors }: TrainingPosition,
  stepsDone: number,
  warmupSteps: number,
): number {
  switch (schedule.kind) {
    case 'constant':
      return 1;
    case 'plateau': {
      if (validationErrors.length < epoch - 1) {
        throw new RangeError(
          `plateau: expected the errors of ${epoch - 1} epochs, got ${validationErrors.length}`,
        );
      }
      return repeatedFactor(schedule.factor, dropsSoFar(schedule, validationErrors.slice(0, epoch - 1)));
    }
    case 'steps':
      return repeatedFactor(schedule.factor, Math.floor((epoch - 1) / schedule.epochs));
    case 'cosine': {
      const scheduledSteps = epochs * stepsPerEpoch - warmupSteps;
      const progress = scheduledSteps > 0 ? Math.max(0, (stepsDone - warmupSteps) / scheduledSteps) : 0;
      return schedule.final + (1 - schedule.final) * halfCosine(progress);
    }
    default:
      return unreachable(schedule);
  }
}

/** How often `plateau` has lowered the rate; after a drop it waits `patience` epochs again. */
function dropsSoFar(
  { patience, drops }: Extract<Schedule, { kind: 'plateau' }>,
  errors: readonly number[],
): number {
  let best = Number.POSITIVE_INFINITY;
  let waited = 0;
  let dropped = 0;
  for (const error of errors) {
    waited = error < best ? 0 : waited + 1;
    best = error < best ? error : best;
    if (waited >= patience && dropped < drops) {
      dropped += 1;
      waited = 0;
    }
  }
  return dropped;
}

/** `factor` to the power of `times` by squaring. */
function repeatedFactor(factor: number, times: number): number {
  let product = 1;
  let power = factor;
  for (let left = times; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) product *= power;
    power *= power;
  }
  return product;
}

/** Terms of the sine's series: the first one left out is below 3e-18 for the angles used. */
const SINE_TERMS = 11;

/**
 * (1 + cos πt) / 2 for t in 0..1, to 1e-15, within 0..1. cos πt = −sin π(t − ½), and the sine is its series up to
 * x²¹/21! in Horner's form: x (1 − x²/(2·3) (1 − x²/(4·5) (…))).
 */
export function halfCosine(t: number): number {
  const x = Math.PI * (t - 0.5);
  const square = x * x;
  let series = 1;
  for (let term = SINE_TERMS - 1; term >= 1; term--) {
    series = 1 - (square / (2 * term * (2 * term + 1))) * series;
  }
  return Math.min(1, Math.max(0, (1 - x * series) / 2));
}

/** The first epoch with the lowest error, counted from 1; undefined before the first, or where none is a number. */
export function bestEpoch(errors: readonly number[]): number | undefined {
  let best: number | undefined;
  let lowest = Number.POSITIVE_INFINITY;
  errors.forEach((error, index) => {
    if (error < lowest) {
      lowest = error;
      best = index + 1;
    }
  });
  return best;
}

/** Whether `earlyStopping` epochs have passed without a better validation error. */
export function shouldStop(
  { earlyStopping }: Pick<Recipe, 'earlyStopping'>,
  errors: readonly number[],
): boolean {
  return earlyStopping > 0 && errors.length - (bestEpoch(errors) ?? 0) >= earlyStopping;
}
