import { ImagemillError } from '../contract/errors.ts';
import type { EvaluateRun } from '../contract/run.ts';
import type { Commit, Shard } from '../contract/ledger.ts';
import { ledgerKeys } from '../storage/ledger-keys.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { confusionSvg } from './charts/confusion-matrix.ts';
import { renderSvg } from './decode/render-svg.ts';
import { EvaluationTally, type EvaluationReport } from './evaluation.ts';
import { readPart } from './sink/read-part.ts';

/** `evaluation.json`. */
export interface Evaluation extends EvaluationReport {
  readonly run: string;
  readonly model: string;
  readonly dataset: string;
  readonly split: string;
  readonly crops: 1 | 10;
  /** Images that could not be classified; they are not among the items. */
  readonly unreadable: number;
}

/**
 * Compares the labels of an evaluate run with those of its dataset: writes `evaluation.json` and `confusion.png`.
 * Memory depends on the number of classes and the size of a shard only.
 */
export async function finishEvaluate(ledger: RunLedger, run: EvaluateRun): Promise<Evaluation> {
  const { labels } = run.model;
  const tally = new EvaluationTally(labels);
  const classIds = new Map(labels.map((label, id) => [label, id]));
  let unreadable = 0;
  for await (const commit of ledger.commits()) {
    const shard = await ledger.readShard(commit.shard);
    await addShard(tally, ledger, run, { commit, shard, classIds });
    unreadable += commit.items - commit.labelled;
  }
  const report = tally.report();
  const evaluation: Evaluation = {
    run: run.run,
    model: run.model.uri,
    dataset: run.spec.dataset.uri,
    split: run.spec.split,
    crops: run.spec.crops,
    unreadable,
    ...report,
  };
  if (report.confusion !== null) {
    const title = `${run.model.architecture} on ${run.spec.split}, ${report.items} images`;
    const svg = confusionSvg({ labels, counts: report.confusion, title });
    await ledger.store.put(ledgerKeys.confusion, await renderSvg(svg));
  }
  await ledger.store.put(ledgerKeys.evaluation, new TextEncoder().encode(JSON.stringify(evaluation)));
  return evaluation;
}

/** `evaluation.json` of a finished run. @throws ImagemillError OBJECT_NOT_FOUND */
export async function readEvaluation(ledger: RunLedger): Promise<Evaluation> {
  const bytes = await ledger.store.get(ledgerKeys.evaluation);
  return JSON.parse(new TextDecoder().decode(bytes)) as Evaluation;
}

/** Rows name their item by its uri; items that could not be read have none. */
async function addShard(
  tally: EvaluationTally,
  ledger: RunLedger,
  run: EvaluateRun,
  { commit, shard, classIds }: { commit: Commit; shard: Shard; classIds: ReadonlyMap<string, number> },
): Promise<void> {
  const truths = new Map(shard.items.map(({ uri, label }) => [uri, label]));
  for await (const rows of readPart(await ledger.store.get(commit.part.key), run.spec.format)) {
    for (const { uri, ids, scores } of rows) {
      if (!truths.has(uri)) {
        throw new ImagemillError(
          'CONTRACT_INVALID',
          `${commit.part.key}: expected items of the shard, got ${uri}`,
        );
      }
      const label = truths.get(uri);
      tally.add({ truth: label === undefined ? null : (classIds.get(label) ?? null), ids, scores });
    }
  }
}
