import { ImagemillError } from '../contract/errors.ts';
import type { Split } from '../contract/dataset.ts';
import { evaluateSpecSchema } from '../contract/run.ts';
import { openDataset } from '../pipeline/dataset/open-dataset.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { createRun, parseSpec, type Submission, type SubmittedRun } from './create-run.ts';
import { readModel } from './read-model.ts';

const TOP_K = 5;
const SHARD_SIZE = 1_000;

export interface EvaluateRequest extends Submission {
  /** Location of a prepared dataset. */
  readonly dataset: string;
  readonly split: Split;
  readonly model: string;
  readonly out: string;
  readonly crops: 1 | 10;
  readonly batchSize: number;
}

/**
 * Checks everything that can be wrong with an evaluation, then creates its ledger. Nothing is enqueued yet.
 * @throws ImagemillError DATASET_NOT_FOUND, SOURCE_EMPTY, MODEL_*, OUTPUT_*, STORE_*, USAGE
 */
export async function submitEvaluate(
  request: EvaluateRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now = new Date(),
): Promise<SubmittedRun> {
  const { dataset, uri } = await openDataset(resolver, request.dataset);
  if (dataset.splits[request.split].items === 0) {
    throw new ImagemillError(
      'SOURCE_EMPTY',
      `${uri}: expected images in the split ${request.split}, found none`,
    );
  }
  const { card } = await readModel(request.model, undefined, resolver);
  const known = new Set(card.labels);
  if (!dataset.classes.some((name) => known.has(name))) {
    throw new ImagemillError(
      'MODEL_LABELS_MISMATCH',
      `${card.uri}: expected classes of the dataset (${sample(dataset.classes)}), got a model of ${sample(card.labels)}`,
    );
  }
  const spec = parseSpec(evaluateSpecSchema, {
    kind: 'evaluate',
    dataset: { uri, digest: dataset.digest },
    split: request.split,
    source: { uri: `${uri}${request.split}/` },
    model: { uri: card.uri, digest: card.digest },
    topK: Math.min(TOP_K, card.classes),
    crops: request.crops,
    shardSize: SHARD_SIZE,
    batchSize: request.batchSize,
    format: 'parquet',
    embeddings: false,
  });
  const out = resolver.open(request.out);
  const { submittedBy, identity } = request;
  return createRun({ spec, model: card, out, fresh: false, submittedBy, identity }, resolver, index, now);
}

function sample(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => JSON.stringify(name));
  return names.length > shown.length ? `${shown.join(', ')}, …` : shown.join(', ');
}
