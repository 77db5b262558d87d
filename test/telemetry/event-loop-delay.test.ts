import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { watchEventLoop } from '../../src/telemetry/event-loop-delay.ts';

const BLOCKED_MS = 120;

let watch: ReturnType<typeof watchEventLoop> | undefined;

afterEach(() => watch?.stop());

async function block(): Promise<void> {
  const untilMs = performance.now() + BLOCKED_MS;
  while (performance.now() < untilMs) Math.sqrt(untilMs);
  await sleep(30);
}

it('sees an event loop that is blocked, and keeps the longest time for ever', async () => {
  watch = watchEventLoop();
  await sleep(30);
  await block();
  const { maxMs, p99Ms, recentP99Ms } = watch.read();
  expect(maxMs).toBeGreaterThan(BLOCKED_MS / 2);
  expect(p99Ms).toBeGreaterThan(BLOCKED_MS / 2);
  expect(recentP99Ms).toBeGreaterThan(BLOCKED_MS / 2);
});

it('forgets in its recent figure what is two windows old', async () => {
  let nowMs = 0;
  watch = watchEventLoop(10, () => nowMs);
  await sleep(30);
  await block();
  nowMs = 10_001;
  expect(watch.read().recentP99Ms).toBeGreaterThan(BLOCKED_MS / 2);
  await sleep(60);
  expect(watch.read().recentP99Ms).toBeGreaterThan(BLOCKED_MS / 2);
  nowMs = 20_002;
  watch.read();
  await sleep(60);
  const { recentP99Ms, maxMs } = watch.read();
  expect(recentP99Ms).toBeLessThan(BLOCKED_MS / 2);
  expect(maxMs).toBeGreaterThan(BLOCKED_MS / 2);
});
