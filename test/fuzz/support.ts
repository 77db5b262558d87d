/**
 * What every parser of untrusted bytes must hold: it gives a value that keeps its contract or throws an ImagemillError
 * of its scope, in bounded time and memory.
 *
 * `IMAGEMILL_FUZZ_RUNS` multiplies the number of inputs (1 unless set). The inputs of `npm test` are always the same;
 * with more runs every run has its own, and `IMAGEMILL_FUZZ_SEED` repeats the one that a failure names.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getHeapStatistics } from 'node:v8';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE, ImagemillError, type ErrorCode } from '../../src/contract/errors.ts';
import { mutated } from './mutations.ts';
import { watched } from './watchdog.ts';

const FACTOR = Number(process.env['IMAGEMILL_FUZZ_RUNS'] ?? 1);
/** The inputs of the test suite, which must not fail by chance. */
const FIXED_SEED = 20_260_101;
const SEED = Number(process.env['IMAGEMILL_FUZZ_SEED'] ?? (FACTOR > 1 ? Date.now() % 2 ** 31 : FIXED_SEED));

/** Milliseconds that one input may take. */
const DEADLINE_MS = 1_000;
/** An input that is late is timed again: the machine may have been busy with something else. */
const TIMINGS = 3;
/** What one small input may leave on the heap and beside it, in bytes, before it is collected. */
const MEMORY_LIMIT_BYTES = 192 * 2 ** 20;
/** Longest message that makes one line for a person, in characters. */
const MAX_MESSAGE_LENGTH = 20_000;
/** Milliseconds for a test of the default number of runs on a busy machine. */
const TEST_TIMEOUT_MS = 60_000;
/** Files up to this size are cut at every byte. */
const EVERY_CUT_BYTES = 512;
const CUTS = 150;

export interface Parser<T> {
  /** Also the folder of its regression files below `corpus/`. */
  readonly name: string;
  /** What it may throw. */
  readonly codes: readonly ErrorCode[];
  readonly parse: (bytes: Uint8Array) => T | Promise<T>;
  /** Asserts what the parser promises of a value. */
  readonly check?: (value: T, bytes: Uint8Array) => void | Promise<void>;
}

export interface FuzzOptions {
  /** Files that are read without a fault. */
  readonly seeds: Readonly<Record<string, Uint8Array>>;
  readonly words?: readonly Uint8Array[];
  /** Brings checksums in order, so that a parser that checks them looks at what lies behind. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array;
  /** Inputs at factor 1. */
  readonly runs?: number;
  /** For what random damage always leaves readable: nothing is expected to be refused. */
  readonly refusesNothing?: boolean;
}

/** What became of an input: a value, or the code of the refusal. */
export type Outcome = 'value' | ErrorCode;

/** Parameters of `fc.assert`: the seed is in the report of a failure and repeats it. */
export function parameters(runs: number): { numRuns: number; seed: number; endOnFailure: boolean } {
  return { numRuns: Math.max(1, Math.round(runs * FACTOR)), seed: SEED, endOnFailure: FACTOR > 1 };
}

/** Milliseconds for a property of so many runs. */
export const FUZZ_TIMEOUT_MS = TEST_TIMEOUT_MS * Math.max(1, FACTOR);

/** Feeds one input to a parser and asserts all that it must hold. */
export async function outcomeOf<T>(parser: Parser<T>, bytes: Uint8Array): Promise<Outcome> {
  const before = memoryBytes();
  let started = performance.now();
  const outcome = await attempt(parser, bytes);
  let took = performance.now() - started;
  const grown = memoryBytes() - before;
  for (let timing = 1; took > DEADLINE_MS && timing < TIMINGS; timing++) {
    started = performance.now();
    await attempt(parser, bytes);
    took = Math.min(took, performance.now() - started);
  }
  if (took > DEADLINE_MS) expect.fail(`${parser.name}: ${took} ms for ${bytes.length} bytes`);
  if (grown > MEMORY_LIMIT_BYTES) {
    expect.fail(`${parser.name}: ${grown} bytes of memory for ${bytes.length} bytes`);
  }
  return outcome;
}

async function attempt<T>(parser: Parser<T>, bytes: Uint8Array): Promise<Outcome> {
  // A parser that wrote into its input would spoil the corpus for those after it.
  const copy = Uint8Array.from(bytes);
  let value: T;
  try {
    value = await watched(parser.name, copy, async () => parser.parse(copy));
  } catch (error) {
    if (!(error instanceof ImagemillError)) throw error;
    if (!parser.codes.includes(error.code) || error.message.length > MAX_MESSAGE_LENGTH) throw error;
    return error.code;
  }
  await parser.check?.(value, copy);
  return 'value';
}

/** Registers the tests of one parser: its seeds, its regression files, seeds that are cut off, and damaged seeds. */
export function fuzz<T>(parser: Parser<T>, options: FuzzOptions): void {
  const { seeds, words = [], repair, runs = 1_000, refusesNothing = false } = options;
  const outcomes = new Map<Outcome, number>();
  const feed = async (bytes: Uint8Array): Promise<void> => {
    const outcome = await outcomeOf(parser, bytes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };

  describe(`${parser.name} (seed ${SEED})`, () => {
    it('throws only what is no fault of imagemill', () => {
      expect(parser.codes).not.toContain('INTERNAL');
      for (const code of parser.codes) expect(['use', 'item', 'run']).toContain(ERROR_CATALOGUE[code].scope);
    });

    it.each(Object.entries(seeds))('reads %s', async (_, bytes) => {
      expect(await outcomeOf(parser, bytes)).toBe('value');
    });

    it.each(corpus(parser.name))('holds for %s', async (_, bytes) => {
      await outcomeOf(parser, bytes);
    });

    it('holds for files that are cut off', { timeout: FUZZ_TIMEOUT_MS }, async () => {
      for (const bytes of Object.values(seeds))
        for (const length of cutsOf(bytes)) await feed(bytes.slice(0, length));
    });

    it('holds for damaged files', { timeout: FUZZ_TIMEOUT_MS }, async () => {
      const damaged = mutated(Object.values(seeds), words);
      const repaired =
        repair === undefined
          ? damaged
          : fc.tuple(damaged, fc.boolean()).map(([bytes, whole]) => (whole ? repair(bytes) : bytes));
      await fc.assert(fc.asyncProperty(repaired, feed), parameters(runs));
    });

    it('has been fed with both, what is readable and what is not', () => {
      expect(outcomes.get('value') ?? 0).toBeGreaterThan(0);
      if (!refusesNothing) expect(outcomes.size).toBeGreaterThan(1);
    });
  });
}

/** The regression files of a parser: every input that once found a fault, under a name that says which. */
export function corpus(parser: string): [name: string, bytes: Uint8Array][] {
  const folder = new URL(`corpus/${parser}/`, import.meta.url);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => [name, new Uint8Array(readFileSync(fileURLToPath(new URL(name, folder))))]);
}

/** All lengths of a small file, and evenly spread ones of a large one. */
function cutsOf(bytes: Uint8Array): number[] {
  const cuts = bytes.length <= EVERY_CUT_BYTES ? bytes.length : CUTS;
  return Array.from({ length: cuts }, (_, index) => Math.floor((index * bytes.length) / cuts));
}

function memoryBytes(): number {
  const { used_heap_size: heap, external_memory: beside } = getHeapStatistics();
  return heap + beside;
}

/** All that an async iterable of pages gives. */
export async function collectPages<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) for (const entry of page) all.push(entry);
  return all;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
