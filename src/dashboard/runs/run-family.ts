import { readGenerations } from '../../storage/generations.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import { findRetry } from '../../producer/submit-retry.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';

/** Runs that belong to a run: the one whose errors it retries, and those that retry its own. */
export interface RunFamily {
  readonly retryOf: { readonly run: string; readonly generation: number } | null;
  /** Complete ones, oldest first. */
  readonly generations: readonly {
    readonly generation: number;
    readonly nested: string;
    readonly items: number;
    readonly labelled: number;
    readonly errors: number;
  }[];
  /** The nested run of a generation that is not complete. */
  readonly begun: { readonly run: string; readonly generation: number } | null;
}

/** @throws ImagemillError RUN_NOT_FOUND, STORE_*, CONTRACT_* */
export async function readFamily(watched: WatchedRun, resolver: StoreResolver): Promise<RunFamily> {
  const { spec } = await watched.document();
  const retryOf = spec.kind === 'classify' ? (spec.retryOf ?? null) : null;
  const hadErrors = watched.state === 'done' && watched.commits.items > watched.commits.labelled;
  if (spec.kind !== 'classify' || retryOf !== null || !hadErrors) {
    return { retryOf, generations: [], begun: null };
  }
  const [generations, begun] = await Promise.all([
    readGenerations(watched.ledger),
    findRetry(watched.ledger, resolver),
  ]);
  return {
    retryOf,
    generations,
    begun: begun === null ? null : { run: begun.run.run, generation: begun.generation },
  };
}
