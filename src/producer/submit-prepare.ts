import { prepareSpecSchema, type PrepareSpec, type SourceSpec } from '../contract/run.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { refuseUntrainableSource } from './check-classes.ts';
import { canonicalUri, refuseEmptySource, refuseOutputInsideSource } from './check-source.ts';
import { createRun, parseSpec, type Submission, type SubmittedRun } from './create-run.ts';

export interface PrepareRequest extends Omit<PrepareSpec, 'kind'>, Submission {
  readonly source: SourceSpec;
  /** The dataset's directory, which is also the run's. */
  readonly out: string;
  /** Start another run, in a folder of its own below `out`, even where an equal one exists. */
  readonly fresh: boolean;
}

/**
 * Checks everything that can be wrong with a prepare run, then creates its ledger. Nothing is enqueued yet, and
 * nothing is written before every check has passed.
 * The same request at the same output is the same run.
 * @throws ImagemillError SOURCE_EMPTY, SOURCE_NOT_FOUND, MANIFEST_INVALID, DATASET_CLASSES, OUTPUT_*, STORE_*, USAGE
 */
export async function submitPrepare(
  { out: outUri, fresh, submittedBy, identity, ...request }: PrepareRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now = new Date(),
): Promise<SubmittedRun> {
  const source = { ...request.source, uri: canonicalUri(resolver, request.source.uri) };
  const spec = parseSpec(prepareSpecSchema, { kind: 'prepare', ...request, source });
  const out = resolver.open(outUri);
  refuseOutputInsideSource(source.uri, out);
  await refuseEmptySource(source, resolver);
  await refuseUntrainableSource(spec.source, resolver);
  return createRun({ spec, out, fresh, submittedBy, identity }, resolver, index, now);
}
