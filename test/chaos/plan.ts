/** What goes wrong in a run of the chaos suite, and when: a pure function of the seed. */

export const FAULTS = [
  'kill worker',
  'kill compute',
  'stop worker',
  'terminate worker',
  'restart redis',
  'pause redis',
  'flush redis',
  'slow store',
  'reset store',
  'unavailable store',
  'lose replies',
  'partition worker',
] as const;
export type FaultKind = (typeof FAULTS)[number];

export const WORKLOADS = ['classify', 'train'] as const;
export type Workload = (typeof WORKLOADS)[number];

export const WORKERS = 2;
/** Commits of a calm run: a fault after more than these would come too late. */
export const COMMITS: Readonly<Record<Workload, number>> = { classify: 20, train: 8 };
/** Jobs are taken from a worker that has been silent for so long. */
export const LOCK_MS = 1_500;

export interface Fault {
  readonly kind: FaultKind;
  /** Begins when so many commits have been asked for. */
  readonly afterCommits: number;
  /** Which worker, or through whose connection. */
  readonly worker: number;
  /** How long it lasts, or until a worker that is gone is replaced. */
  readonly durationMs: number;
}

export interface ChaosPlan {
  readonly seed: number;
  readonly workload: Workload;
  /** In the order in which they begin; they overlap. */
  readonly faults: readonly Fault[];
}

export interface PlanOptions {
  /** Longest outage of Redis. */
  readonly longestPauseMs: number;
}

/** Twelve seeds in a row begin with every kind of fault once; every third trains. */
export function planChaos(seed: number, { longestPauseMs }: PlanOptions): ChaosPlan {
  const draw = generator(seed);
  const workload: Workload = seed % 3 === 2 ? 'train' : 'classify';
  const count = 2 + draw(3);
  const faults = Array.from({ length: count }, (_, index): Fault => {
    const kind = FAULTS[index === 0 ? seed % FAULTS.length : draw(FAULTS.length)] ?? 'kill worker';
    return {
      kind,
      afterCommits: draw(Math.ceil(COMMITS[workload] * 0.7)),
      worker: draw(WORKERS),
      durationMs: durationOf(kind, draw, longestPauseMs),
    };
  });
  return { seed, workload, faults: faults.toSorted((a, b) => a.afterCommits - b.afterCommits) };
}

/** One line that says it all. */
export function describePlan({ seed, workload, faults }: ChaosPlan): string {
  const list = faults.map(
    ({ kind, afterCommits, worker, durationMs }) => `${kind} ${worker} @${afterCommits} for ${durationMs} ms`,
  );
  return `seed ${seed}, ${workload}: ${list.join(', ')}`;
}

function durationOf(kind: FaultKind, draw: (below: number) => number, longestPauseMs: number): number {
  switch (kind) {
    case 'stop worker':
    case 'partition worker':
      // Past the lock, so that another worker takes the jobs while the first one still believes to hold them.
      return LOCK_MS + 500 + draw(2_000);
    case 'pause redis':
      return draw(4) === 0 ? longestPauseMs : LOCK_MS + 500 + draw(1_500);
    default:
      return 200 + draw(1_500);
  }
}

/** Mulberry32: the same numbers on every machine. @returns draws an integer from 0 up to, and without, its argument */
function generator(seed: number): (below: number) => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
