import { ulid } from 'ulid';
import { z } from 'zod';
import { VERSION } from '../config/version.ts';
import { describeIssues } from '../contract/document.ts';
import { ImagemillError } from '../contract/errors.ts';
import { runIdSchema } from '../contract/ids.ts';
import type { ModelCard } from '../contract/model-card.ts';
import {
  runDocument,
  runIndexEntry,
  sourceOfRun,
  submittedBySchema,
  type Run,
  type RunSpec,
} from '../contract/run.ts';
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

/** What makes a run this very one, whatever it computes. */
export interface RunIdentity {
  /** `r-<ulid>` */
  readonly run: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

/** About a submission rather than what is computed: no part of the spec, nor of its digest. */
export interface Submission {
  /** Printable text, at most 200 characters. */
  readonly submittedBy?: string | undefined;
  /**
   * Chosen, and recorded, by the caller beforehand. A submission that is repeated with it, after a crash or at the same
   * time, gives the same run, with `fresh` as well: where the run is there it is found as it was submitted.
   */
  readonly identity?: RunIdentity | undefined;
}

const submissionSchema = z.object({
  submittedBy: submittedBySchema.optional(),
  identity: z.object({ run: runIdSchema, createdAt: z.iso.datetime() }).optional(),
});

/** A new one; ids sort by time. */
export function newRunIdentity(now: Date): RunIdentity {
  return { run: `r-${ulid(now.getTime())}`, createdAt: now.toISOString() };
}

export interface RunRequest extends Submission {
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
 * @throws ImagemillError OUTPUT_NOT_WRITABLE, OUTPUT_HOLDS_ANOTHER_RUN, STORE_*; USAGE for a submission without form
 */
export async function createRun(
  { spec, model, out, fresh, nested = false, ...submission }: RunRequest,
  resolver: StoreResolver,
  index: RunIndex,
  now: Date,
): Promise<SubmittedRun> {
  const { submittedBy, identity } = parseSpec(submissionSchema, submission);
  const run: Run = {
    schema: runDocument.id,
    ...(identity ?? newRunIdentity(now)),
    specDigest: sha256Json(spec),
    spec,
    ...(model === undefined ? {} : { model }),
    fencing: 'conditional-put',
    versions: { imagemill: VERSION, node: process.versions.node },
    ...(submittedBy === undefined ? {} : { submittedBy }),
  };
  const apart = new RunLedger(resolver.open(out.uriOf(run.run)));
  const createApart = async (): Promise<SubmittedRun> =>
    (await create(run, apart, index)) ?? find(await apart.readRun(), apart, run, index);
  if (nested) return createApart();
  // Where a repeated submission was put once it stays, whatever has become of the output since.
  const earlier = identity === undefined ? null : await apart.findRun();
  if (earlier !== null) return find(earlier, apart, run, index);

  const here = new RunLedger(out);
  let occupant = await here.findRun();
  if (occupant === null) {
    const created = await create(run, here, index);
    if (created !== null) return created;
    occupant = await here.readRun();
  }
  return fresh && occupant.run !== run.run ? createApart() : find(occupant, here, run, index);
}

/** @returns null where a run is there already */
async function create(run: Run, ledger: RunLedger, index: RunIndex): Promise<SubmittedRun | null> {
  const created = await createDocument(run, ledger);
  if (created === null) return null;
  await addToIndex(created, ledger, index);
  return { run: created, ledger, created: true };
}

/** @param wanted the run that would have been created where `found` is */
async function find(found: Run, ledger: RunLedger, wanted: Run, index: RunIndex): Promise<SubmittedRun> {
  // This very run needs no comparison: its model, say, may have been replaced since it was submitted.
  if (found.run !== wanted.run && found.specDigest !== wanted.specDigest) {
    throw new ImagemillError(
      'OUTPUT_HOLDS_ANOTHER_RUN',
      `expected an output without a run, or with this one; ${ledger.out} holds ${found.run} (${describeDifference(found.spec, wanted.spec)}); use another --out, or --new`,
    );
  }
  await addToIndex(found, ledger, index);
  return { run: found, ledger, created: false };
}

async function addToIndex(run: Run, ledger: RunLedger, index: RunIndex): Promise<void> {
  await index.add({
    schema: runIndexEntry.id,
    run: run.run,
    kind: run.spec.kind,
    out: ledger.out,
    source: sourceOfRun(run),
    createdAt: run.createdAt,
    ...(run.submittedBy === undefined ? {} : { submittedBy: run.submittedBy }),
  });
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
