import { beforeEach, describe, expect, it } from 'vitest';
import {
  createRun,
  newRunIdentity,
  type RunRequest,
  type SubmittedRun,
} from '../../src/producer/create-run.ts';
import { submitRetry } from '../../src/producer/submit-retry.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { fakeRun } from '../support/fake-run.ts';
import { writeDoneRun } from '../support/labelled-run.ts';

const OUT = 'memory://out/labels/';
const CHOSEN = newRunIdentity(new Date('2026-03-04T05:06:07.890Z'));
const OTHER = newRunIdentity(new Date('2026-03-04T05:06:08.000Z'));
const LATER = new Date('2026-03-04T06:00:00.000Z');

let stores: TestStores;
let index: RunIndex;
beforeEach(() => {
  stores = new TestStores();
  index = new RunIndex(stores, 'memory://home/');
});

const { spec, model } = fakeRun();

function create(request: Partial<RunRequest> = {}): Promise<SubmittedRun> {
  const defaults = { spec, model, out: stores.open(OUT), fresh: false };
  return createRun({ ...defaults, ...request }, stores, index, LATER);
}

const ids = (results: readonly SubmittedRun[]) => new Set(results.map(({ run }) => run.run));

describe('a run whose identity was chosen beforehand', () => {
  it('has that id and time, in its ledger and in the index', async () => {
    const { run, created } = await create({ identity: CHOSEN });
    expect([run.run, run.createdAt, created]).toEqual([CHOSEN.run, CHOSEN.createdAt, true]);
    expect(await index.list()).toMatchObject([CHOSEN]);
  });

  it.each([false, true])('is found by a submission that is repeated (fresh: %s)', async (fresh) => {
    const first = await create({ identity: CHOSEN, fresh });
    const again = await create({ identity: CHOSEN, fresh });
    expect([again.created, again.run, again.ledger.out]).toEqual([false, first.run, OUT]);
    expect(await index.list()).toHaveLength(1);
  });

  it('is found in its own folder where it went since another run is at the output', async () => {
    await create();
    const first = await create({ identity: CHOSEN, fresh: true });
    expect(first.ledger.out).toBe(`${OUT}${CHOSEN.run}/`);
    const again = await create({ identity: CHOSEN, fresh: true });
    expect([again.created, again.run, again.ledger.out]).toEqual([false, first.run, first.ledger.out]);
    // Even where that other run has gone.
    await stores.open(OUT).delete('run.json');
    expect((await create({ identity: CHOSEN, fresh: true })).ledger.out).toBe(first.ledger.out);
  });

  it('is found as it was submitted, though its model was replaced since', async () => {
    const first = await create({ identity: CHOSEN });
    const again = await create({ identity: CHOSEN, spec: { ...spec, topK: 1 } });
    expect([again.created, again.run]).toEqual([false, first.run]);
  });

  it('gives way to the equal run that is at the output already, every time', async () => {
    const { run } = await create();
    for (let repeat = 0; repeat < 2; repeat += 1) {
      expect(await create({ identity: CHOSEN })).toMatchObject({ created: false, run });
    }
  });

  it.each([false, true])('is one, whoever submits it at the same time (fresh: %s)', async (fresh) => {
    const submissions = Array.from({ length: 8 }, () => create({ identity: CHOSEN, fresh }));
    const results = await Promise.all(submissions);
    expect(ids(results)).toEqual(new Set([CHOSEN.run]));
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(results.map(({ ledger }) => ledger.out))).toEqual(new Set([OUT]));
  });

  it('is found after a crash at any write', async () => {
    for (let survives = 0; ; survives += 1) {
      stores = new TestStores();
      let left = survives;
      const dying = (store: ObjectStore) =>
        wrapStore(store, {
          putIfAbsent: async (key, body) => {
            if ((left -= 1) < 0) throw new Error('died');
            return store.putIfAbsent(key, body);
          },
        });
      stores.replaced.set('home', dying(stores.open('memory://home/')));
      index = new RunIndex(stores, 'memory://home/');
      const outcome = await create({ identity: CHOSEN, fresh: true, out: dying(stores.open(OUT)) }).then(
        () => 'done',
        () => 'died',
      );
      left = Number.POSITIVE_INFINITY;
      const again = await create({ identity: CHOSEN, fresh: true });
      expect([again.run.run, again.ledger.out]).toEqual([CHOSEN.run, OUT]);
      expect(await index.list()).toMatchObject([CHOSEN]);
      if (outcome === 'done') break;
    }
  });

  it('is the same for a nested run', async () => {
    const request = { identity: CHOSEN, nested: true, fresh: true };
    const results = await Promise.all([create(request), create(request)]);
    expect(new Set(results.map(({ ledger }) => ledger.out))).toEqual(new Set([`${OUT}${CHOSEN.run}/`]));
  });

  it.each([
    { identity: { ...CHOSEN, run: 'r-1' } },
    { identity: { ...CHOSEN, createdAt: 'today' } },
    { submittedBy: 'x'.repeat(201) },
    { submittedBy: 'two\nlines' },
    { submittedBy: '\u202etxet' },
    { submittedBy: '' },
  ])('is refused without its form: %j', async (submission) => {
    expect((await errorOf(create(submission))).code).toBe('USAGE');
    expect(await stores.open(OUT).head('run.json')).toBeNull();
  });
});

describe('fresh runs', () => {
  it('are as many as there are submissions, also where these come at once to an empty output', async () => {
    const results = await Promise.all([
      create({ fresh: true }),
      create({ fresh: true, identity: CHOSEN }),
      create({ fresh: true, identity: OTHER, spec: { ...spec, topK: 1 } }),
    ]);
    expect(ids(results).size).toBe(3);
    expect(results.map(({ created }) => created)).toEqual([true, true, true]);
    expect(results.filter(({ ledger }) => ledger.out === OUT)).toHaveLength(1);
  });
});

describe('submittedBy', () => {
  it('is in the run and in the index, and no part of what the run is', async () => {
    const first = await create({ submittedBy: 'ada@loom' });
    expect(first.run.submittedBy).toBe('ada@loom');
    expect(await index.list()).toMatchObject([{ submittedBy: 'ada@loom' }]);
    const again = await create({ submittedBy: 'grace@ship' });
    expect([again.created, again.run]).toEqual([false, first.run]);
  });

  it('goes with a retry of the errors as well, as does an identity', async () => {
    const run = fakeRun({ shardSize: 3 });
    const ledger = new RunLedger(stores.open(OUT));
    await writeDoneRun(ledger, run, [{ uri: 'memory://source/1.jpg' }], () => true);
    const submission = { submittedBy: 'ada@loom', identity: CHOSEN };
    const retry = await submitRetry(run, ledger, stores, index, LATER, submission);
    expect(retry?.run).toMatchObject({ run: CHOSEN.run, submittedBy: 'ada@loom' });
    const again = await submitRetry(run, ledger, stores, index, LATER, submission);
    expect(again?.run).toEqual(retry?.run);
  });
});
