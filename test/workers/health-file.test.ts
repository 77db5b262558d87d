import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';
import { HealthFile } from '../../src/workers/health-file.ts';

const EVERY_MS = 20;
const CHECK = new URL('../../infra/docker/healthcheck.sh', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-health-'));
const logger = createLogger('silent');
let files = 0;
let path = '';

beforeEach(() => {
  path = join(folder, `health-${(files += 1)}`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Makes the file look old, so that any writing shows. */
function age(): void {
  utimesSync(path, 1_000_000, 1_000_000);
}

async function untilYoung(): Promise<void> {
  while (statSync(path).mtimeMs < 2_000_000_000) await sleep(5);
}

describe('the health file', () => {
  it('is written at once, and again and again', async () => {
    const health = await HealthFile.create(path, logger, EVERY_MS);
    expect(existsSync(path)).toBe(true);
    void health.keep(async () => {});
    for (let times = 0; times < 3; times += 1) {
      age();
      await untilYoung();
    }
    await health.remove();
  });

  it('grows old while the queue does not answer or refuses to, and is young again afterwards', async () => {
    const health = await HealthFile.create(path, logger, EVERY_MS);
    const asked: { resolve(): void; reject(error: Error): void }[] = [];
    void health.keep(() => new Promise((resolve, reject) => asked.push({ resolve, reject })));
    age();
    await sleep(5 * EVERY_MS);
    expect(asked).toHaveLength(1);
    asked[0]?.reject(new Error('READONLY'));
    while (asked.length < 2) await sleep(1);
    expect(statSync(path).mtimeMs).toBe(1_000_000_000);
    asked[1]?.resolve();
    await untilYoung();
    await health.remove();
  });

  it('is gone at the end, and stays away', async () => {
    const health = await HealthFile.create(path, logger, 1);
    let answered = () => {};
    void health.keep(() => new Promise((resolve) => (answered = resolve)));
    await health.remove();
    expect(existsSync(path)).toBe(false);
    answered();
    await sleep(20);
    expect(existsSync(path)).toBe(false);
  });

  it('is refused in one sentence where it cannot be written', async () => {
    const missing = join(folder, 'missing', 'health');
    await expect(HealthFile.create(missing, logger)).rejects.toThrow(
      `--health-file: expected a file that can be written, got ${missing} (ENOENT)`,
    );
  });
});

describe('the health check of the image', () => {
  const check = () => execFileSync(CHECK, [path], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  const secondsAgo = (seconds: number) => Date.now() / 1000 - seconds;

  it('passes for 30 seconds', () => {
    writeFileSync(path, '');
    check();
    utimesSync(path, secondsAgo(28), secondsAgo(28));
    check();
  });

  it('fails when the file is older, or not there', () => {
    expect(check).toThrow('is not there');
    writeFileSync(path, '');
    utimesSync(path, secondsAgo(32), secondsAgo(32));
    expect(check).toThrow(/was last written 3[23] s ago/);
  });
});
