import type { EpochCommit, StepCommit, StepMetrics } from '../../contract/training.ts';
import { stepMetricsSchema } from '../../contract/training.ts';
import type { RunLedger } from '../../storage/run-ledger.ts';
import { TrainingLedger } from '../../storage/training-ledger.ts';

/** Steps kept in memory per run; beyond, every second one is dropped, again and again. */
const STEPS_KEPT_MAX = 20_000;
const LINES_READ_MAX = 1_000_000;
const READ_CONCURRENCY = 16;

/** The commits and step metrics of one training run, each read once. */
export class EpochReader {
  readonly #training: TrainingLedger;
  readonly #segmentsRead = new Set<string>();
  #steps: StepMetrics[] = [];
  #reading: Promise<void> | null = null;
  #refreshing: Promise<void> | null = null;
  epochs: EpochCommit[] = [];
  /** Checkpoints of the epoch in progress. */
  stepCommits: StepCommit[] = [];

  constructor(ledger: RunLedger) {
    this.#training = new TrainingLedger(ledger.store);
  }

  get items(): number {
    const done = this.epochs.reduce((sum, { train }) => sum + train.items, 0);
    return done + (this.stepCommits.at(-1)?.totals.items ?? 0);
  }

  /** Reads the commits that are new. Callers at the same time share one reading. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#readCommits().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #readCommits(): Promise<void> {
    let epoch = (this.epochs.at(-1)?.epoch ?? 0) + 1;
    for (let next = await this.#training.findEpoch(epoch); next !== null;) {
      this.epochs.push(next);
      epoch += 1;
      next = await this.#training.findEpoch(epoch);
    }
    const known = this.stepCommits.filter((commit) => commit.epoch === epoch);
    this.stepCommits = [...known, ...(await this.#training.steps(epoch, known.at(-1)?.step ?? 0))];
  }

  /** Metrics of every step that is committed, ascending; of very long runs every second one, or fewer. */
  async steps(): Promise<readonly StepMetrics[]> {
    this.#reading ??= this.#readSegments().finally(() => (this.#reading = null));
    await this.#reading;
    return this.#steps;
  }

  async #readSegments(): Promise<void> {
    await this.refresh();
    const newEpochs = this.epochs.filter(({ metrics }) => !this.#segmentsRead.has(metrics.key));
    const before = await inChunks(newEpochs, ({ epoch }) => this.#training.steps(epoch));
    const segments = [...before.flat(), ...newEpochs, ...this.stepCommits]
      .map(({ metrics }) => metrics)
      .filter(({ key, rows }) => !this.#segmentsRead.has(key) && rows <= LINES_READ_MAX);
    const read = await inChunks(segments, async ({ key }) =>
      parseMetrics(await this.#training.store.get(key)),
    );
    for (const { key } of segments) this.#segmentsRead.add(key);
    this.#steps = thinOut(
      [...this.#steps, ...read.flat()].sort((a, b) => a.epoch - b.epoch || a.step - b.step),
      STEPS_KEPT_MAX,
    );
  }
}

/** Results in the order of the values; a bounded number is worked on at a time. */
async function inChunks<T, R>(values: readonly T[], work: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < values.length; start += READ_CONCURRENCY) {
    results.push(...(await Promise.all(values.slice(start, start + READ_CONCURRENCY).map(work))));
  }
  return results;
}

/** Rows of a segment; a line that cannot be read is left out: a curve with a gap is better than none. */
export function parseMetrics(bytes: Uint8Array): StepMetrics[] {
  const rows: StepMetrics[] = [];
  for (const line of new TextDecoder().decode(bytes).split('\n')) {
    const row = stepMetricsSchema.safeParse(line === '' ? undefined : parseJson(line));
    if (row.success) rows.push(row.data);
  }
  return rows;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Evenly spaced values, at most `most`, the last one always among them. */
export function thinOut<T>(values: readonly T[], most: number): T[] {
  if (values.length <= most) return [...values];
  const stride = Math.ceil(values.length / most);
  const offset = (values.length - 1) % stride;
  return values.filter((_, index) => index % stride === offset);
}
