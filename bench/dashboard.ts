/** How fast a dashboard answers that shows very many runs, and one with very many shards. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import { chromium } from 'playwright-core';
import { ImagemillClient } from '../src/client/index.ts';
import { startEmbeddedRedis } from '../src/queue/embedded-redis.ts';
import { createStoreResolver } from '../src/storage/resolver.ts';
import { RunIndex } from '../src/storage/run-index.ts';
import { writeRuns } from './dashboard-runs.ts';
import { CACHE, ROOT } from './machine.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';

const CONNECTIONS = 20;
const SECONDS = 8;
const SHARDS = 10_000;
const READY_TIMEOUT_MS = 60_000;
const KNOWN_TIMEOUT_MS = 300_000;
const BYTES_PER_KB = 1_000;
const CHROMIUM = '/usr/bin/chromium';
const TARGETS = {
  p95: { kind: 'below', value: 200 },
  bytes: { kind: 'below', value: 200 },
} as const;

interface Measured {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly kilobytes: number;
}

export async function benchDashboard({
  runs,
  cli,
}: {
  readonly runs: number;
  readonly cli: string;
}): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const folder = join(CACHE, 'dashboard');
  const home = join(folder, 'home');
  const resolver = createStoreResolver({ s3: NO_S3 });
  progress(`writing ${runs} runs, and one of ${SHARDS} shards`);
  const { large } = await writeRuns(folder, {
    resolver,
    index: new RunIndex(resolver, home),
    runs,
    shards: SHARDS,
  });
  const redis = await startEmbeddedRedis();
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [cli, 'dashboard', '--port', '0'], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, REDIS_URL: redis.url, IMAGEMILL_HOME: home },
  });
  try {
    const address = await addressOf(child);
    const secondsToListen = (performance.now() - startedAtMs) / 1_000;
    await untilKnown(new ImagemillClient({ baseUrl: address }), large);
    const secondsToKnowAll = (performance.now() - startedAtMs) / 1_000;
    const measured = await measureAll(address, large);
    const rendered = await renderTimes(address, large);
    const memoryMb = residentMb(child.pid ?? 0);
    report(measured, rendered, { runs, secondsToListen, secondsToKnowAll, memoryMb });
    const checks = checksOf(measured);
    sayChecks(checks);
    await writeResults('dashboard', {
      runs,
      shards: SHARDS,
      connections: CONNECTIONS,
      secondsToListen,
      secondsToKnowAll,
      memoryMb,
      measured,
      rendered,
      checks,
    });
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    await redis.stop();
    resolver.close();
  }
}

/** Nothing is read from there. */
const NO_S3 = {
  region: 'us-east-1',
  pathStyle: true,
  checksums: 'when-required',
  attempts: 1,
  connections: 1,
  connectTimeoutMs: 100,
  idleTimeoutMs: 100,
} as const;

async function addressOf(child: ChildProcess): Promise<string> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline && child.exitCode === null) {
    const address = /dashboard at (\S+)/.exec(stderr)?.[1];
    if (address !== undefined) return address;
    await sleep(10);
  }
  throw new Error(`the dashboard did not start: ${stderr.trim()}`);
}

/** Waits until the state of every run is known, and every commit of the large one. */
async function untilKnown(client: ImagemillClient, large: string): Promise<void> {
  const deadline = performance.now() + KNOWN_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const { pending } = await client.listRuns({ limit: 1 });
    const { shards } = await client.getRun(large);
    if (pending === 0 && shards?.committed === SHARDS) return;
    await sleep(250);
  }
  throw new Error('the dashboard did not read all runs in time');
}

