import type { RunDetail, ShardMap } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { Run } from '../../contract/run.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import { actionsFor } from './act-on-run.ts';

/** How long a page waits for a run with many commits to be read; what is missing comes with the next look. */
const READ_BUDGET_MS = 150;

/**
 * Everything of a run that fits on one page, from what is in memory; reading goes on in the background where it takes
 * longer than a page may.
 * @throws ImagemillError RUN_NOT_FOUND where nothing can be read at all
 */
export async function runDetail(watched: WatchedRun): Promise<RunDetail> {
  await withinBudget(watched.refreshWhole());
  const [document, failure] = await Promise.all([readDocument(watched), readFailure(watched)]);
  const overview = watched.overview();
  const { summary, commits } = watched;
  return {
    overview: { ...overview, submittedBy: submitterOf(document) ?? overview.submittedBy },
    document: document === null ? null : withoutModel(document),
    model: modelOf(document),
    failure,
    shards: shardsOf(watched),
    errorsByCode: summary?.errorsByCode ?? commits.errorsByCode,
    stages: watched.entry.kind === 'train' ? null : (summary?.stages ?? { ...commits.stages }),
    generations: summary?.generations ?? 0,
    actions: actionsFor(watched, summary?.errors ?? 0),
  };
}

/** One character per shard: see the schema. */
export async function shardMap(watched: WatchedRun): Promise<ShardMap> {
  await withinBudget(watched.refreshWhole());
  const { planned, planComplete } = shardsOf(watched) ?? { planned: 0, planComplete: false };
  const cells: string[] = [];
  for (let shard = 0; shard < planned; shard += 1) cells.push(cellOf(watched, shard));
  return { run: watched.entry.run, planned, planComplete, cells: cells.join('') };
}

function cellOf({ commits, active, failedShards }: WatchedRun, shard: number): string {
  const commit = commits.commits.get(shard);
  if (commit !== undefined) return commit.labelled < commit.items ? '!' : '=';
  if (active.has(shard)) return '>';
  return failedShards.has(shard) ? 'x' : '.';
}

function shardsOf(watched: WatchedRun): RunDetail['shards'] {
  if (watched.entry.kind === 'train') return null;
  const { plan, planned, commits, summary } = watched;
  const committed = Math.max(commits.commits.size, summary?.shards ?? 0);
  return {
    planned: plan?.shards ?? Math.max(planned?.shards ?? 0, committed),
    committed,
    planComplete: plan !== null,
  };
}

function withinBudget(work: Promise<void>): Promise<void> {
  // A fault is the next reader's; here what is known is shown.
  const guarded = work.catch(() => {});
  return Promise.race([guarded, new Promise<void>((resolve) => setTimeout(resolve, READ_BUDGET_MS).unref())]);
}

async function readDocument(watched: WatchedRun): Promise<Run | null> {
  try {
    return await watched.document();
  } catch (error) {
    if (error instanceof ImagemillError) return null;
    throw error;
  }
}

function readFailure(watched: WatchedRun): Promise<RunDetail['failure']> {
  if (watched.state === 'done' || watched.state === 'unreadable') return Promise.resolve(null);
  return watched.ledger.findFailure().catch(() => null);
}

function withoutModel({ model: _model, ...document }: Run): RunDetail['document'] {
  return document;
}

function modelOf(document: Run | null): RunDetail['model'] {
  const model = document?.model;
  if (model === undefined) return null;
  const { uri, architecture, classes, digest } = model;
  return { uri, architecture, classes, digest };
}

/** Runs of earlier versions do not say. */
function submitterOf(document: Run | null): string | null {
  const submitter: unknown = (document as { submittedBy?: unknown } | null)?.submittedBy;
  return typeof submitter === 'string' ? submitter : null;
}
