/** Points of a training run as columns for a chart; without a document, so that it can be tested anywhere. */
import type { Training } from '../../contract/api/training.ts';
import type { TrainProgress } from '../../contract/training.ts';

type Column = (number | null)[];

/** All columns have one entry per x; null where there is none. */
export interface Curves {
  /** In epochs: 1.5 is the middle of the second one. */
  readonly x: number[];
  readonly stepLoss: Column;
  readonly trainLoss: Column;
  readonly validationLoss: Column;
  readonly stepTop1: Column;
  readonly trainTop1: Column;
  readonly validationTop1: Column;
  readonly validationTop5: Column;
  readonly learningRate: Column;
  readonly imagesPerSecond: Column;
  /** Share of the time, 0 to 1. */
  readonly dataWait: Column;
}

type Point = { readonly x: number } & Partial<Record<Exclude<keyof Curves, 'x'>, number | null>>;

/**
 * @param live what was reported since, and is not committed yet
 */
export function curvesOf(training: Training, live: readonly TrainProgress[]): Curves {
  const stepsOf = new Map(training.done.map(({ epoch, steps }) => [epoch, steps]));
  const points: Point[] = [];
  for (const step of training.steps) {
    const steps = stepsOf.get(step.epoch) ?? training.stepsPerEpoch;
    if (steps === null) continue;
    points.push({
      x: step.epoch - 1 + (step.step + 1) / steps,
      stepLoss: step.loss,
      stepTop1: step.top1Error,
      learningRate: step.learningRate,
      imagesPerSecond: step.imagesPerSecond,
      dataWait: step.dataWaitShare,
    });
  }
  for (const { epoch, train, validation } of training.done) {
    points.push({
      x: epoch,
      trainLoss: train.loss,
      validationLoss: validation?.loss ?? null,
      trainTop1: train.top1Error,
      validationTop1: validation?.top1Error ?? null,
      validationTop5: validation?.top5Error ?? null,
    });
  }
  const known = points.reduce((last, { x }) => Math.max(last, x), 0);
  points.push(...live.map(livePoint).filter(({ x }) => x > known));
  return columnsOf(points.sort((a, b) => a.x - b.x));
}

function livePoint({
  epoch,
  step,
  steps,
  loss,
  top1Error,
  learningRate,
  imagesPerSecond,
}: TrainProgress): Point {
  const x = epoch - 1 + (steps === 0 ? 0 : step / steps);
  return { x, stepLoss: loss, stepTop1: top1Error, learningRate, imagesPerSecond };
}

/** Points at the same place become one: uPlot wants every x once. */
function columnsOf(points: readonly Point[]): Curves {
  const curves: Curves = {
    x: [],
    stepLoss: [],
    trainLoss: [],
    validationLoss: [],
    stepTop1: [],
    trainTop1: [],
    validationTop1: [],
    validationTop5: [],
    learningRate: [],
    imagesPerSecond: [],
    dataWait: [],
  };
  const names = Object.keys(curves).filter((name) => name !== 'x') as Exclude<keyof Curves, 'x'>[];
  for (const point of points) {
    const isNew = curves.x.at(-1) !== point.x;
    if (isNew) curves.x.push(point.x);
    for (const name of names) {
      const value = point[name] ?? null;
      if (isNew) curves[name].push(value);
      else if (value !== null) curves[name][curves.x.length - 1] = value;
    }
  }
  return curves;
}