async function measureAll(address: string, large: string): Promise<Measured[]> {
  const pages: [name: string, path: string][] = [
    ['API: list of 50', '/api/v1/runs'],
    ['API: list of 200', '/api/v1/runs?limit=200'],
    ['API: failed runs with a text', '/api/v1/runs?state=failed&text=PHOTOS-7'],
    ['API: last page', `/api/v1/runs?cursor=r-${'0'.repeat(24)}40`],
    ['API: run of 10,000 shards', `/api/v1/runs/${large}`],
    ['API: map of 10,000 shards', `/api/v1/runs/${large}/shards`],
    ['API: first 100 rows', `/api/v1/runs/${large}/results`],
    ['API: 100 rows far behind', `/api/v1/runs/${large}/results?cursor=0.9000.0`],
    ['API: errors, of which there are none', `/api/v1/runs/${large}/errors`],
    ['page: list', '/runs'],
    ['page: run of 10,000 shards', `/runs/${large}`],
  ];
  const measured: Measured[] = [];
  for (const [name, path] of pages) {
    const answer = await fetch(address + path, {
      headers: { accept: path.startsWith('/api') ? '*/*' : 'text/html' },
    });
    const bytes = (await answer.arrayBuffer()).byteLength;
    if (answer.status === 404 && !path.startsWith('/api')) {
      say(`${name}: skipped, there is no such page`);
      continue;
    }
    if (!answer.ok) throw new Error(`expected ${path}, got status ${answer.status}`);
    progress(name);
    measured.push({ name, kilobytes: bytes / BYTES_PER_KB, ...(await load(address + path)) });
  }
  return measured;
}

function load(url: string): Promise<Omit<Measured, 'name' | 'kilobytes'>> {
  return new Promise((resolve, reject) => {
    const times: number[] = [];
    const options = {
      url,
      connections: CONNECTIONS,
      duration: SECONDS,
      headers: { accept: url.includes('/api/') ? '*/*' : 'text/html' },
    };
    const run = autocannon(options, (error, { errors, timeouts, non2xx, requests }) => {
      if (error !== null || errors + timeouts + non2xx > 0) {
        return reject(
          error ?? new Error(`${url}: ${errors} errors, ${timeouts} timeouts, ${non2xx} refused`),
        );
      }
      times.sort((a, b) => a - b);
      const at = (share: number) =>
        times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
      resolve({ requestsPerSecond: requests.average, p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) });
    });
    run.on('response', (_client: unknown, _status: number, _bytes: number, timeMs: number) =>
      times.push(timeMs),
    );
  });
}

/** Milliseconds until a page is loaded in a browser, by address; null where there is no browser. */
async function renderTimes(address: string, large: string): Promise<Record<string, number> | null> {
  if (!existsSync(CHROMIUM)) {
    say(`rendering: skipped, needs ${CHROMIUM}`);
    return null;
  }
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const times: Record<string, number> = {};
  try {
    const page = await browser.newPage();
    for (const path of ['/runs', `/runs/${large}`]) {
      const answer = await page.goto(address + path, { waitUntil: 'load' });
      if (answer?.status() !== 200) continue;
      await page.goto(address + path, { waitUntil: 'load' });
      times[path] = await page.evaluate('performance.getEntriesByType("navigation")[0].loadEventEnd');
    }
  } finally {
    await browser.close();
  }
  return times;
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? Number.NaN) / BYTES_PER_KB;
}

function report(
  measured: readonly Measured[],
  rendered: Record<string, number> | null,
  facts: { runs: number; secondsToListen: number; secondsToKnowAll: number; memoryMb: number },
): void {
  say(`\n${facts.runs} runs, one of ${SHARDS} shards, ${CONNECTIONS} connections\n`);
  say(row('', ['req/s', 'p50 ms', 'p95 ms', 'p99 ms', 'KB']));
  for (const { name, requestsPerSecond, p50Ms, p95Ms, p99Ms, kilobytes } of measured) {
    say(row(name, [requestsPerSecond, p50Ms, p95Ms, p99Ms, kilobytes]));
  }
  for (const [path, ms] of Object.entries(rendered ?? {}))
    say(row(`loaded in Chromium: ${path.slice(0, 12)}`, [`${ms.toFixed(0)} ms`]));
  say(row('listening after', [`${facts.secondsToListen.toFixed(1)} s`]));
  say(row('every state known after', [`${facts.secondsToKnowAll.toFixed(1)} s`]));
  say(row('resident memory', [`${facts.memoryMb.toFixed(0)} MB`]));
  say();
}

function checksOf(measured: readonly Measured[]): Check[] {
  const slowest = Math.max(...measured.map(({ p95Ms }) => p95Ms));
  const largest = Math.max(...measured.map(({ kilobytes }) => kilobytes));
  return [
    { name: 'slowest p95', value: slowest, unit: 'ms', target: TARGETS.p95 },
    { name: 'largest answer', value: largest, unit: 'KB', target: TARGETS.bytes },
  ];
}
