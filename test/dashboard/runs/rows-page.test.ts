import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Item } from '../../../src/contract/item.ts';
import { generationDocument } from '../../../src/contract/ledger.ts';
import type { ClassifyRun } from '../../../src/contract/run.ts';
import { errorsPage, resultsPage } from '../../../src/dashboard/runs/rows-page.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { fakeTrainRun } from '../../support/fake-train-run.ts';
import { writeDoneRun } from '../../support/labelled-run.ts';
import { countedMemory, runId } from '../support.ts';

const uri = (index: number) => `memory://source/${String(index).padStart(5, '0')}.png`;
const itemsOf = (count: number): Item[] => Array.from({ length: count }, (_, index) => ({ uri: uri(index) }));

interface Story {
  readonly items: number;
  readonly shardSize: number;
  /** How many generations each item stays broken; 0: it is labelled at once. */
  readonly brokenFor: (index: number) => number;
  readonly generations: number;
}

/** A run that is done, whose errors were retried so many times. */
async function write({ items, shardSize, brokenFor, generations }: Story) {
  const stores = countedMemory();
  const { resolver } = stores;
  const run: ClassifyRun = fakeRun({ shardSize, format: 'jsonl' });
  const ledger = new RunLedger(resolver.open('memory://run/'));
  const broken = (after: number) => (item: Item) => brokenFor(Number(/\d+/.exec(item.uri)?.[0])) > after;
  await writeDoneRun(ledger, run, itemsOf(items), broken(0));
  const addGeneration = async (generation: number) => {
    const retried = itemsOf(items).filter(broken(generation - 1));
    if (retried.length === 0) return;
    const directory = `generations/${String(generation).padStart(4, '0')}/`;
    const nested = new RunLedger(resolver.open(`memory://run/${directory}`));
    await writeDoneRun(nested, { ...run, run: runId(generation) }, retried, broken(generation));
    const left = retried.filter(broken(generation)).length;
    await ledger.createGeneration({
      schema: generationDocument.id,
      run: run.run,
      generation,
      nested: runId(generation),
      directory,
      items: retried.length,
      labelled: retried.length - left,
      errors: left,
      errorsByCode: left === 0 ? {} : { IMAGE_EMPTY: left },
      finishedAt: '2026-01-02T05:00:00.000Z',
    });
  };
  for (let generation = 1; generation <= generations; generation += 1) await addGeneration(generation);
  return { ...stores, run, ledger, addGeneration };
}
type Written = Awaited<ReturnType<typeof write>>;

async function walk(
  read: typeof resultsPage | typeof errorsPage,
  { run, ledger, resolver }: Pick<Written, 'run' | 'ledger' | 'resolver'>,
  limit: number,
  onPage: () => Promise<void> = async () => {},
): Promise<string[]> {
  const uris: string[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < 10_000; pages += 1) {
    const { rows, next } = await read(run, ledger, resolver, { cursor, limit });
    expect(rows.length).toBeLessThanOrEqual(limit);
    uris.push(...rows.map((row) => row.uri));
    if (next === null) return uris;
    expect(next).toMatch(/^\d{1,4}\.\d{1,8}\.\d{1,8}$/);
    cursor = next;
    await onPage();
  }
  throw new Error('the pages do not end');
}

