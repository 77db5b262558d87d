import { ImagemillError } from '../contract/errors.ts';

/** Equal-width bins of the confidence: Guo et al. 2017 (arXiv 1706.04599), section 2. */
const CALIBRATION_BINS = 15;
const TOP_K = 5;
/** Beyond this no confusion matrix is kept: it takes classes² × 4 bytes, 16 MiB here. */
const MAX_CONFUSION_CLASSES = 2048;
/**
 * Confidences are summed as integers, so that the sum does not depend on the order. In float32 they are multiples of
 * 2⁻²⁴ from one half on; smaller ones are rounded to that.
 */
const CONFIDENCE_UNITS = 2 ** 24;
/** Up to so many items the sums are exact. */
const MAX_ITEMS = 2 ** 53 / CONFIDENCE_UNITS;
/** How far a softmax in float32 may leave 0..1. */
const SCORE_TOLERANCE = 1e-4;

/** One item as a model labelled it. */
export interface EvaluationRow {
  /** Index of the true class; null, or any number that is none of the model's classes, where the model has no such class. */
  readonly truth: number | null;
  /** Class indices, best first: at least min(5, classes). */
  readonly ids: ArrayLike<number>;
  /** Softmax probabilities of `ids`. */
  readonly scores: ArrayLike<number>;
}

export interface ClassReport {
  readonly label: string;
  readonly items: number;
  /** Share of the class's items with the right label first; null without items. */
  readonly accuracy: number | null;
}

/** Items whose confidence, the score of the first label, lies in one fifteenth of 0..1, upper edge included. */
export interface CalibrationBin {
  readonly count: number;
  /** Mean of the bin's items; null without items. */
  readonly confidence: number | null;
  readonly accuracy: number | null;
}

export interface EvaluationReport {
  readonly items: number;
  /** Items whose true class the model does not have; each counts as wrong. */
  readonly unknownLabel: number;
  /** Errors are shares, 0 to 1; null without items. */
  readonly top1Error: number | null;
  readonly top5Error: number | null;
  readonly perClass: readonly ClassReport[];
  /** (classes, classes) counts, row = truth, column = first label; null for models of more than 2048 classes. */
  readonly confusion: number[][] | null;
  /** Expected calibration error: the mean of |accuracy − confidence| over bins, weighted by their items. */
  readonly calibrationError: number | null;
  readonly calibration: readonly CalibrationBin[];
}

/** Counts what a model gets right, item by item; memory depends on the number of classes only. */
export class EvaluationTally {
  readonly #labels: readonly string[];
  readonly #topK: number;
  readonly #classItems: Uint32Array;
  readonly #classCorrect: Uint32Array;
  readonly #confusion: Uint32Array | null;
  readonly #binItems = new Uint32Array(CALIBRATION_BINS);
  readonly #binCorrect = new Uint32Array(CALIBRATION_BINS);
  readonly #binConfidence = new Float64Array(CALIBRATION_BINS);
  #items = 0;
  #unknownLabel = 0;
  #top1Correct = 0;
  #top5Correct = 0;

  /** @param labels of the model's classes, by index */
  constructor(labels: readonly string[]) {
    const classes = labels.length;
    this.#labels = labels;
    this.#topK = Math.min(TOP_K, classes);
    this.#classItems = new Uint32Array(classes);
    this.#classCorrect = new Uint32Array(classes);
    this.#confusion = classes <= MAX_CONFUSION_CLASSES ? new Uint32Array(classes * classes) : null;
  }

  /** @throws ImagemillError CONTRACT_INVALID: labels or scores that no classifier of these classes gives */
  add({ truth, ids, scores }: EvaluationRow): void {
    const classes = this.#labels.length;
    this.#check(ids, scores);
    const predicted = ids[0] ?? 0;
    const isCorrect = predicted === truth;
    this.#items += 1;
    this.#top1Correct += Number(isCorrect);
    for (let rank = 0; rank < this.#topK; rank++) {
      if (ids[rank] === truth) {
        this.#top5Correct += 1;
        break;
      }
    }
    this.#calibrate(scores[0] ?? 0, isCorrect);
    if (truth === null || !isClass(truth, classes)) {
      this.#unknownLabel += 1;
      return;
    }
    increment(this.#classItems, truth);
    if (isCorrect) increment(this.#classCorrect, truth);
    if (this.#confusion !== null) increment(this.#confusion, truth * classes + predicted);
  }

  /** What was counted so far. */
  report(): EvaluationReport {
    const items = this.#items;
    const calibration = this.#calibration();
    const gaps = calibration.map(
      ({ count, confidence, accuracy }) => count * Math.abs((accuracy ?? 0) - (confidence ?? 0)),
    );
    return {
      items,
      unknownLabel: this.#unknownLabel,
      top1Error: share(items - this.#top1Correct, items),
      top5Error: share(items - this.#top5Correct, items),
      perClass: this.#labels.map((label, index) => {
        const items = this.#classItems[index] ?? 0;
        return { label, items, accuracy: share(this.#classCorrect[index] ?? 0, items) };
      }),
      confusion: this.#confusionRows(),
      calibrationError: share(
        gaps.reduce((sum, gap) => sum + gap, 0),
        items,
      ),
      calibration,
    };
  }

  #check(ids: ArrayLike<number>, scores: ArrayLike<number>): void {
    const classes = this.#labels.length;
    const where = `item ${this.#items} of the evaluation`;
    const fault = (expected: string, got: string): ImagemillError =>
      new ImagemillError('CONTRACT_INVALID', `${where}: expected ${expected}, got ${got}`);
    if (this.#items >= MAX_ITEMS) throw fault(`at most ${MAX_ITEMS} items`, 'one more');
    if (ids.length < Math.max(1, this.#topK) || scores.length !== ids.length) {
      throw fault(
        `${this.#topK} or more ids and as many scores`,
        `${ids.length} ids and ${scores.length} scores`,
      );
    }
    for (let rank = 0; rank < ids.length; rank++) {
      const [id, score] = [ids[rank] ?? Number.NaN, scores[rank] ?? Number.NaN];
      if (!isClass(id, classes)) throw fault(`ids of 0 to ${classes - 1}`, String(id));
      if (!(score >= -SCORE_TOLERANCE && score <= 1 + SCORE_TOLERANCE)) {
        throw fault('scores of 0 to 1', String(score));
      }
    }
  }

  #calibrate(score: number, isCorrect: boolean): void {
    const confidence = Math.min(1, Math.max(0, score));
    const bin = Math.max(0, Math.ceil(confidence * CALIBRATION_BINS) - 1);
    increment(this.#binItems, bin);
    if (isCorrect) increment(this.#binCorrect, bin);
    this.#binConfidence[bin] = (this.#binConfidence[bin] ?? 0) + Math.round(confidence * CONFIDENCE_UNITS);
  }

  #calibration(): CalibrationBin[] {
    return Array.from(this.#binItems, (count, bin) => ({
      count,
      confidence: share((this.#binConfidence[bin] ?? 0) / CONFIDENCE_UNITS, count),
      accuracy: share(this.#binCorrect[bin] ?? 0, count),
    }));
  }

  #confusionRows(): number[][] | null {
    const confusion = this.#confusion;
    if (confusion === null) return null;
    const classes = this.#labels.length;
    return this.#labels.map((_, truth) =>
      Array.from(confusion.subarray(truth * classes, (truth + 1) * classes)),
    );
  }
}

function isClass(index: number, classes: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < classes;
}

function increment(counts: Uint32Array, index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}
