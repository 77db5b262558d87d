import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { childEnvironment } from '../../../src/dashboard/pictures/child-environment.ts';
import type { PictureHost } from '../../../src/dashboard/pictures/picture-host.ts';
import { errorOf } from '../../pipeline/source/support.ts';
import { writeFiles } from '../../support/datasets.ts';
import { makePng } from '../../support/images.ts';
import { until } from '../../support/training.ts';
import { PictureWorkspace, POISON } from './support.ts';

const ITEMS = 8;
const TIMEOUT_MS = 60_000;

let workspace: PictureWorkspace;
beforeEach(() => {
  workspace = new PictureWorkspace();
});
afterEach(() => workspace.remove());

/** A run of eight images, some of which are deadly. @returns its directory */
async function plan(poison: Readonly<Record<number, 'crash' | 'hang' | 'memory'>> = {}): Promise<string> {
  for (let index = 0; index < ITEMS; index += 1) {
    const png = await makePng({ width: 40, height: 30, seed: index });
    const word = poison[index];
    const bytes = word === undefined ? png : Buffer.concat([png, Buffer.from(`poison:${word}`)]);
    writeFiles(workspace.at('images'), { [`${index}.png`]: bytes });
  }
  return workspace.plan(`file://${workspace.at('images')}/`);
}

const poisoned = (limits = {}): PictureHost => workspace.host(limits, { NODE_OPTIONS: `--import ${POISON}` });

/** `ok`, or the code of the error, for each item. */
function outcomes(host: PictureHost, out: string): Promise<string[]> {
  return Promise.all(
    Array.from({ length: ITEMS }, (_, index) =>
      host.thumbnail(out, 0, index).then(
        () => 'ok',
        (error: unknown) => (error as { code: string }).code,
      ),
    ),
  );
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    // One that nobody has waited for yet is gone all the same.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe('an image that takes the process down', () => {
  it(
    'crashing it, costs itself only, and is not tried again for a while',
    async () => {
      const out = await plan({ 2: 'crash' });
      const host = poisoned();
      const expected = Array.from({ length: ITEMS }, (_, index) => (index === 2 ? 'IMAGE_CRASHED' : 'ok'));
      expect(await outcomes(host, out)).toEqual(expected);
      const { pid } = host;
      const error = await errorOf(host.thumbnail(out, 0, 2));
      expect(error.message).toMatch(/^with this image alone, .*\(SIGSEGV\)/);
      expect(await outcomes(host, out)).toEqual(expected);
      expect(host.pid).toBe(pid);
    },
    TIMEOUT_MS,
  );

  it(
    'standing still in it, costs itself only',
    async () => {
      const out = await plan({ 1: 'hang', 6: 'crash' });
      const host = poisoned({ thumbnailMs: 2_000 });
      const expected = Array.from({ length: ITEMS }, () => 'ok');
      [expected[1], expected[6]] = ['IMAGE_TIMEOUT', 'IMAGE_CRASHED'];
      expect(await outcomes(host, out)).toEqual(expected);
    },
    TIMEOUT_MS,
  );

  it(
    'with memory without end, meets the limit of its heap',
    async () => {
      const out = await plan({ 4: 'memory' });
      const host = poisoned({ heapMib: 64 });
      expect((await outcomes(host, out))[4]).toBe('IMAGE_CRASHED');
      expect((await errorOf(host.thumbnail(out, 0, 4))).message).toContain('heap');
    },
    TIMEOUT_MS,
  );

  it(
    'is tried again when its time is over',
    async () => {
      const out = await plan({ 0: 'crash' });
      const host = poisoned({ condemnedMs: 1 });
      expect((await errorOf(host.thumbnail(out, 0, 0))).code).toBe('IMAGE_CRASHED');
      writeFiles(workspace.at('images'), { '0.png': await makePng() });
      await sleep(5);
      expect((await host.thumbnail(out, 0, 0)).contentType).toBe('image/webp');
    },
    TIMEOUT_MS,
  );
});

