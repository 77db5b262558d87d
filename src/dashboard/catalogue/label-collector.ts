import {
  LabelStatisticsSum,
  placeItems,
  type LeastConfidentOfRun,
  type Statistics,
} from '../../contract/label-statistics.ts';
import type { Commit } from '../../contract/ledger.ts';

/** Adds up what the commits of one run say of their labels; memory depends on the number of classes alone. */
export class LabelCollector {
  readonly #sum = new LabelStatisticsSum<LeastConfidentOfRun>();
  /** Shards whose commits say nothing. */
  undescribedShards = 0;

  /** @param commit one that was not added before */
  add({ shard, labels }: Pick<Commit, 'shard' | 'labels'>): void {
    if (labels === undefined) this.undescribedShards += 1;
    else this.#sum.add(placeItems(placeItems(labels, { shard }), { generation: 0 }));
  }

  statistics(): Statistics<LeastConfidentOfRun> {
    return this.#sum.statistics();
  }
}
