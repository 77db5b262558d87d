import { beforeEach, describe, expect, it } from 'vitest';
import { committedRows } from '../../src/pipeline/run-results.ts';
import type { Item } from '../../src/contract/item.ts';
import { isLabelRun, type LabelRun } from '../../src/contract/run.ts';
import { readErrors } from '../../src/pipeline/sink/error-rows.ts';
import { retrySource } from '../../src/pipeline/source/retry-source.ts';
import { planRun } from '../../src/producer/plan-run.ts';
import { submitRetry, type SubmittedRetry } from '../../src/producer/submit-retry.ts';
import {
  completeGeneration,
  openErrorsOf,
  readGenerations,
  readMergedSummary,
  resultLedgers,
} from '../../src/storage/generations.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { finishRun } from '../../src/workers/finish-run.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import { fakeRun } from '../support/fake-run.ts';
import { labelShard, writeDoneRun } from '../support/labelled-run.ts';

const OUT = 'memory://out/labels/';
const ITEMS = Array.from({ length: 12 }, (_, index): Item => ({ uri: `memory://source/${index}.jpg` }));
const BROKEN = [1, 2, 4, 7, 8];
const run = fakeRun({ shardSize: 3 });

/** Lets every write below `out` be counted, watched and refused. */
class WatchedStores extends TestStores {
  onWrite: (key: string) => void | Promise<void> = () => {};

  override open(uri: string): ObjectStore {
    const store = super.open(uri);
    if (!uri.startsWith(OUT)) return store;
    return wrapStore(store, {
      put: async (key, body) => {
        await this.onWrite(store.uriOf(key));
        await store.put(key, body);
      },
      putIfAbsent: async (key, body) => {
        await this.onWrite(store.uriOf(key));
        return store.putIfAbsent(key, body);
      },
    });
  }
}

let stores: WatchedStores;
let ledger: RunLedger;
beforeEach(async () => {
  stores = new WatchedStores();
  ledger = new RunLedger(stores.open(OUT));
  await writeDoneRun(ledger, run, ITEMS, fails(BROKEN));
});

function fails(broken: readonly number[]) {
  return ({ uri }: Item) => broken.some((index) => uri === ITEMS[index]?.uri);
}

function submit(): Promise<SubmittedRetry | null> {
  return submitRetry(run, ledger, stores, new RunIndex(stores, 'memory://home/'));
}

/** Begins a retry, or goes on with it, and does all that commands and workers would: not a step is done twice. */
async function retry(broken: readonly number[], before = async () => {}): Promise<SubmittedRetry> {
  const submitted = await submit();
  if (submitted === null || !isLabelRun(submitted.run)) throw new Error('nothing to retry');
  await before();
  await work({ ...submitted, run: submitted.run }, broken);
  return submitted;
}

async function work(nested: SubmittedRetry & { run: LabelRun }, broken: readonly number[]): Promise<void> {
  const { spec } = nested.run;
  if (spec.kind !== 'classify' || spec.retryOf === undefined) throw new Error('no retry');
  const source = retrySource(await openErrorsOf(nested.ledger, spec.retryOf, stores), spec.format);
  for await (const chunk of planRun(nested.ledger, nested.run, source, 0)) {
    for (const { shard } of chunk) {
      if ((await nested.ledger.findCommit(shard)) !== null) continue;
      await labelShard(nested.ledger, nested.run, await nested.ledger.readShard(shard), fails(broken));
    }
  }
  await finishRun(nested.ledger, nested.run, new Map(), stores);
}

/** All that a reader finds: labelled uris, uris with errors, and the numbers. */
async function view() {
  const ledgers = await resultLedgers(ledger, stores);
  const labelled: string[] = [];
  for await (const rows of committedRows(ledgers, run)) labelled.push(...rows.map(({ uri }) => uri));
  const errors: string[] = [];
  const last = ledgers.at(-1) ?? ledger;
  for await (const { errors: written } of last.commits()) {
    if (written === null) continue;
    for await (const rows of readErrors(await last.store.get(written.key))) {
      errors.push(...rows.map(({ uri }) => uri));
    }
  }
  const {
    items,
    labelled: count,
    errors: left,
    errorsByCode,
    generations,
  } = await readMergedSummary(ledger, run);
  return { labelled, errors, numbers: { items, labelled: count, errors: left, errorsByCode, generations } };
}

const uris = (indices: readonly number[]) => indices.map((index) => ITEMS[index]?.uri);

