import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { RunSpec } from '../../src/contract/run.ts';
import { createRun, parseSpec, type RunRequest, type SubmittedRun } from '../../src/producer/create-run.ts';
import { sha256Json } from '../../src/storage/digest.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { fakePrepareRun } from '../pipeline/prepare/support.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import { fakeRun } from '../support/fake-run.ts';

const OUT = 'memory://out/labels/';
const NOW = new Date('2026-03-04T05:06:07.890Z');

let stores: TestStores;
let index: RunIndex;
beforeEach(() => {
  stores = new TestStores();
  index = new RunIndex(stores, 'memory://home/');
});

const { spec, model } = fakeRun();
const prepareSpec: RunSpec = fakePrepareRun().spec;

function create(request: Partial<RunRequest> = {}, now = NOW): Promise<SubmittedRun> {
  const defaults = { spec, model, out: stores.open(OUT), fresh: false };
  return createRun({ ...defaults, ...request }, stores, index, now);
}

describe('createRun', () => {
  it('writes run.json with spec, digest and model, and an entry in the index of runs', async () => {
    const { run, ledger, created } = await create();
    expect(created).toBe(true);
    expect(run).toMatchObject({ spec, model, createdAt: NOW.toISOString(), specDigest: sha256Json(spec) });
    expect(ledger.out).toBe(OUT);
    expect(await ledger.readRun()).toEqual(run);
    expect(await index.list()).toEqual([
      {
        schema: 'imagemill.run-index/1',
        run: run.run,
        kind: 'classify',
        out: OUT,
        source: 'memory://source/',
        createdAt: NOW.toISOString(),
      },
    ]);
  });

  it('leaves nothing behind of what it tried on the store', async () => {
    await create();
    const keys: string[] = [];
    for await (const page of stores.open(OUT).list('')) keys.push(...page.map(({ key }) => key));
    expect(keys).toEqual(['run.json']);
  });

  it('finds the equal run that is there, and puts it back into an index that has lost it', async () => {
    const first = await create();
    index = new RunIndex(stores, 'memory://another-home/');
    const again = await create({}, new Date(NOW.getTime() + 1_000));
    expect([again.created, again.run]).toEqual([false, first.run]);
    expect((await index.open(first.run.run)).out).toBe(OUT);
  });

  it('refuses another spec there, and names what differs', async () => {
    const { run } = await create();
    const error = await errorOf(create({ spec: { ...spec, topK: 1, crops: 10 } }));
    expect(error.code).toBe('OUTPUT_HOLDS_ANOTHER_RUN');
    expect(error.message).toContain(`${OUT} holds ${run.run} (different: topK, crops); use another --out`);
    expect(await index.list()).toHaveLength(1);
  });

  it('says of a run of another kind just that', async () => {
    await create();
    const error = await errorOf(create({ spec: prepareSpec }));
    expect(error.message).toContain('(a classify run)');
  });

  it('starts another in a folder of its own where one is there and a fresh one is wanted', async () => {
    const alone = await create({ fresh: true });
    expect(alone.ledger.out).toBe(OUT);
    const second = await create({ fresh: true });
    expect(second.created).toBe(true);
    expect(second.run.run).not.toBe(alone.run.run);
    expect(second.ledger.out).toBe(`${OUT}${second.run.run}/`);
    // Whatever is there already: --new never runs into another spec.
    expect((await create({ spec: prepareSpec, fresh: true })).created).toBe(true);
  });

  it('gives every nested run a folder of its own, the first one too', async () => {
    const { run, ledger } = await create({ nested: true, fresh: true });
    expect(ledger.out).toBe(`${OUT}${run.run}/`);
    expect(await stores.open(OUT).head('run.json')).toBeNull();
  });

  it('gives way to an equal run that another process creates at the same time', async () => {
    const results = await Promise.all([create(), create(), create()]);
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(results.map(({ run }) => run.run)).size).toBe(1);
  });

  it('says in run.json that a store which overwrites in spite of If-None-Match is fenced through Redis', async () => {
    const store = stores.open(OUT);
    const careless = wrapStore(store, {
      putIfAbsent: async (key, body) => {
        await store.put(key, body);
        return true;
      },
    });
    const { run, created } = await create({ out: careless });
    expect([created, run.fencing]).toEqual([true, 'redis']);
    expect(await new RunLedger(store).readRun()).toEqual(run);
    expect(await create({ out: careless })).toMatchObject({ created: false, run });
  });

  it('does so on a store that refuses conditional puts, its index of runs included', async () => {
    const refusing = (store: ObjectStore) =>
      wrapStore(store, {
        putIfAbsent: async () => {
          throw new ImagemillError('STORE_CONDITIONAL_PUT_UNSUPPORTED', 'HTTP 501');
        },
      });
    const home = refusing(stores.open('memory://home/'));
    stores.replaced.set('home', home);
    const { run } = await create({ out: refusing(stores.open(OUT)) });
    expect(run.fencing).toBe('redis');
    expect(await index.list()).toHaveLength(1);
  });
});

describe('parseSpec', () => {
  const schema = z.object({ kind: z.literal('x'), count: z.number().int().min(1), name: z.string() });

  it('gives the value back, without fields that are not of the spec', () => {
    const value = { kind: 'x' as const, count: 1, name: 'n' };
    expect(parseSpec(schema, { ...value, more: 1 } as never)).toEqual(value);
  });

  it('lists every fault in one line', () => {
    expect(() => parseSpec(schema, { kind: 'x', count: 0, name: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringMatching(/^count: .*; name: [^\n]*$/) }),
    );
  });
});
