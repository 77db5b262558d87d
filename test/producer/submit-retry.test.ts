import { beforeEach, describe, expect, it } from 'vitest';
import { failureDocument } from '../../src/contract/ledger.ts';
import type { Run } from '../../src/contract/run.ts';
import { findRetry, submitRetry } from '../../src/producer/submit-retry.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { fakePrepareRun } from '../pipeline/prepare/support.ts';
import { errorOf, TestStores } from '../pipeline/source/support.ts';
import { fakeRun } from '../support/fake-run.ts';
import { fakeTrainRun } from '../support/fake-train-run.ts';
import { writeDoneRun } from '../support/labelled-run.ts';

const OUT = 'memory://out/labels/';
const NOW = new Date('2026-03-04T05:06:07.890Z');
const run = fakeRun();

let stores: TestStores;
let index: RunIndex;
let ledger: RunLedger;
beforeEach(() => {
  stores = new TestStores();
  index = new RunIndex(stores, 'memory://home/');
  ledger = new RunLedger(stores.open(OUT));
});

const submit = (retried: Run = run) => submitRetry(retried, ledger, stores, index, NOW);
const writeRun = (broken: string) =>
  writeDoneRun(ledger, run, [{ uri: 'memory://source/a' }, { uri: 'memory://source/b' }], ({ uri }) =>
    uri.endsWith(broken),
  );

describe('submitRetry', () => {
  it('creates a nested run with the spec of the run, its model and its source, that can be found by id', async () => {
    await writeRun('b');
    const retry = await submit();
    expect(retry?.generation).toBe(1);
    expect(retry?.run.spec).toEqual({ ...run.spec, retryOf: { run: run.run, generation: 1 } });
    expect(retry?.run.model).toEqual(run.model);
    expect((await index.open(retry?.run.run ?? '')).out).toBe(`${OUT}generations/0001/`);
  });

  it('goes on with the one that is unfinished', async () => {
    await writeRun('b');
    expect(await findRetry(ledger, stores)).toBeNull();
    const first = await submit();
    const second = await submitRetry(run, ledger, stores, index, new Date(NOW.getTime() + 60_000));
    expect([second?.run, second?.ledger.out]).toEqual([first?.run, first?.ledger.out]);
    expect((await findRetry(ledger, stores))?.run).toEqual(first?.run);
  });

  it('finds nothing to do where no errors are left', async () => {
    await writeRun('none');
    expect(await submit()).toBeNull();
    expect(await findRetry(ledger, stores)).toBeNull();
    expect(await index.list()).toEqual([]);
  });

  it('says of a run that is not done to resume it first', async () => {
    await ledger.createRun(run);
    expect((await errorOf(submit())).message).toBe(
      `--failed: expected a run that is done, got ${run.run}, which is planning: imagemill resume ${run.run} first`,
    );
    const failedAt = NOW.toISOString();
    await ledger.writeFailure({
      schema: failureDocument.id,
      run: run.run,
      failedAt,
      code: 'X',
      message: 'x',
      shards: [],
    });
    expect((await errorOf(submit())).message).toContain('which is failed: imagemill resume');
    await ledger.cancel(run.run, NOW);
    const cancelled = await errorOf(submit());
    expect([cancelled.code, cancelled.message]).toEqual(['USAGE', expect.stringContaining('--new')]);
  });

  it.each([
    ['evaluate', evaluateRun(), 'evaluate again'],
    ['prepare', fakePrepareRun(), 'prepare again'],
    ['train', fakeTrainRun(), 'imagemill resume r-'],
  ])('says of an %s run what to do instead', async (kind, other, advice) => {
    const error = await errorOf(submit(other));
    expect(error.code).toBe('USAGE');
    expect(error.message).toContain(`expected a classify run, got ${other.run}, a ${kind} run: ${advice}`);
  });

  it('names the run to retry where a nested one is given', async () => {
    await writeRun('b');
    const nested = (await submit())?.run;
    if (nested === undefined) throw new Error('expected a nested run');
    expect((await errorOf(submit(nested))).message).toContain(
      `generation 1 of ${run.run}: imagemill retry ${run.run} --failed`,
    );
  });
});

function evaluateRun(): Run {
  const dataset = { uri: 'memory://dataset/', digest: 'sha256:33' };
  return { ...run, spec: { ...run.spec, kind: 'evaluate', dataset, split: 'val' } };
}
