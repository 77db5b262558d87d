import type { ErrorsPage, ResultsPage } from '../../contract/api/runs.ts';
import { ImagemillError } from '../../contract/errors.ts';
import type { Commit } from '../../contract/ledger.ts';
import { errorRowSchema, type ErrorRow } from '../../contract/rows.ts';
import { isLabelRun, isShardedRun, type Run } from '../../contract/run.ts';
import { resultLedgers } from '../../storage/generations.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';
import { PartRows } from './part-rows.ts';

/** Where a page begins: the ledger (0: the run's own, n: that of generation n), the shard, and the row in its part. */
interface Place {
  readonly ledger: number;
  readonly shard: number;
  readonly row: number;
}

const START: Place = { ledger: 0, shard: 0, row: 0 };
/** Shards that one request looks into: of ten thousand shards without an error the errors are looked for in pieces. */
const SHARDS_PER_PAGE = 256;

/** What is known of the commits of the run itself without asking the store. */
export interface KnownCommits {
  readonly commits: ReadonlyMap<number, Pick<Commit, 'items' | 'labelled'>>;
  /** Whether these are all, so that every shard from 0 on has one. */
  readonly isComplete: boolean;
}

const NOTHING_KNOWN: KnownCommits = { commits: new Map(), isComplete: false };

function* shardsBetween(
  from: number,
  to: number,
  isPassedOver: (shard: number) => boolean,
): Generator<number> {
  for (let shard = from; shard < to; shard += 1) if (!isPassedOver(shard)) yield shard;
}

function parsePlace(cursor: string | undefined): Place {
  if (cursor === undefined) return START;
  const [ledger = 0, shard = 0, row = 0] = cursor.split('.').map(Number);
  return { ledger, shard, row };
}

/**
 * A page of the committed rows of a run, in shard order, those of complete generations after the run's own.
 * @param parts where the rows of parts come from, and stay for the next page
 * @throws ImagemillError USAGE where the run does not label images
 */
export async function resultsPage(
  run: Run,
  ledger: RunLedger,
  resolver: StoreResolver,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  known: KnownCommits = NOTHING_KNOWN,
  parts = new PartRows(),
): Promise<ResultsPage> {
  if (!isLabelRun(run)) throw wrongKind('a run that labels images', run);
  const read = (ledger: RunLedger, commit: Commit) => parts.read(ledger, commit, run.spec.format);
  return page(await resultLedgers(ledger, resolver), parsePlace(cursor), limit, read, { known });
}

/**
 * A page of the error rows that are left.
 * @param known commits of the run itself that have been read before: those without errors are passed over
 * @throws ImagemillError USAGE where the run does not read images
 */
export async function errorsPage(
  run: Run,
  ledger: RunLedger,
  resolver: StoreResolver,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
  known: KnownCommits = NOTHING_KNOWN,
): Promise<ErrorsPage> {
  if (!isShardedRun(run)) throw wrongKind('a run that reads images', run);
  const ledgers = await resultLedgers(ledger, resolver);
  // A generation retries every error of the one before it: what is left is in the last.
  const place = cursor === undefined ? { ...START, ledger: ledgers.length - 1 } : parsePlace(cursor);
  // Whoever began with the errors of one generation goes on with them, though the next may be there by now.
  const generation = ledgers.slice(0, place.ledger + 1);
  const isWhole = (shard: number) => {
    const commit = known.commits.get(shard);
    return place.ledger === 0 && commit !== undefined && commit.items === commit.labelled;
  };
  return page(
    generation,
    place,
    limit,
    async (ledger, { errors }) =>
      errors === null ? [] : parseErrorRows(await ledger.store.get(errors.key), errors.key),
    { known, isPassedOver: isWhole },
  );
}

async function page<R>(
  ledgers: readonly RunLedger[],
  from: Place,
  limit: number,
  read: (ledger: RunLedger, commit: Commit) => Promise<readonly R[]>,
  options: { known: KnownCommits; isPassedOver?: (shard: number) => boolean },
): Promise<{ rows: R[]; next: string | null }> {
  const { known, isPassedOver = () => false } = options;
  const rows: R[] = [];
  let looked = 0;
  for (const [place, ledger] of ledgers.entries()) {
    if (place < from.ledger) continue;
    const begins = place === from.ledger ? from : START;
    const shards =
      place === 0 && known.isComplete
        ? shardsBetween(begins.shard, known.commits.size, isPassedOver)
        : ledger.committedShards(begins.shard);
    for await (const shard of shards) {
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
