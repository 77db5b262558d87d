import type { EpochMetrics, StepMetrics, TrainingTotals } from '../../contract/training.ts';
import type { BatchStatistics } from '../engine/trainer.ts';

const MS_PER_SECOND = 1_000;
/** Rates and shares are for people. */
const DIGITS = 1e4;

export const NO_TOTALS: TrainingTotals = {
  items: 0,
  lossSum: 0,
  top1Correct: 0,
  top5Correct: 0,
  seconds: 0,
  dataWaitSeconds: 0,
};

/** Counts what an epoch does, step by step, on top of what was done before its last checkpoint. */
export class EpochMeter {
  readonly #epoch: number;
  readonly #nowMs: () => number;
  #totals: TrainingTotals;
  #stepTotals: TrainingTotals = NO_TOTALS;
  #stepStartedAtMs: number;
  #rows: StepMetrics[] = [];

  constructor(epoch: number, before: TrainingTotals, nowMs: () => number = () => performance.now()) {
    this.#epoch = epoch;
    this.#totals = before;
    this.#nowMs = nowMs;
    this.#stepStartedAtMs = nowMs();
  }

  get totals(): TrainingTotals {
    return this.#totals;
  }

  /** Time in which the device had nothing to do but to wait for data. */
  async waiting<T>(work: () => Promise<T>): Promise<T> {
    const startedAtMs = this.#nowMs();
    try {
      return await work();
    } finally {
      const dataWaitSeconds = (this.#nowMs() - startedAtMs) / MS_PER_SECOND;
      this.#stepTotals = add(this.#stepTotals, { ...NO_TOTALS, dataWaitSeconds });
    }
  }

  /** Time that is not training, such as a pause for more urgent work. */
  async apart<T>(work: () => Promise<T>): Promise<T> {
    const startedAtMs = this.#nowMs();
    try {
      return await work();
    } finally {
      this.#stepStartedAtMs += this.#nowMs() - startedAtMs;
    }
  }

  microBatch({ items, lossSum, top1Correct, top5Correct }: BatchStatistics): void {
    this.#stepTotals = add(this.#stepTotals, {
      items,
      lossSum,
      top1Correct,
      top5Correct,
      seconds: 0,
      dataWaitSeconds: 0,
    });
  }

  /** @returns the row of the step that is done */
  endStep(step: number, learningRate: number): StepMetrics {
    const nowMs = this.#nowMs();
    const seconds = (nowMs - this.#stepStartedAtMs) / MS_PER_SECOND;
    const totals = { ...this.#stepTotals, seconds };
    this.#stepStartedAtMs = nowMs;
    this.#stepTotals = NO_TOTALS;
    this.#totals = add(this.#totals, totals);
    const { loss, top1Error, top5Error } = metricsOf(totals);
    const row: StepMetrics = {
      epoch: this.#epoch,
      step,
      loss,
      top1Error,
      top5Error,
      learningRate,
      imagesPerSecond: rateOf(totals),
      dataWaitShare: waitShareOf(totals),
    };
    this.#rows.push(row);
    return row;
  }

  /** The rows since the last call. */
  takeRows(): StepMetrics[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }
}

export function metricsOf(totals: TrainingTotals): EpochMetrics {
  const { items, lossSum, top1Correct, top5Correct } = totals;
  return {
    items,
    loss: items === 0 ? 0 : lossSum / items,
    top1Error: items === 0 ? 0 : 1 - top1Correct / items,
    top5Error: items === 0 ? 0 : 1 - top5Correct / items,
  };
}

/** Images per second. */
export function rateOf({ items, seconds }: TrainingTotals): number {
  return seconds > 0 ? Math.round((items / seconds) * 10) / 10 : 0;
}

export function waitShareOf({ seconds, dataWaitSeconds }: TrainingTotals): number {
  return seconds > 0 ? Math.min(1, Math.round((dataWaitSeconds / seconds) * DIGITS) / DIGITS) : 0;
}

/** Adds the sums of one batch. */
export function addBatch(totals: TrainingTotals, batch: BatchStatistics): TrainingTotals {
  return add(totals, { ...NO_TOTALS, ...batch });
}

function add(a: TrainingTotals, b: TrainingTotals): TrainingTotals {
  return {
    items: a.items + b.items,
    lossSum: a.lossSum + b.lossSum,
    top1Correct: a.top1Correct + b.top1Correct,
    top5Correct: a.top5Correct + b.top5Correct,
    seconds: a.seconds + b.seconds,
    dataWaitSeconds: a.dataWaitSeconds + b.dataWaitSeconds,
  };
}
