import { LabelStatisticsSum, placeItems, type LedgerLabelStatistics } from '../contract/label-statistics.ts';
import { summaryDocument, type StageSeconds, type Summary } from '../contract/ledger.ts';
import type { Run } from '../contract/run.ts';
import type { RunLedger } from './run-ledger.ts';

const MS_PER_SECOND = 1_000;

/** Adds up a run's commits. Also serves a run in progress: then it counts what has been committed so far. */
export async function summarise(ledger: RunLedger, run: Run): Promise<Summary> {
  const errorsByCode: Record<string, number> = {};
  const stages: StageSeconds = { fetch: 0, decode: 0, compute: 0, write: 0 };
  let [shards, items, labelled, bytesRead] = [0, 0, 0, 0];
  let finishedAt = run.createdAt;
  const labels = new LabelStatisticsSum<LedgerLabelStatistics['leastConfident'][number]>();
  let described = 0;
  for await (const commit of ledger.commits()) {
    shards += 1;
    items += commit.items;
    labelled += commit.labelled;
    bytesRead += commit.bytesRead;
    if (commit.labels !== undefined) {
      labels.add(placeItems(commit.labels, { shard: commit.shard }));
      described += 1;
    }
    if (commit.committedAt > finishedAt) finishedAt = commit.committedAt;
    for (const [code, count] of Object.entries(commit.errorsByCode)) {
      errorsByCode[code] = (errorsByCode[code] ?? 0) + count;
    }
    for (const stage of Object.keys(stages) as (keyof StageSeconds)[]) stages[stage] += commit.stages[stage];
  }
  const seconds = Math.max(0, Date.parse(finishedAt) - Date.parse(run.createdAt)) / MS_PER_SECOND;
  return {
    schema: summaryDocument.id,
    run: run.run,
    items,
    labelled,
    errors: items - labelled,
    errorsByCode,
    shards,
    bytesRead,
    startedAt: run.createdAt,
    finishedAt,
    seconds,
    imagesPerSecond: seconds === 0 ? 0 : Math.round((items / seconds) * 10) / 10,
    stages,
    // Statistics of some of the shards would pass for those of all.
    ...(described > 0 && described === shards ? { labels: labels.statistics() } : {}),
  };
}
