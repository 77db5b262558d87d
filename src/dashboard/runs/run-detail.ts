import { SHARD_MAP_MAX, type RunDetail, type ShardFacts, type ShardMap } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { Run } from '../../contract/run.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import { actionsFor } from './act-on-run.ts';
import { withinBudget } from './within-budget.ts';

/**
 * Everything of a run that fits on one page, from what is in memory; reading goes on in the background where it takes
 * longer than a page may.
 * @throws ImagemillError RUN_NOT_FOUND where nothing can be read at all
 */
export async function runDetail(watched: WatchedRun): Promise<RunDetail> {
  await withinBudget(watched.refreshWhole());
  const document = await readDocument(watched);
  const { summary, commits, failure } = watched;
  return {
    overview: watched.overview(),
    document: document === null ? null : withoutModel(document),
    model: modelOf(document),
    failure,
    shards: shardsOf(watched),
    errorsByCode: summary?.errorsByCode ?? { ...commits.errorsByCode },
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
  for (let shard = 0; shard < Math.min(planned, SHARD_MAP_MAX); shard += 1)
    cells.push(cellOf(watched, shard));
  return { run: watched.entry.run, planned, planComplete, cells: cells.join('') };
}

/**
 * What is known of one shard.
 * @throws ImagemillError PAGE_NOT_FOUND where the run has not so many
 */
export async function shardFacts(watched: WatchedRun, shard: number): Promise<ShardFacts> {
  await withinBudget(watched.refreshWhole());
  const planned = shardsOf(watched)?.planned ?? 0;
  if (shard >= planned) {
    throw new ImagemillError(
      'PAGE_NOT_FOUND',
      `${watched.entry.run}: expected a shard below ${planned}, got ${shard}`,
    );
  }
  const commit = watched.commits.commits.get(shard);
  if (commit !== undefined) {
    const { items, labelled, seconds, worker, committedAt } = commit;
    const errors = items - labelled;
    return { shard, state: 'committed', items, labelled, errors, seconds, worker, committedAt };
  }
  const nothing = { labelled: null, seconds: null, worker: null, committedAt: null };
  const active = watched.active.get(shard);
  if (active !== undefined) return { shard, state: 'active', ...active, ...nothing };
  const state = watched.failedShards.has(shard) ? 'failed' : 'waiting';
  return { shard, state, items: null, errors: null, ...nothing };
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

async function readDocument(watched: WatchedRun): Promise<Run | null> {
  try {
    return await watched.document();
  } catch (error) {
    if (error instanceof ImagemillError) return null;
    throw error;
  }
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
