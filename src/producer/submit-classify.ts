import { ImagemillError } from '../contract/errors.ts';
import { classifySpecSchema, type SourceSpec } from '../contract/run.ts';
import type { PartFormat } from '../contract/rows.ts';
import { sha256 } from '../storage/digest.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { canonicalUri, refuseEmptySource, refuseOutputInsideSource } from './check-source.ts';
import { createRun, parseSpec, type Submission, type SubmittedRun } from './create-run.ts';
import { parseLabels } from './parse-labels.ts';
import { readModel } from './read-model.ts';

export interface ClassifyRequest extends Submission {
  readonly source: SourceSpec;
  /** URI or path of the model's file. */
  readonly model: string;
  /** URI or path of a labels file; undefined: the model's own, ImageNet's, or numbers. */
  readonly labels?: string | undefined;
  readonly out: string;
  readonly topK: number;
  readonly crops: 1 | 10;
  readonly shardSize: number;
  readonly batchSize: number;
  readonly format: PartFormat;
  readonly embeddings: boolean;
  /** Start another run, in a folder of its own below `out`, even where an equal one exists. */
  readonly fresh: boolean;
}

/**
 * Checks everything that can be wrong with a classify run, then creates its ledger. Nothing is enqueued yet, and
 * nothing is written before every check has passed.
 * The same request at the same output is the same run.
 * @throws ImagemillError SOURCE_EMPTY, SOURCE_NOT_FOUND, MANIFEST_INVALID, MODEL_*, OUTPUT_*, STORE_*, USAGE
 */
export async function submitClassify(
  request: ClassifyRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now = new Date(),
): Promise<SubmittedRun> {
  const source = { ...request.source, uri: canonicalUri(resolver, request.source.uri) };
  const out = resolver.open(request.out);
  refuseOutputInsideSource(source.uri, out);
  await refuseEmptySource(source, resolver);

  const labels = await readLabels(request.labels, resolver);
  const model = await readModel(request.model, labels?.names, resolver);
  const spec = parseSpec(classifySpecSchema, {
    kind: 'classify',
    source,
    model: {
      uri: model.card.uri,
      digest: model.card.digest,
      ...(labels === undefined ? {} : { labelsDigest: labels.digest }),
    },
    topK: request.topK,
    crops: request.crops,
    shardSize: request.shardSize,
    batchSize: request.batchSize,
    format: request.format,
    embeddings: request.embeddings,
  });
  if (spec.topK > model.card.classes) {
    throw new ImagemillError(
      'USAGE',
      `expected --top-k of at most ${model.card.classes}, the model's number of classes, got ${spec.topK}`,
    );
  }
  // Compiling is how the options are checked against the model: embeddings, for one, need a graph that shows them.
  model.compile({
    topK: spec.topK,
    batchSize: spec.batchSize,
    crops: spec.crops,
    embeddings: spec.embeddings,
  });

  const { fresh, submittedBy, identity } = request;
  return createRun({ spec, model: model.card, out, fresh, submittedBy, identity }, resolver, index, now);
}

async function readLabels(uri: string | undefined, resolver: StoreResolver) {
  if (uri === undefined) return undefined;
  const { store, key } = resolver.resolve(uri);
  const bytes = await store.get(key);
  return { names: parseLabels(bytes, store.uriOf(key)), digest: sha256(bytes) };
}
