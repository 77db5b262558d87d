import {
  CONFIDENCE_BINS,
  keepLeastConfident,
  LISTED_LABEL_CHARS_MAX,
  LISTED_URI_CHARS_MAX,
  type LabelStatistics,
  type LeastConfidentItem,
} from '../contract/label-statistics.ts';
import type { ResultRow } from '../contract/rows.ts';
import { wellFormed } from './sink/canonical-row.ts';
import { shortestFloat32 } from './sink/float32-decimal.ts';

/** Counts what the labels of a shard look like, row by row; memory depends on the number of classes only. */
export class LabelTally {
  readonly #classes = new Map<number, number>();
  readonly #confidence = Array.from({ length: CONFIDENCE_BINS }, () => 0);
  readonly #leastConfident: LeastConfidentItem[] = [];

  /** @param index place of the row's item in its shard */
  add(index: number, { uri, ids, labels, scores, width, height }: ResultRow): void {
    const [id = 0, score = 0] = [ids[0], scores[0]];
    this.#classes.set(id, (this.#classes.get(id) ?? 0) + 1);
    const bin = confidenceBin(score);
    this.#confidence[bin] = (this.#confidence[bin] ?? 0) + 1;
    keepLeastConfident(this.#leastConfident, { index, uri, label: labels[0] ?? '', score, width, height });
  }

  statistics(): LabelStatistics {
    return {
      classes: Object.fromEntries(this.#classes),
      confidence: [...this.#confidence],
      leastConfident: this.#leastConfident.map(listed),
    };
  }
}

/** Softmax in float32 may leave 0..1 by its last bits. */
function confidenceBin(score: number): number {
  return Math.min(CONFIDENCE_BINS - 1, Math.max(0, Math.floor(score * CONFIDENCE_BINS)));
}

/** With the texts and the score that the row has in its part, as far as they are short. */
function listed({ uri = '', label, score, ...rest }: LeastConfidentItem): LeastConfidentItem {
  return {
    ...rest,
    ...(uri.length > LISTED_URI_CHARS_MAX ? {} : { uri: wellFormed(uri) }),
    label: wellFormed(label.slice(0, LISTED_LABEL_CHARS_MAX)),
    score: shortestFloat32(score),
  };
}
