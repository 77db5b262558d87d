import type { RunLabels } from '../../../contract/api/labels.ts';
import type { ErrorsPage, RunDetail } from '../../../contract/api/runs.ts';
import { isShardedRun } from '../../../contract/run.ts';
import type { EpochCommit, TrainProgress } from '../../../contract/training.ts';
import type { WatchedRun } from '../../catalogue/watched-run.ts';
import { readDatasetView, type DatasetView } from '../../runs/dataset-view.ts';
import { readEvaluationView, type EvaluationView } from '../../runs/evaluation-view.ts';
import { errorsPage } from '../../runs/rows-page.ts';
import { runDetail, shardMap } from '../../runs/run-detail.ts';
import { readFamily, type RunFamily } from '../../runs/run-family.ts';
import { runLabels } from '../../runs/run-labels.ts';
import { foundWithinBudget } from '../../runs/within-budget.ts';
import type { Services } from '../../services.ts';

const ERROR_ROWS = 20;

/** How many shards are in which state. */
export interface ShardCounts {
  readonly waiting: number;
  readonly active: number;
  readonly committed: number;
  /** Committed, with errors of items. */
  readonly withErrors: number;
  readonly failed: number;
}

/** Everything that a page of a run shows; null: of no such run, or still being read. */
export interface RunPageData {
  readonly detail: RunDetail;
  readonly family: RunFamily;
  readonly shards: ShardCounts | null;
  readonly labels: RunLabels | null;
  readonly errorRows: ErrorsPage | null;
  readonly training: {
    readonly epochs: readonly EpochCommit[];
    readonly latest: TrainProgress | null;
  } | null;
  readonly evaluation: EvaluationView | null;
  readonly dataset: DatasetView | null;
}

/** What a request asks a page of a run to show. */
export interface RunPageQuery {
  /** Cursor of the error rows. */
  readonly errors?: string | undefined;
}

/** Views of documents that never change, each made once for a run. */
export class ViewReader {
  readonly #evaluations = new WeakMap<WatchedRun, EvaluationView>();
  readonly #datasets = new WeakMap<WatchedRun, DatasetView>();

  /** null where the run has none yet. */
  async evaluation(watched: WatchedRun): Promise<EvaluationView | null> {
    if (watched.entry.kind !== 'evaluate' || watched.state !== 'done') return null;
    const view = this.#evaluations.get(watched) ?? (await readEvaluationView(watched.ledger.store));
    this.#evaluations.set(watched, view);
    return view;
  }

  /** null where the run has none yet. */
  async dataset(watched: WatchedRun): Promise<DatasetView | null> {
    if (watched.entry.kind !== 'prepare' || watched.state !== 'done') return null;
    const view = this.#datasets.get(watched) ?? (await readDatasetView(watched.ledger.store));
    if (view !== null) this.#datasets.set(watched, view);
    return view;
  }
}

/** Reads what a page shows; what takes longer than a page may is left out. @throws ImagemillError RUN_NOT_FOUND */
export async function readPageData(
  watched: WatchedRun,
  { errors: cursor }: RunPageQuery,
  { resolver }: Pick<Services, 'resolver'>,
  views: ViewReader,
): Promise<RunPageData> {
  const detail = await runDetail(watched);
  const { kind } = watched.entry;
  const isLabelling = kind === 'classify' || kind === 'evaluate';
  const [family, labels, errorRows, evaluation, dataset, map] = await Promise.all([
    foundWithinBudget(readFamily(watched, resolver)),
    isLabelling ? foundWithinBudget(runLabels(watched)) : null,
    kind === 'train' ? null : foundWithinBudget(readErrorRows(watched, cursor, resolver)),
    foundWithinBudget(views.evaluation(watched)),
    foundWithinBudget(views.dataset(watched)),
    kind === 'train' ? null : shardMap(watched),
  ]);
  return {
    detail,
    family: family ?? { retryOf: null, generations: [], begun: null },
    shards: map === null ? null : countShards(map.cells),
    labels,
    errorRows,
    training:
      kind === 'train'
        ? { epochs: watched.epochs.epochs, latest: watched.isLive ? watched.latest : null }
        : null,
    evaluation,
    dataset,
  };
}

async function readErrorRows(
  watched: WatchedRun,
  cursor: string | undefined,
  resolver: Services['resolver'],
): Promise<ErrorsPage | null> {
  const run = await watched.document();
  if (!isShardedRun(run)) return null;
  const { commits, labelled, items } = watched.commits;
  if (watched.isWholeRead && items === labelled) return { rows: [], next: null };
  const query = { cursor, limit: ERROR_ROWS };
  // The rows are those of the counts beside them: of the commits that were read so far.
  return errorsPage(run, watched.ledger, resolver, query, commits, commits.size > 0);
}

/** @param cells one character per shard, as the map of a run has them */
export function countShards(cells: string): ShardCounts {
  const counts = { waiting: 0, active: 0, committed: 0, withErrors: 0, failed: 0 };
  const names = { '.': 'waiting', '>': 'active', '=': 'committed', '!': 'withErrors', x: 'failed' } as const;
  for (const cell of cells) counts[names[cell as keyof typeof names]] += 1;
  return counts;
}
