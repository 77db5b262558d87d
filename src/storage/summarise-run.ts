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
  for await (const commit of ledger.commits()) {
    shards += 1;
    items += commit.items;
    labelled += commit.labelled;
    bytesRead += commit.bytesRead;
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
  };
}
