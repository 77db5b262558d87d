import { Writable } from 'node:stream';
import { pino } from 'pino';
import { commitDocument, planDocument, summaryDocument, type Commit } from '../../src/contract/ledger.ts';
import { runIndexEntry, type ClassifyRun, type RunIndexEntry } from '../../src/contract/run.ts';
import { RunCatalogue, type CatalogueOptions } from '../../src/dashboard/catalogue/run-catalogue.ts';
import type { WatchedRun } from '../../src/dashboard/catalogue/watched-run.ts';
import type { ObjectStore, StoreResolver } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import type { Logger } from '../../src/telemetry/logger.ts';
import { fakeRun } from '../support/fake-run.ts';

/** An id that sorts as its number does. */
export const runId = (number: number): string => `r-${String(number).padStart(26, '0')}`;
export const outOf = (number: number): string => `memory://runs/${number}/`;

/** A logger whose lines a test can look at. */
export function recordingLogger(): { logger: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      done();
    },
  });
  return { logger: pino({ level: 'debug' }, stream), lines };
}

/** What was asked of the stores of a resolver, by method. */
export interface Counted {
  readonly resolver: StoreResolver;
  readonly calls: { get: number; head: number; list: number; put: number };
  /** Called before every read; what it throws is what the store throws. */
  fail: ((key: string) => void) | null;
}

/** Stores in memory that count what is asked of them, and fail where a test wants it. */
export function countedMemory(): Counted {
  return counted(
    createStoreResolver({
      s3: {
        region: 'x',
        pathStyle: true,
        checksums: 'when-required',
        attempts: 1,
        connections: 1,
        connectTimeoutMs: 1,
        idleTimeoutMs: 1,
      },
    }),
  );
}

/** The stores of a resolver, with a look at what is asked of them. */
export function counted(plain: StoreResolver): Counted {
  const calls = { get: 0, head: 0, list: 0, put: 0 };
  const counted: Counted = {
    calls,
    fail: null,
    resolver: { ...plain, open: (uri) => watch(plain.open(uri)) },
  };
  function watch(store: ObjectStore): ObjectStore {
    const note = (method: keyof typeof calls, key: string) => {
      calls[method] += 1;
      if (method !== 'put') counted.fail?.(store.rootUri + key);
    };
    return wrapStore(store, {
      get: async (key, options) => {
        note('get', key);
        return store.get(key, options);
      },
      head: async (key) => {
        note('head', key);
        return store.head(key);
      },
      list: (prefix, options) => {
        note('list', prefix);
        return store.list(prefix, options);
      },
      put: async (key, body) => {
        note('put', key);
        return store.put(key, body);
      },
      putIfAbsent: async (key, body) => {
        note('put', key);
        return store.putIfAbsent(key, body);
      },
    });
  }
  return counted;
}

export function entryOf(number: number, more: Partial<RunIndexEntry> = {}): RunIndexEntry {
  return {
    schema: runIndexEntry.id,
    run: runId(number),
    kind: 'classify',
    out: outOf(number),
    source: 'memory://source/',
    createdAt: '2026-01-02T03:04:05.000Z',
    ...more,
  };
}

/** The document of run `number`. */
export const runOf = (number: number): ClassifyRun => ({ ...fakeRun(), run: runId(number) });

export function commitOf(run: string, shard: number, errors = 0, items = 10): Commit {
  const key = `parts/${shard}`;
  return {
    schema: commitDocument.id,
    run,
    shard,
    token: 'token00000',
    worker: 'w',
    committedAt: '2026-01-02T03:04:06.000Z',
    part: { key, bytes: 1, digest: 'sha256:00', rows: items - errors },
    errors: null,
    items,
    labelled: items - errors,
    errorsByCode: errors === 0 ? {} : { IMAGE_EMPTY: errors },
    bytesRead: 1,
    seconds: 1,
    stages: { fetch: 1, decode: 2, compute: 3, write: 4 },
  };
}

export type FakeState = 'planning' | 'running' | 'failed' | 'cancelled' | 'done' | 'gone';

/** Runs in memory, with an index of them and a catalogue that shows them; time stands still unless it is moved. */
export class FakeRuns {
  readonly stores = countedMemory();
  readonly index = new RunIndex(this.stores.resolver, 'memory://home/');
  readonly log = recordingLogger();
  readonly changed: WatchedRun[] = [];
  readonly forgotten: string[] = [];
  nowMs = Date.parse('2026-01-02T04:00:00.000Z');

  catalogue(more: Partial<CatalogueOptions> = {}): RunCatalogue {
    return new RunCatalogue({
      index: this.index,
      resolver: this.stores.resolver,
      logger: this.log.logger,
      onChange: (run) => void this.changed.push(run),
      onForget: (run) => void this.forgotten.push(run),
      now: () => this.nowMs,
      ...more,
    });
  }

  ledger(number: number): RunLedger {
    return new RunLedger(this.stores.resolver.open(outOf(number)));
  }

  /** Writes a run of 4 shards of 10 items in some state. */
  async add(number: number, state: FakeState, more: Partial<RunIndexEntry> = {}): Promise<RunLedger> {
    await this.index.add(entryOf(number, more));
    const ledger = this.ledger(number);
    if (state === 'gone') return ledger;
    const run = runId(number);
    await ledger.createRun(runOf(number));
    if (state !== 'planning') {
      await ledger.createPlan({ schema: planDocument.id, run, shards: 4, items: 40 });
    }
    if (state === 'failed') await this.fail(number);
    if (state === 'cancelled') await ledger.cancel(run, new Date());
    if (state === 'done') await this.finish(number);
    return ledger;
  }

  fail(number: number): Promise<void> {
    return this.ledger(number).writeFailure({
      schema: 'imagemill.failure/1',
      run: runId(number),
      failedAt: '2026-01-02T03:05:00.000Z',
      code: 'SHARDS_FAILED',
      message: '1 of 4 shards have no result',
      shards: [{ shard: 2, message: 'x' }],
    });
  }

  finish(number: number, errors = 3): Promise<boolean> {
    return this.ledger(number).createSummary({
      schema: summaryDocument.id,
      run: runId(number),
      items: 40,
      labelled: 40 - errors,
      errors,
      errorsByCode: { IMAGE_EMPTY: errors },
      shards: 4,
      bytesRead: 1,
      startedAt: '2026-01-02T03:04:05.000Z',
      finishedAt: '2026-01-02T03:06:00.000Z',
      seconds: 115,
      imagesPerSecond: 0.3,
      stages: { fetch: 1, decode: 2, compute: 3, write: 4 },
    });
  }
}
