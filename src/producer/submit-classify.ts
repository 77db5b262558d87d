import { ulid } from 'ulid';
import { ImagemillError } from '../contract/errors.ts';
import {
  classifySpecSchema,
  runDocument,
  runIndexEntry,
  type ClassifySpec,
  type Run,
  type SourceSpec,
} from '../contract/run.ts';
import type { PartFormat } from '../contract/rows.ts';
import { describeIssues } from '../contract/document.ts';
import { loadModel } from '../pipeline/engine/load-model.ts';
import { openSource } from '../pipeline/source/open-source.ts';
import { validateManifest } from '../pipeline/source/validate-manifest.ts';
import { sha256, sha256Json } from '../storage/digest.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';
import { checkWritable, probeConditionalPut } from '../storage/probe.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import { parseLabels } from './parse-labels.ts';
import { VERSION } from '../config/version.ts';

export interface ClassifyRequest {
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

export interface SubmittedRun {
  readonly run: Run;
  readonly ledger: RunLedger;
  /** False where an equal run was found at the output. */
  readonly created: boolean;
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
  let out = resolver.open(request.out);
  refuseOutputInsideSource(source.uri, out);
  await refuseEmptySource(source, resolver);

  const labels = await readLabels(request.labels, resolver);
  const model = await readModel(request.model, labels?.names, resolver);
  const spec = parseSpec({
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

  const run: Run = {
    schema: runDocument.id,
    run: `r-${ulid(now.getTime())}`,
    createdAt: now.toISOString(),
    specDigest: sha256Json(spec),
    spec,
    model: model.card,
    fencing: 'conditional-put',
    versions: { imagemill: VERSION, node: process.versions.node },
  };
  const occupant = await new RunLedger(out).findRun();
  if (occupant !== null && request.fresh) out = resolver.open(out.uriOf(run.run));
  return createLedger(run, new RunLedger(out), request.fresh ? null : occupant, index);
}

async function createLedger(
  run: Run,
  ledger: RunLedger,
  occupant: Run | null,
  index: RunIndex,
): Promise<SubmittedRun> {
  if (occupant === null) {
    await checkWritable(ledger.store);
    if (!(await probeConditionalPut(ledger.store))) {
      throw new ImagemillError(
        'STORE_CONDITIONAL_PUT_UNSUPPORTED',
        `expected a store that refuses a second put with If-None-Match: *, got one that accepts it at ${ledger.out}`,
      );
    }
  }
  const created = occupant === null && (await ledger.createRun(run));
  const stored = created ? run : (occupant ?? (await ledger.readRun()));
  if (stored.specDigest !== run.specDigest) {
    throw new ImagemillError(
      'OUTPUT_HOLDS_ANOTHER_RUN',
      `expected an output without a run, or with this one; ${ledger.out} holds ${stored.run} (${describeDifference(stored.spec, run.spec)}); use another --out, or --new`,
    );
  }
  await index.add({
    schema: runIndexEntry.id,
    run: stored.run,
    kind: 'classify',
    out: ledger.out,
    source: stored.spec.source.uri,
    createdAt: stored.createdAt,
  });
  return { run: stored, ledger, created };
}

/** An absolute URI: workers elsewhere must read the same place, whatever folder the command was typed in. */
function canonicalUri(resolver: StoreResolver, uri: string): string {
  const { rootUri } = resolver.open(uri);
  // A set of tars is written with braces, which a file URI would encode.
  const plain = rootUri.replaceAll('%7B', '{').replaceAll('%7D', '}');
  return uri.endsWith('/') ? plain : plain.slice(0, -1);
}

function refuseOutputInsideSource(sourceUri: string, out: ObjectStore): void {
  const folder = sourceUri.endsWith('/') ? sourceUri : `${sourceUri}/`;
  if (out.rootUri.startsWith(folder)) {
    throw new ImagemillError(
      'OUTPUT_INSIDE_SOURCE',
      `expected an output outside the source ${folder}, got ${out.rootUri}`,
    );
  }
}

async function refuseEmptySource(spec: SourceSpec, resolver: StoreResolver): Promise<void> {
  await validateManifest(spec, resolver);
  const source = await openSource(spec, resolver);
  for await (const page of source.list()) if (page.length > 0) return;
  throw new ImagemillError('SOURCE_EMPTY', `expected images at ${spec.uri}, found none`);
}

async function readModel(uri: string, labels: readonly string[] | undefined, resolver: StoreResolver) {
  const { store, key } = resolver.resolve(uri);
  const bytes = await store.get(key).catch((error: unknown) => {
    const missing = error instanceof ImagemillError && error.code === 'OBJECT_NOT_FOUND';
    throw missing
      ? new ImagemillError('MODEL_NOT_FOUND', `expected a model file at ${store.uriOf(key)}, found none`)
      : error;
  });
  return loadModel(bytes, { uri: store.uriOf(key), ...(labels === undefined ? {} : { labels }) });
}

async function readLabels(uri: string | undefined, resolver: StoreResolver) {
  if (uri === undefined) return undefined;
  const { store, key } = resolver.resolve(uri);
  const bytes = await store.get(key);
  return { names: parseLabels(bytes, store.uriOf(key)), digest: sha256(bytes) };
}

function parseSpec(spec: unknown): ClassifySpec {
  const result = classifySpecSchema.safeParse(spec);
  if (!result.success) throw new ImagemillError('USAGE', describeIssues(result.error));
  return result.data;
}

function describeDifference(a: ClassifySpec, b: ClassifySpec): string {
  const names = Object.keys(a) as (keyof ClassifySpec)[];
  const different = names.filter((name) => sha256Json({ v: a[name] }) !== sha256Json({ v: b[name] }));
  return `different: ${different.join(', ')}`;
}
