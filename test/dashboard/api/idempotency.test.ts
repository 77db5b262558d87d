import { describe, expect, it, vi } from 'vitest';
import type { Submitted } from '../../../src/contract/api/runs.ts';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { Idempotency } from '../../../src/dashboard/api/idempotency.ts';
import type { RunIdentity } from '../../../src/producer/create-run.ts';
import { MemoryBucket, MemoryStore } from '../../../src/storage/memory-store.ts';

const HOUR_MS = 3_600_000;
const START = Date.parse('2026-01-02T03:04:05.000Z');

/** Several dashboards of one home, whose clocks stand at `nowMs`. */
function home() {
  const bucket = new MemoryBucket('home');
  const at = { nowMs: START };
  const identities: (RunIdentity | undefined)[] = [];
  const work = async (identity: RunIdentity | undefined): Promise<Submitted> => {
    identities.push(identity);
    await Promise.resolve();
    return { run: identity?.run ?? 'r-00000000000000000000000000', out: 'memory://out/', created: true };
  };
  const dashboard = () => new Idempotency(new MemoryStore(bucket), () => at.nowMs);
  return { bucket, at, identities, work, dashboard };
}

describe('a request with a key', () => {
  it('counts once, and is answered the same each time, by another dashboard as well', async () => {
    const { identities, work, dashboard } = home();
    const first = await dashboard().once('key', { a: 1 }, work);
    expect(await dashboard().once('key', { a: 1 }, work)).toEqual(first);
    expect(first.created).toBe(true);
    expect(identities).toHaveLength(1);
    expect(identities[0]?.run).toBe(first.run);
  });

  it('counts once where it is sent again before the first is answered', async () => {
    const { identities, work, dashboard } = home();
    const one = dashboard();
    const answers = await Promise.all(Array.from({ length: 20 }, () => one.once('key', { a: 1 }, work)));
    expect(new Set(answers.map(({ run }) => run)).size).toBe(1);
    expect(identities).toHaveLength(1);
  });

  it('is one run where two dashboards get it at once', async () => {
    const { identities, work, dashboard } = home();
    const answers = await Promise.all([
      dashboard().once('key', { a: 1 }, work),
      dashboard().once('key', { a: 1 }, work),
    ]);
    expect(answers[0]?.run).toBe(answers[1]?.run);
    expect(new Set(identities.map((identity) => identity?.run)).size).toBe(1);
  });

  it('becomes the same run where the first dashboard died in the middle', async () => {
    const { identities, work, dashboard } = home();
    let began: RunIdentity | undefined;
    const never = dashboard().once('key', { a: 1 }, (identity) => {
      began = identity;
      return new Promise<Submitted>(() => {});
    });
    void never;
    await vi.waitUntil(() => began !== undefined);
    await dashboard().once('key', { a: 1 }, work);
    expect(identities).toEqual([began]);
  });

  it('is refused where another one was made with it, also while that is in progress', async () => {
    const { work, dashboard } = home();
    const one = dashboard();
    const running = one.once('key', { a: 1 }, work);
    await expect(one.once('key', { a: 2 }, work)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await running;
    await expect(dashboard().once('key', { a: 2 }, work)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
  });

  it('may be sent again with another body after it was refused: nothing is left of it', async () => {
    const { bucket, identities, work, dashboard } = home();
    const refuse = () => Promise.reject(new ImagemillError('SOURCE_EMPTY', 'none'));
    await expect(dashboard().once('key', { a: 1 }, refuse)).rejects.toMatchObject({ code: 'SOURCE_EMPTY' });
    expect([...bucket.objects.keys()]).toEqual([]);
    await dashboard().once('key', { a: 2 }, work);
    expect(identities).toHaveLength(1);
  });

  it('keeps its run where the store or Redis failed: the run may be there already', async () => {
    const { identities, work, dashboard } = home();
    let began: RunIdentity | undefined;
    const fail = (identity: RunIdentity | undefined) => {
      began = identity;
      return Promise.reject(new ImagemillError('REDIS_UNREACHABLE', 'away'));
    };
    await expect(dashboard().once('key', { a: 1 }, fail)).rejects.toMatchObject({
      code: 'REDIS_UNREACHABLE',
    });
    await dashboard().once('key', { a: 1 }, work);
    expect(identities).toEqual([began]);
  });

  it('stands for its request for a day', async () => {
    const { at, identities, work, dashboard } = home();
    await dashboard().once('key', { a: 1 }, work);
    at.nowMs += 24 * HOUR_MS - 1;
    await expect(dashboard().once('key', { a: 2 }, work)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    at.nowMs += 1;
    await dashboard().once('key', { a: 2 }, work);
    expect(identities[1]?.run).not.toBe(identities[0]?.run);
  });

  it('must be printable and short', async () => {
    const { work, dashboard } = home();
    for (const key of ['', 'a b', 'é', 'x'.repeat(256), 'a\n']) {
      await expect(dashboard().once(key, {}, work), key).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    }
  });
});

it('a request without a key counts as often as it is sent, and leaves nothing behind', async () => {
  const { bucket, identities, work, dashboard } = home();
  await dashboard().once(undefined, { a: 1 }, work);
  await dashboard().once(undefined, { a: 1 }, work);
  expect(identities).toEqual([undefined, undefined]);
  expect([...bucket.objects.keys()]).toEqual([]);
});

it('records of keys are removed when they stand for nothing any more', async () => {
  const { bucket, at, work, dashboard } = home();
  at.nowMs = Date.now();
  await dashboard().once('old', {}, work);
  at.nowMs += 23 * HOUR_MS;
  expect(await dashboard().discardExpired()).toBe(0);
  at.nowMs += 2 * HOUR_MS;
  expect(await dashboard().discardExpired()).toBe(1);
  expect([...bucket.objects.keys()]).toEqual([]);
});
