import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { WorkerReport } from '../../src/contract/worker-report.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { Heartbeat } from '../../src/workers/heartbeat.ts';
import { until } from '../support/training.ts';
import { fakeReport } from '../support/worker-report.ts';

const BEAT_EVERY_MS = 200;
const APART_MS = 40;
/** Timers are late now and then, never early by more than their resolution. */
const EARLY_MS = 2;

const hearts: Heartbeat[] = [];

afterEach(async () => {
  await Promise.all(hearts.splice(0).map((heart) => heart.stop()));
});

function scene(report: (report: WorkerReport) => Promise<void> = async () => {}) {
  const sentAtMs: number[] = [];
  const removed: string[] = [];
  const lines: string[] = [];
  const close = vi.fn(async () => {});
  const heart = new Heartbeat({
    name: 'worker-1',
    registry: {
      report: (sent) => {
        sentAtMs.push(performance.now());
        return report(sent);
      },
      remove: async (name) => void removed.push(name),
      close,
    },
    collect: () => fakeReport(),
    logger: createLogger('warn', {}, { write: (line) => lines.push(line) }),
    beatEveryMs: BEAT_EVERY_MS,
    apartAtLeastMs: APART_MS,
  });
  hearts.push(heart);
  heart.start();
  return { heart, sentAtMs, removed, lines, close };
}

describe('the heartbeat', () => {
  it('reports at once, and then at its interval', async () => {
    const { sentAtMs } = scene();
    await until(() => sentAtMs.length === 3);
    const [first = 0, second = 0, third = 0] = sentAtMs;
    expect(second - first).toBeGreaterThan(BEAT_EVERY_MS - EARLY_MS);
    expect(third - second).toBeGreaterThan(BEAT_EVERY_MS - EARLY_MS);
  });

  it('reports changes at once, but many of them together', async () => {
    const { heart, sentAtMs } = scene();
    await until(() => sentAtMs.length === 1);
    for (let changes = 0; changes < 1_000; changes += 1) heart.changed();
    await until(() => sentAtMs.length === 2);
    const [first = 0, second = 0] = sentAtMs;
    expect(second - first).toBeGreaterThan(APART_MS - EARLY_MS);
    expect(second - first).toBeLessThan(BEAT_EVERY_MS - APART_MS);
    await sleep(APART_MS * 2);
    expect(sentAtMs).toHaveLength(2);
  });

  it('has one report on its way at a time, however long that takes and whatever changes meanwhile', async () => {
    let arrive: () => void = () => {};
    const { heart, sentAtMs } = scene(() => new Promise((resolve) => (arrive = resolve)));
    await until(() => sentAtMs.length === 1);
    for (let beats = 0; beats < 5; beats += 1) {
      heart.changed();
      await sleep(APART_MS * 2);
    }
    expect(sentAtMs).toHaveLength(1);
    arrive();
    await until(() => sentAtMs.length === 2);
    arrive();
  });

  it('goes on after reports that fail, and does not fill the log with them', async () => {
    let isRefused = true;
    const { sentAtMs, heart, lines } = scene(async () => {
      if (isRefused) throw new ImagemillError('REDIS_REFUSED', 'no such command for you');
    });
    const untilSent = async (times: number) => {
      while (sentAtMs.length < times) {
        heart.changed();
        await sleep(5);
      }
    };
    await untilSent(4);
    expect(lines.join('').match(/could not report/g)).toHaveLength(1);
    isRefused = false;
    await untilSent(6);
    isRefused = true;
    await untilSent(9);
    expect(lines.join('').match(/could not report/g)).toHaveLength(2);
  });

  it('says nothing of a Redis that is away, as the queues do that', async () => {
    const { sentAtMs, lines } = scene(() => Promise.reject(new ImagemillError('REDIS_UNREACHABLE', 'gone')));
    await until(() => sentAtMs.length === 2);
    expect(lines).toEqual([]);
  });

  it('signs off when it ends, after the report that is on its way, and then never reports again', async () => {
    let arrive: () => void = () => {};
    const { heart, sentAtMs, removed, close } = scene(() => new Promise((resolve) => (arrive = resolve)));
    await until(() => sentAtMs.length === 1);
    const stopped = heart.stop();
    await sleep(20);
    expect(removed).toEqual([]);
    arrive();
    await stopped;
    expect(removed).toEqual(['worker-1']);
    expect(close).toHaveBeenCalledOnce();
    heart.changed();
    await sleep(BEAT_EVERY_MS + APART_MS);
    expect(sentAtMs).toHaveLength(1);
  });

  it('ends within about a second where Redis does not answer', async () => {
    const { heart, sentAtMs, close } = scene(() => new Promise(() => {}));
    await until(() => sentAtMs.length === 1);
    const startedAtMs = performance.now();
    await heart.stop();
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
    expect(close).toHaveBeenCalledOnce();
  });
});