describe('the process', () => {
  it(
    'is started by the first request, replaced when it is killed, and nobody has to ask twice',
    async () => {
      const out = await plan();
      const host = workspace.host();
      expect(host.pid).toBeUndefined();
      const asked = outcomes(host, out);
      const first = await until(() => host.pid);
      // Before it is ready.
      process.kill(first, 'SIGKILL');
      expect(await asked).toEqual(Array(ITEMS).fill('ok'));
      const second = host.pid ?? 0;
      expect(second).not.toBe(first);
      // Stopped, so that it certainly has requests when it dies.
      process.kill(second, 'SIGSTOP');
      const stopped = Promise.all([0, 1, 2].map((index) => host.thumbnail(out, 0, index, 20)));
      process.kill(second, 'SIGKILL');
      expect(await stopped).toHaveLength(3);
      expect(host.pid).not.toBe(second);
    },
    TIMEOUT_MS,
  );

  it(
    'that cannot start rejects who waits for it, and is started anew for who asks next',
    async () => {
      const out = await plan();
      const broken = workspace.host({}, { NODE_OPTIONS: '--import /nonexistent.mjs' });
      expect(new Set(await outcomes(broken, out))).toEqual(new Set(['COMPUTE_DIED']));
      const slow = workspace.host({ startMs: 1 });
      expect((await errorOf(slow.thumbnail(out, 0, 0))).message).toContain('not ready within 1 ms');
    },
    TIMEOUT_MS,
  );

  it(
    'ends after a while without requests, and is started again by the next one',
    async () => {
      const out = await plan();
      const host = workspace.host({ idleMs: 100 });
      await host.thumbnail(out, 0, 0);
      const pid = host.pid ?? 0;
      await until(() => host.pid === undefined && !isAlive(pid));
      await host.thumbnail(out, 0, 1);
      expect(host.pid).not.toBe(pid);
    },
    TIMEOUT_MS,
  );

  it(
    'ends with the dashboard, however that ends',
    async () => {
      const out = await plan();
      const dashboard = spawn(
        process.execPath,
        ['--import', 'tsx', fileURLToPath(new URL('dashboard-process.ts', import.meta.url)), out],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      let pid = 0;
      for await (const line of createInterface({ input: dashboard.stdout })) {
        pid = Number(line);
        break;
      }
      expect(isAlive(pid)).toBe(true);
      dashboard.kill('SIGKILL');
      await until(() => !isAlive(pid));
    },
    TIMEOUT_MS,
  );

  it(
    'knows the way to the store, and neither the queue nor the secrets of the dashboard',
    async () => {
      const secrets = {
        REDIS_URL: 'redis://:secret@h:1',
        IMAGEMILL_REDIS_TLS_KEY: 'secret',
        IMAGEMILL_TOKEN: 'secret',
        IMAGEMILL_HOME: '/home',
        DATABASE_PASSWORD: 'secret',
      };
      const needed = {
        PATH: '/bin',
        HOME: '/root',
        AWS_ACCESS_KEY_ID: 'a',
        AWS_SECRET_ACCESS_KEY: 'b',
        AWS_PROFILE: 'p',
        IMAGEMILL_S3_ENDPOINT: 'http://h',
        IMAGEMILL_MAX_IMAGE_PIXELS: '1000',
        NODE_EXTRA_CA_CERTS: '/ca.pem',
      };
      expect(childEnvironment({ ...secrets, ...needed })).toEqual(needed);
      const out = await plan();
      const host = workspace.host({}, { ...secrets, IMAGEMILL_MAX_IMAGE_PIXELS: '1000' });
      // The limits of decoding are those of the environment.
      expect((await errorOf(host.thumbnail(out, 0, 0))).code).toBe('IMAGE_TOO_MANY_PIXELS');
      const seen = readFileSync(`/proc/${host.pid}/environ`, 'utf8');
      expect(seen).toContain('IMAGEMILL_MAX_IMAGE_PIXELS=1000');
      expect(seen).not.toMatch(/secret|REDIS|TOKEN/);
    },
    TIMEOUT_MS,
  );
});
