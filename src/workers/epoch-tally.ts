import type { StepCommit, TrainProgress } from '../contract/training.ts';
import { NO_TOTALS } from '../pipeline/training/epoch-meter.ts';
import type { EpochDraft, StepDraft } from '../pipeline/training/epoch-task.ts';
import type { WorkerActivity } from './worker-activity.ts';

/** Who hears how far epochs are, and what became of them. */
export type EpochObserver = Pick<
  WorkerActivity,
  'jobStandsAt' | 'epochProgress' | 'stepsCommitted' | 'epochEnded'
>;

/** What is done of an epoch, in sums since its first step. */
interface Sums {
  readonly step: number;
  readonly items: number;
  readonly seconds: number;
  readonly dataWaitSeconds: number;
}

/**
 * What one attempt adds to an epoch, commit by commit. The sums of a commit are those of the whole epoch so far, with
 * what other attempts and workers have done.
 */
export class EpochTally {
  readonly #observer: EpochObserver;
  readonly #jobId: string | undefined;
  readonly #batchSize: number;
  #committed: Sums;
  #steps: number | null = null;

  /** @param before the last commit of a step within the epoch, from which the attempt goes on */
  constructor(
    observer: EpochObserver,
    jobId: string | undefined,
    batchSize: number,
    before: Pick<StepCommit, 'step' | 'totals'> | undefined,
  ) {
    this.#observer = observer;
    this.#jobId = jobId;
    this.#batchSize = batchSize;
    this.#committed = sumsOf(before ?? { step: 0, totals: NO_TOTALS });
  }

  progress({ step, steps, loss }: TrainProgress): void {
    // An epoch that waits for its first batch does not know yet how many there are.
    if (steps === 0) return;
    if (this.#steps === null) {
      this.#observer.jobStandsAt(this.#jobId, this.#committed.items, steps * this.#batchSize);
      this.#steps = steps;
    }
    this.#observer.epochProgress(this.#jobId, step * this.#batchSize, loss);
  }

  /** @param won whether this attempt's commit is the one that stands */
  step(draft: Pick<StepDraft, 'step' | 'totals'>, won: boolean): void {
    this.#commit(sumsOf(draft), won);
  }

  epoch({ steps, train, seconds, dataWaitShare }: EpochDraft, won: boolean): void {
    const dataWaitSeconds = seconds * dataWaitShare;
    this.#commit({ step: steps, items: train.items, seconds, dataWaitSeconds }, won);
    this.#observer.epochEnded(won ? 'committed' : 'lost_race');
  }

  #commit(sums: Sums, won: boolean): void {
    const before = this.#committed;
    this.#committed = sums;
    if (!won) return;
    // The share of an epoch is rounded; what was waited for cannot become less.
    const added = (name: keyof Sums): number => Math.max(0, sums[name] - before[name]);
    this.#observer.stepsCommitted({
      steps: added('step'),
      images: added('items'),
      seconds: added('seconds'),
      dataWaitSeconds: added('dataWaitSeconds'),
    });
  }
}

function sumsOf({ step, totals }: Pick<StepDraft, 'step' | 'totals'>): Sums {
  const { items, seconds, dataWaitSeconds } = totals;
  return { step, items, seconds, dataWaitSeconds };
}
