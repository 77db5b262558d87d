import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Photos, models and runs of the benchmarks: can be deleted at any time. */
export const CACHE = join(ROOT, '.cache', 'bench');
export const RESULTS = join(ROOT, 'bench', 'results');
export const CORES = availableParallelism();

/**
 * Allocator settings of every process that is measured, ours and others': glibc then keeps pages instead of handing
 * them back and faulting them in again with every batch.
 */
export const ALLOCATOR_ENVIRONMENT = {
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: '17179869184',
  MALLOC_ARENA_MAX: '1',
} as const;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly date: string;
  /** Commit, with `+` where the working tree differs from it; null outside a repository. */
  readonly commit: string | null;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: CORES,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    date: new Date().toISOString(),
    commit: readCommit(),
  };
}

function readCommit(): string | null {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', 'src') === '' ? '' : '+'}`;
  } catch {
    return null;
  }
}