describe('pages of rows', () => {
  it('give every row once: results of all generations, errors of the last', { timeout: 60_000 }, async () => {
    const story = fc.record({
      items: fc.integer({ min: 1, max: 40 }),
      shardSize: fc.integer({ min: 1, max: 12 }),
      broken: fc.array(fc.nat(4), { minLength: 40, maxLength: 40 }),
      generations: fc.nat(3),
      limit: fc.integer({ min: 1, max: 15 }),
    });
    await fc.assert(
      fc.asyncProperty(story, async ({ broken, limit, ...more }) => {
        const brokenFor = (index: number) => broken[index] ?? 0;
        const written = await write({ ...more, brokenFor });
        const all = itemsOf(more.items).map((item) => item.uri);
        const isLeft = (_: string, index: number) => brokenFor(index) > more.generations;
        const results = await walk(resultsPage, written, limit);
        expect(results.toSorted()).toEqual(all.filter((uri, index) => !isLeft(uri, index)));
        expect((await walk(errorsPage, written, limit)).toSorted()).toEqual(all.filter(isLeft));
      }),
      { numRuns: 60 },
    );
  });

  it('of errors stay with the generation they began with, though the next is completed meanwhile', async () => {
    const written = await write({ items: 30, shardSize: 5, brokenFor: (index) => index % 3, generations: 0 });
    let added = false;
    const errors = await walk(errorsPage, written, 4, async () => {
      if (!added) await written.addGeneration(1);
      added = true;
    });
    expect(errors).toEqual(
      itemsOf(30)
        .map((item) => item.uri)
        .filter((_, index) => index % 3 > 0),
    );
    expect(await walk(errorsPage, written, 4)).toEqual(
      itemsOf(30)
        .map((item) => item.uri)
        .filter((_, index) => index % 3 > 1),
    );
  });

  it('of results go on into a generation that is completed meanwhile', async () => {
    const written = await write({ items: 30, shardSize: 5, brokenFor: (index) => index % 2, generations: 0 });
    let added = false;
    const results = await walk(resultsPage, written, 4, async () => {
      if (!added) await written.addGeneration(1);
      added = true;
    });
    expect(results.toSorted()).toEqual(itemsOf(30).map((item) => item.uri));
  });

  it('look into a bounded number of shards', async () => {
    const written = await write({
      items: 1_000,
      shardSize: 1,
      brokenFor: (index) => (index === 999 ? 9 : 0),
      generations: 0,
    });
    const before = written.calls.get;
    const first = await errorsPage(written.run, written.ledger, written.resolver, { limit: 10 });
    expect(first).toEqual({ rows: [], next: '0.256.0' });
    expect(written.calls.get - before).toBeLessThan(300);
    expect(await walk(errorsPage, written, 10)).toEqual([uri(999)]);
    // Commits that are known to have no errors cost nothing.
    const commits = new Map(Array.from({ length: 999 }, (_, shard) => [shard, { items: 1, labelled: 1 }]));
    const page = await errorsPage(written.run, written.ledger, written.resolver, { limit: 10 }, commits);
    expect(page).toMatchObject({ rows: [{ uri: uri(999) }], next: null });
    // Of a run whose commits are all known nothing is listed.
    commits.set(999, { items: 1, labelled: 0 });
    const { list } = written.calls;
    expect(
      await errorsPage(written.run, written.ledger, written.resolver, { limit: 10 }, commits, true),
    ).toEqual(page);
    const results = await resultsPage(
      written.run,
      written.ledger,
      written.resolver,
      { cursor: '0.990.0', limit: 5 },
      commits,
      true,
    );
    expect(results).toMatchObject({
      rows: [990, 991, 992, 993, 994].map((index) => ({ uri: uri(index) })),
      next: '0.994.1',
    });
    expect(written.calls.list).toBe(list);
  });

  it('need no listing where all commits are known, and are the same', async () => {
    const brokenFor = (index: number) => index % 3;
    const written = await write({ items: 40, shardSize: 4, brokenFor, generations: 0 });
    const known = new Map<number, { items: number; labelled: number }>();
    for await (const { shard, items, labelled } of written.ledger.commits())
      known.set(shard, { items, labelled });
    // In the order in which they were read, which is any.
    const shuffled = new Map([...known].toReversed());
    const read: typeof errorsPage = (run, ledger, resolver, query) =>
      errorsPage(run, ledger, resolver, query, shuffled, true);
    const listed = written.calls.list;
    const rows = await walk(read, written, 3);
    expect(written.calls.list).toBe(listed);
    expect(rows).toEqual(await walk(errorsPage, written, 3));
    expect(rows.length).toBeGreaterThan(10);
  });

  it('of a cursor beyond the end are empty', async () => {
    const written = await write({ items: 5, shardSize: 2, brokenFor: () => 0, generations: 0 });
    for (const cursor of ['9.0.0', '0.99999999.0', '0.0.99999999', '0.2.1']) {
      const { rows, next } = await resultsPage(written.run, written.ledger, written.resolver, {
        cursor,
        limit: 10,
      });
      if (cursor === '0.0.99999999') expect(rows).toHaveLength(3);
      else expect([rows, next]).toEqual([[], null]);
    }
  });

  it('are refused to runs that have no such rows', async () => {
    const { ledger, resolver } = await write({ items: 1, shardSize: 1, brokenFor: () => 0, generations: 0 });
    for (const read of [resultsPage, errorsPage]) {
      await expect(read(fakeTrainRun(), ledger, resolver, { limit: 1 })).rejects.toMatchObject({
        code: 'USAGE',
      });
    }
  });
});
