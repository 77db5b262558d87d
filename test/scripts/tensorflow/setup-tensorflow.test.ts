import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { titleNeeding } from '../../support/needs.ts';
import { zipFile } from './zip-file.ts';

const SCRIPT = fileURLToPath(new URL('../../../scripts/setup-tensorflow.mjs', import.meta.url));
const WHEEL = zipFile([{ name: 'tensorflow/libtensorflow_cc.so.2', content: 'no library' }]);
const compiles = spawnSync('g++', ['--version'], { stdio: 'ignore' }).status === 0;
const MANIFEST = { name: 'imagemill-tensorflow', version: '1.0.0' };

let folder: string;
let directory: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-test-setup-'));
  directory = join(folder, 'cache', 'tensorflow');
  mkdirSync(join(folder, 'cache'));
  mkdirSync(join(folder, 'wheels'));
  writeFileSync(join(folder, 'wheels', 'tensorflow.whl'), WHEEL);
  writePins();
});
afterEach(() => rmSync(folder, { recursive: true }));

function writePins(changes: { url?: string; sha256?: string; unpackedBytes?: number } = {}): void {
  mkdirSync(join(folder, 'pins', 'cpu'), { recursive: true });
  const wheel = {
    file: 'tensorflow.whl',
    url: 'http://127.0.0.1:9/tensorflow.whl',
    bytes: WHEEL.length,
    sha256: createHash('sha256').update(WHEEL).digest('hex'),
    unpackedBytes: 10,
    unpack: ['tensorflow/libtensorflow_*.so.2'],
    ...changes,
  };
  const cpu = { package: '@tensorflow/tfjs-node', wheels: { [process.arch]: [wheel] } };
  const pins = { schema: 1, tensorflow: '9.9.9', tfjs: '4.22.0', glibc: '2.17', variants: { cpu } };
  writeFileSync(join(folder, 'pins', 'wheels.json'), JSON.stringify(pins));
  writeFileSync(join(folder, 'pins', 'cpu', 'package.json'), JSON.stringify(MANIFEST));
  const lock = { ...MANIFEST, lockfileVersion: 3, requires: true, packages: { '': MANIFEST } };
  writeFileSync(join(folder, 'pins', 'cpu', 'package-lock.json'), JSON.stringify(lock));
}

function start(...args: string[]): ChildProcess {
  const env = {
    ...process.env,
    IMAGEMILL_TENSORFLOW: directory,
    IMAGEMILL_TENSORFLOW_PINS: join(folder, 'pins'),
  };
  return spawn(process.execPath, [SCRIPT, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<{ code: number | null; said: string; last: string }> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, said, last: said.trim().split('\n').at(-1) ?? '' };
}

const run = (...args: string[]) => ended(start(...args));
const wheels = () => join(folder, 'wheels');
const left = () => readdirSync(join(folder, 'cache'));

/** What a run that was killed, or a copy that was cut short, leaves. */
function makeHalfBuilt(): void {
  mkdirSync(join(directory, 'node_modules'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify(MANIFEST));
}

describe.skipIf(!compiles)(titleNeeding('g++', compiles, 'setup:tensorflow'), () => {
  it('unpacks nothing of a wheel that is not the pinned one', async () => {
    writePins({ sha256: '0'.repeat(64) });
    const { code, last } = await run('--wheels', wheels());
    expect(last).toMatch(
      /^setup:tensorflow: expected \d+ bytes with SHA-256 0{64}, got \d+ with [\da-f]{64}: /,
    );
    expect(code).toBe(1);
    expect(left()).toEqual([]);
    expect(existsSync(join(wheels(), 'tensorflow.whl'))).toBe(true);
  });

  it('names every wheel that its folder lacks', async () => {
    rmSync(join(wheels(), 'tensorflow.whl'));
    const { code, last } = await run('--wheels', wheels());
    expect(last).toContain(
      `expected in ${wheels()} what is missing there: http://127.0.0.1:9/tensorflow.whl`,
    );
    expect(code).toBe(2);
    expect(left()).toEqual([]);
  });

  it('asks for room before it begins', async () => {
    writePins({ unpackedBytes: 1e15 });
    const { code, last } = await run();
    expect(last).toMatch(
      /expected 1000000\.\d GB free in .*, got .*: make room, or set IMAGEMILL_TENSORFLOW/,
    );
    expect(code).toBe(2);
    expect(left()).toEqual([]);
  });

  it('leaves what is there when it cannot compile, and says where the compiler said why', async () => {
    makeHalfBuilt();
    const { code, last } = await run('--wheels', wheels());
    expect(last).toMatch(
      /expected g\+\+ to compile the binding, got exit code 1: .*; all of it is in .*tensorflow\.log/,
    );
    expect(code).toBe(1);
    expect(left().sort()).toEqual(['tensorflow', 'tensorflow.log']);
    expect(readFileSync(`${directory}.log`, 'utf8')).toContain('tfjs_binding.cc');
    expect(existsSync(join(directory, 'built.json'))).toBe(false);
  });

  it('clears what a killed run has left, its lock too', async () => {
    mkdirSync(`${directory}.building/site-packages`, { recursive: true });
    const gone = start('--help');
    await ended(gone);
    writeFileSync(`${directory}.lock`, JSON.stringify({ pid: gone.pid, host: hostname() }));
    writePins({ sha256: '0'.repeat(64) });
    expect((await run('--wheels', wheels())).code).toBe(1);
    expect(left()).toEqual([]);
  });

  it('waits for nobody: who comes second is told who is first', async () => {
    writeFileSync(`${directory}.lock`, JSON.stringify({ pid: process.pid, host: hostname() }));
    const { code, last } = await run('--wheels', wheels());
    expect(last).toContain(`but process ${process.pid} on ${hostname()} works on it`);
    expect(code).toBe(1);
  });

  it('leaves nothing when it is interrupted', async () => {
    let child: ChildProcess | undefined;
    const server = createServer(() => child?.kill('SIGTERM'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    writePins({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/tensorflow.whl` });
    child = start();
    const { code, last } = await ended(child);
    server.closeAllConnections();
    server.close();
    expect(last).toBe('setup:tensorflow: interrupted: nothing was changed');
    expect(code).toBe(130);
    expect(left()).toEqual([]);
  });

  it('refuses options it does not know', async () => {
    expect(await run('--gpu')).toMatchObject({
      code: 2,
      last: expect.stringContaining("Unknown option '--gpu'"),
    });
  });
});

describe('setup:tensorflow --remove', () => {
  it('removes what was built, half-built and left', async () => {
    makeHalfBuilt();
    mkdirSync(`${directory}.building`);
    writeFileSync(`${directory}.log`, '');
    const { code, said } = await run('--remove');
    expect(said).toContain(`removed ${directory}, ${directory}.building, ${directory}.log`);
    expect(code).toBe(0);
    expect(left()).toEqual([]);
    expect((await run('--remove')).said).toContain('nothing to remove');
  });

  it('leaves what it has not made', async () => {
    makeHalfBuilt();
    writeFileSync(join(directory, 'thesis.txt'), 'x');
    const { code, last } = await run('--remove');
    expect(last).toContain('it holds thesis.txt: it was left as it is');
    expect(code).toBe(2);
    expect(readdirSync(directory)).toHaveLength(3);
    expect((await run('--wheels', wheels())).code).toBe(2);
    rmSync(join(directory, 'thesis.txt'));
    writeFileSync(join(directory, 'package.json'), '{"name":"somebody-elses"}');
    expect((await run('--remove')).last).toContain('it holds another package.json');
  });
});
