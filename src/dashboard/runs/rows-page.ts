import type { ErrorsPage, ResultsPage } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { Commit } from '../../contract/ledger.ts';
import { errorRowSchema, type ErrorRow, type ResultRow } from '../../contract/rows.ts';
import { isLabelRun, isShardedRun, type Run } from '../../contract/run.ts';
import { readPart } from '../../pipeline/sink/read-part.ts';
import { resultLedgers } from '../../storage/generations.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';

/** Where a page begins: the ledger (0: the run's own, n: that of generation n), the shard, and the row in its part. */
interface Place {
  readonly ledger: number;
  readonly shard: number;
  readonly row: number;
}

type KnownCommits = ReadonlyMap<number, Pick<Commit, 'items' | 'labelled'>>;

const START: Place = { ledger: 0, shard: 0, row: 0 };
/** Shards that one request looks into: of ten thousand shards without an error the errors are looked for in pieces. */
const SHARDS_PER_PAGE = 256;

function parsePlace(cursor: string | undefined): Place {
  if (cursor === undefined) return START;
  const [ledger = 0, shard = 0, row = 0] = cursor.split('.').map(Number);
  return { ledger, shard, row };
}

/**
 * A page of the committed rows of a run, in shard order, those of complete generations after the run's own.
 * @param known commits of the run itself that have been read before
 * @param isComplete whether these are all that count, so that none need be listed
 * @throws ImagemillError USAGE where the run does not label images
 */
export async function resultsPage(
  run: Run,
  ledger: RunLedger,
  resolver: StoreResolver,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  known: KnownCommits = new Map(),
  isComplete = false,
): Promise<ResultsPage> {
  if (!isLabelRun(run)) throw wrongKind('a run that labels images', run);
  const read = async (ledger: RunLedger, { part }: Commit) => {
    const rows: ResultRow[] = [];
    for await (const batch of readPart(await ledger.store.get(part.key), run.spec.format))
      rows.push(...batch);
    return rows.map(({ embedding: _embedding, ...row }) => row);
  };
  const ledgers = await resultLedgers(ledger, resolver);
  const shardsFrom: ShardsFrom = (each, from) =>
    each === ledger && isComplete ? knownFrom(known, from) : committedFrom(each, from);
  return page(ledgers, parsePlace(cursor), limit, read, undefined, shardsFrom);
}

/**
 * A page of the error rows that are left.
 * @param known commits of the run itself that have been read before: those without errors are passed over
 * @param isComplete whether these are all that count, so that none need be listed
 * @throws ImagemillError USAGE where the run does not read images
 */
export async function errorsPage(
  run: Run,
  ledger: RunLedger,
  resolver: StoreResolver,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  known: KnownCommits = new Map(),
  isComplete = false,
): Promise<ErrorsPage> {
  if (!isShardedRun(run)) throw wrongKind('a run that reads images', run);
  const ledgers = await resultLedgers(ledger, resolver);
  // A generation retries every error of the one before it: what is left is in the last.
  const place = cursor === undefined ? { ...START, ledger: ledgers.length - 1 } : parsePlace(cursor);
  // Whoever began with the errors of one generation goes on with them, though the next may be there by now.
  const generation = ledgers.slice(0, place.ledger + 1);
  const isOwn = place.ledger === 0;
  const isWhole = (shard: number) => {
    const commit = known.get(shard);
    return isOwn && commit !== undefined && commit.items === commit.labelled;
  };
  return page(
    generation,
    place,
    limit,
    async (ledger, { errors }) =>
      errors === null ? [] : parseErrorRows(await ledger.store.get(errors.key), errors.key),
    isWhole,
    isOwn && isComplete ? (_, from) => knownFrom(known, from, isWhole) : committedFrom,
  );
}

/** Shards in order. */
type ShardsFrom = (ledger: RunLedger, from: number) => AsyncIterable<number> | Iterable<number>;

const committedFrom: ShardsFrom = (ledger, from) => ledger.committedShards(from);

function knownFrom(
  known: KnownCommits,
  from: number,
  isPassedOver: (shard: number) => boolean = () => false,
): number[] {
  const shards: number[] = [];
  for (const shard of known.keys()) if (shard >= from && !isPassedOver(shard)) shards.push(shard);
  return shards.sort((a, b) => a - b);
}

async function page<R>(
  ledgers: readonly RunLedger[],
  from: Place,
  limit: number,
  read: (ledger: RunLedger, commit: Commit) => Promise<R[]>,
  isPassedOver: (shard: number) => boolean = () => false,
  shardsFrom = committedFrom,
): Promise<{ rows: R[]; next: string | null }> {
  const rows: R[] = [];
  let looked = 0;
  for (const [place, ledger] of ledgers.entries()) {
    if (place < from.ledger) continue;
    const begins = place === from.ledger ? from : START;
    for await (const shard of shardsFrom(ledger, begins.shard)) {
      if (isPassedOver(shard)) continue;
      if (looked === SHARDS_PER_PAGE) return { rows, next: `${place}.${shard}.0` };
      looked += 1;
      const commit = await ledger.findCommit(shard);
      if (commit === null) continue;
      const all = await read(ledger, commit);
      const skipped = shard === begins.shard ? begins.row : 0;
      const taken = all.slice(skipped, skipped + limit - rows.length);
      rows.push(...taken);
      if (rows.length < limit) continue;
      return { rows, next: `${place}.${shard}.${skipped + taken.length}` };
    }
  }
  return { rows, next: null };
}

function parseErrorRows(bytes: Uint8Array, where: string): ErrorRow[] {
  const lines = new TextDecoder().decode(bytes).split('\n');
  return lines.filter((line) => line !== '').map((line) => parseErrorRow(line, where));
}

function parseErrorRow(line: string, where: string): ErrorRow {
  try {
    return errorRowSchema.parse(JSON.parse(line));
  } catch (error) {
    throw new ImagemillError('CONTRACT_INVALID', `${where}: ${(error as Error).message}`);
  }
}

function wrongKind(expected: string, { run, spec }: Run): ImagemillError {
  return new ImagemillError('USAGE', `expected ${expected}, got ${run}, a ${spec.kind} run`);
}
