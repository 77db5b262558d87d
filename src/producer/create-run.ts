import { ulid } from 'ulid';
import type { z } from 'zod';
import { VERSION } from '../config/version.ts';
import { describeIssues } from '../contract/document.ts';
import { ImagemillError } from '../contract/errors.ts';
import type { ModelCard } from '../contract/model-card.ts';
import { runDocument, runIndexEntry, sourceOfRun, type Run, type RunSpec } from '../contract/run.ts';
import { sha256Json } from '../storage/digest.ts';
import { lookFirstStore } from '../storage/fenced-store.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';
import { checkWritable, probeConditionalPut } from '../storage/probe.ts';
import type { RunIndex } from '../storage/run-index.ts';
import { RunLedger } from '../storage/run-ledger.ts';

export interface SubmittedRun {
  readonly run: Run;
  readonly ledger: RunLedger;
  /** False where an equal run was found at the output. */
  readonly created: boolean;
}

export interface RunRequest {
  readonly spec: RunSpec;
  readonly model?: ModelCard;
  readonly out: ObjectStore;
  /** Start another run, in a folder of its own below `out`, even where an equal one exists. */
  readonly fresh: boolean;
  /** The run gets a folder of its own below `out` in every case. */
  readonly nested?: boolean;
}

/**
 * Creates the ledger of a run whose spec has been checked, or finds the equal run that is there. Nothing is enqueued.
 * @throws ImagemillError OUTPUT_NOT_WRITABLE, OUTPUT_HOLDS_ANOTHER_RUN, STORE_*
 */
export async function createRun(
  { spec, model, out, fresh, nested = false }: RunRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now: Date,
): Promise<SubmittedRun> {
  const run: Run = {
    schema: runDocument.id,
    run: `r-${ulid(now.getTime())}`,
    createdAt: now.toISOString(),
    specDigest: sha256Json(spec),
    spec,
    ...(model === undefined ? {} : { model }),
    fencing: 'conditional-put',
    versions: { imagemill: VERSION, node: process.versions.node },
  };
  const occupant = nested ? null : await new RunLedger(out).findRun();
  const isApart = nested || (occupant !== null && fresh);
  const place = isApart ? resolver.open(out.uriOf(run.run)) : out;
  return createLedger(run, new RunLedger(place), fresh ? null : occupant, index);
}

async function createLedger(
  run: Run,
  ledger: RunLedger,
  occupant: Run | null,
  index: RunIndex,
): Promise<SubmittedRun> {
  const created = occupant === null ? await createDocument(run, ledger) : null;
  const stored = created ?? occupant ?? (await ledger.readRun());
  if (stored.specDigest !== run.specDigest) {
    throw new ImagemillError(
      'OUTPUT_HOLDS_ANOTHER_RUN',
      `expected an output without a run, or with this one; ${ledger.out} holds ${stored.run} (${describeDifference(stored.spec, run.spec)}); use another --out, or --new`,
    );
  }
  await index.add({
    schema: runIndexEntry.id,
    run: stored.run,
    kind: stored.spec.kind,
    out: ledger.out,
    source: sourceOfRun(stored),
    createdAt: stored.createdAt,
  });
  return { run: stored, ledger, created: created !== null };
}

/** Writes `run.json`. @returns the run as it was written, null where one was there */
async function createDocument(run: Run, ledger: RunLedger): Promise<Run | null> {
  await checkWritable(ledger.store);
  if (await probeConditionalPut(ledger.store)) return (await ledger.createRun(run)) ? run : null;
  const fenced: Run = { ...run, fencing: 'redis' };
  return (await new RunLedger(lookFirstStore(ledger.store)).createRun(fenced)) ? fenced : null;
}

/** @throws ImagemillError USAGE with every fault in one line */
export function parseSpec<S extends z.ZodType>(schema: S, spec: z.input<S>): z.infer<S> {
  const result = schema.safeParse(spec);
  if (!result.success) throw new ImagemillError('USAGE', describeIssues(result.error));
  return result.data;
}

function describeDifference(a: RunSpec, b: RunSpec): string {
  if (a.kind !== b.kind) return `a ${a.kind} run`;
  const before = new Map<string, unknown>(Object.entries(a));
  const after = new Map<string, unknown>(Object.entries(b));
  const different = [...new Set([...before.keys(), ...after.keys()])].filter(
    (name) => sha256Json({ v: before.get(name) }) !== sha256Json({ v: after.get(name) }),
  );
  return `different: ${different.join(', ')}`;
}