describe('generations', () => {
  it('add their labelled rows to the run, in order, and replace its errors', async () => {
    const { generation, ledger: nested } = await retry([4, 8]);
    expect(generation).toBe(1);
    expect(nested.out).toBe(`${OUT}generations/0001/`);
    const first = await view();
    expect(first.labelled).toEqual([...uris([0, 3, 5, 6, 9, 10, 11]), ...uris([1, 2, 7])]);
    expect(first.errors).toEqual(uris([4, 8]));
    expect(first.numbers).toEqual({
      items: 12,
      labelled: 10,
      errors: 2,
      errorsByCode: { IMAGE_EMPTY: 2 },
      generations: 1,
    });
    expect((await retry([8])).generation).toBe(2);
    const second = await view();
    expect(second.labelled).toEqual([...first.labelled, ...uris([4])]);
    expect(second.errors).toEqual(uris([8]));
    await retry([]);
    expect((await view()).numbers).toMatchObject({
      labelled: 12,
      errors: 0,
      errorsByCode: {},
      generations: 3,
    });
    expect(await submit()).toBeNull();
  });

  it('add what their labels look like, in which every item can be found', async () => {
    await retry([4, 8]);
    await retry([8]);
    const { labels } = await readMergedSummary(ledger, run);
    expect(labels?.classes).toEqual({ 0: 11 });
    expect(labels?.confidence.at(-1)).toBe(11);
    const ledgers = await resultLedgers(ledger, stores);
    const found = await Promise.all(
      (labels?.leastConfident ?? []).map(async ({ generation, shard, index }) => {
        const { items } = (await ledgers[generation]?.readShard(shard)) ?? { items: [] };
        return items[index]?.uri;
      }),
    );
    expect(found).toEqual(labels?.leastConfident.map(({ uri }) => uri));
    expect(found).toEqual(uris([0, 3, 5, 6, 9, 10, 11, 1, 2, 7, 4]));
    expect(labels?.leastConfident.at(-1)).toMatchObject({ generation: 2, shard: 0, index: 0 });
  });

  it('show no statistics where a version that kept none wrote one of them', async () => {
    await retry([8]);
    const { labels, ...earlier } = (await ledger.findGeneration(1)) ?? {};
    expect(labels?.leastConfident).toHaveLength(4);
    stores.put(`${OUT}generations/0001.json`, new TextEncoder().encode(JSON.stringify(earlier)));
    const summary = await readMergedSummary(ledger, run);
    expect([summary.labelled, 'labels' in summary]).toEqual([11, false]);
  });

  it('are seen whole or not at all, wherever a retry dies, and going on completes them', async () => {
    const before = await view();
    await retry([8]);
    const after = await view();
    expect(after).not.toEqual(before);
    let deaths = 0;
    for (let survives = 0; ; survives += 1) {
      stores = new WatchedStores();
      ledger = new RunLedger(stores.open(OUT));
      await writeDoneRun(ledger, run, ITEMS, fails(BROKEN));
      let left = survives;
      stores.onWrite = async () => {
        // At every moment between two writes, not only where it dies.
        expect(await view()).toEqual(before);
        left -= 1;
        if (left < 0) throw new Error('died');
      };
      const outcome = await retry([8]).then(
        () => 'done',
        (error: Error) => error.message,
      );
      if (outcome === 'done') break;
      expect(outcome).toContain('died');
      expect(await view()).toEqual(before);
      deaths += 1;
      stores.onWrite = () => {};
      expect((await retry([8])).generation).toBe(1);
      expect(await view()).toEqual(after);
    }
    // run.json, and for each of two shards a shard, a part and a commit, at least; then plan, summary, generation.
    expect(deaths).toBeGreaterThanOrEqual(10);
  });

  it('do not change what a reader sees that began before they were complete', async () => {
    const own = uris([0, 3, 5, 6, 9, 10, 11]);
    const seen: string[] = [];
    for await (const rows of committedRows(await resultLedgers(ledger, stores), run)) {
      if (seen.length === 0) await retry([]);
      seen.push(...rows.map(({ uri }) => uri));
    }
    expect(seen).toEqual(own);
  });

  it('are completed from the summary of a run that died right after writing it', async () => {
    stores.onWrite = (key) => {
      if (key.endsWith('generations/0001.json')) throw new Error('died');
    };
    await expect(retry([])).rejects.toThrow('died');
    stores.onWrite = () => {};
    const again = await submit();
    expect(await again?.ledger.state()).toBe('done');
    expect(await readGenerations(ledger)).toEqual([]);
    if (again !== null) await completeGeneration(again.ledger, again.run, stores);
    expect(await readGenerations(ledger)).toMatchObject([
      { generation: 1, items: 5, labelled: 5, errors: 0 },
    ]);
  });

  it('are one, whoever retries at the same time', async () => {
    const retries = await Promise.all([retry([8]), retry([8]), retry([8])]);
    expect(new Set(retries.map(({ run: nested }) => nested.run)).size).toBe(1);
    expect(await readGenerations(ledger)).toHaveLength(1);
    expect((await view()).labelled).toHaveLength(11);
  });

  it('leave a cancelled attempt behind, and never count both it and the next one', async () => {
    const cancelled = await submit();
    await cancelled?.ledger.cancel(cancelled.run.run, new Date());
    const next = await retry([8]);
    expect(next.generation).toBe(1);
    expect(next.ledger.out).toBe(`${OUT}generations/0001-2/`);
    const after = await view();
    expect(after.labelled).toHaveLength(11);
    // The worker of the cancelled one had not seen the tombstone yet.
    if (cancelled !== null && isLabelRun(cancelled.run)) await work({ ...cancelled, run: cancelled.run }, []);
    expect(await view()).toEqual(after);
  });

  it('stay with a run whose directory was moved as a whole', async () => {
    await retry([8]);
    const moved = 'memory://elsewhere/labels/';
    for (const [key, { body }] of stores.bucket('out').objects) stores.put(`memory://elsewhere/${key}`, body);
    expect((await readMergedSummary(new RunLedger(stores.open(moved)), run)).generations).toBe(1);
    const nested = new RunLedger(stores.open(`${moved}generations/0002/`));
    expect((await openErrorsOf(nested, { run: run.run, generation: 2 }, stores)).out).toBe(
      `${moved}generations/0001/`,
    );
  });

  it('are refused outside the run they name, and before the one they follow is complete', async () => {
    const nested = (folder: string) => new RunLedger(stores.open(`${OUT}${folder}`));
    const other = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XB';
    for (const [place, retryOf] of [
      [nested('elsewhere/'), { run: run.run, generation: 1 }],
      [nested('generations/0001/'), { run: other, generation: 1 }],
      [nested('generations/0002/'), { run: run.run, generation: 2 }],
    ] as const) {
      expect((await errorOf(openErrorsOf(place, retryOf, stores))).code).toBe('CONTRACT_INVALID');
    }
  });
});
