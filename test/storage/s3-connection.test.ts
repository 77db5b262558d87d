import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { checkWritable } from '../../src/storage/probe.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { rgwSettings } from '../support/rgw.ts';
import { expectCode, keysOf, MIB, streamOf } from './contract-helpers.ts';
import { storeAt, storeOn } from './fake-s3.ts';

afterEach(() => vi.unstubAllEnvs());

describe('an S3 store that cannot be reached', () => {
  it('says so with its address when the port refuses, soon', async () => {
    const store = storeAt('http://user:hunter2@127.0.0.1:9');
    const started = Date.now();
    const errors = await Promise.all([
      expectCode(store.get('k'), 'STORE_UNREACHABLE'),
      expectCode(store.head('k'), 'STORE_UNREACHABLE'),
      expectCode(store.put('k', new Uint8Array(1)), 'STORE_UNREACHABLE'),
      expectCode(store.putIfAbsent('k', new Uint8Array(1)), 'STORE_UNREACHABLE'),
      expectCode(store.putStream('k', streamOf(new Uint8Array(10 * MIB), MIB)), 'STORE_UNREACHABLE'),
      expectCode(store.delete('k'), 'STORE_UNREACHABLE'),
      expectCode(keysOf(store), 'STORE_UNREACHABLE'),
      expectCode(checkWritable(store), 'STORE_UNREACHABLE'),
    ]);
    expect(Date.now() - started).toBeLessThan(8_000);
    for (const error of errors) {
      expect(error.message).toContain('http://127.0.0.1:9');
      expect(error.message).toContain('photos');
      expect(error.message).toContain('ECONNREFUSED');
      expect(error.message).not.toContain('hunter2');
      expect(error.retryable).toBe(true);
    }
  });

  it('says so when its name does not resolve', async () => {
    const error = await expectCode(storeAt('http://no-such-host.invalid:80').get('k'), 'STORE_UNREACHABLE');
    expect(error.message).toContain('no-such-host.invalid');
  });

  it('says so within seconds when connections are neither accepted nor refused', async () => {
    const hole = await openBlackHole();
    try {
      const started = Date.now();
      const error = await expectCode(storeAt(`http://127.0.0.1:${hole.port}`).get('k'), 'STORE_UNREACHABLE');
      expect(Date.now() - started).toBeLessThan(9_000);
      expect(error.message).toContain(`127.0.0.1:${hole.port}`);
    } finally {
      hole.close();
    }
  });

  it('says so when it falls silent after the connection', async () => {
    const store = await storeOn(() => undefined, { idleTimeoutMs: 150, attempts: 2 });
    await expectCode(store.get('k'), 'STORE_UNREACHABLE');
    await expectCode(keysOf(store), 'STORE_UNREACHABLE');
  });

  it('does not take waiting for a connection of its own for an unreachable store', async () => {
    const store = await storeOn((_, response) => setTimeout(() => response.end('slow'), 250), {
      connections: 2,
      connectTimeoutMs: 200,
      attempts: 1,
    });
    const all = await Promise.all(Array.from({ length: 10 }, () => store.get('k')));
    expect(all).toHaveLength(10);
  });

  it('stops waiting for a connection when aborted, and takes none away', async () => {
    const store = await storeOn((_, response) => setTimeout(() => response.end('slow'), 100), {
      connections: 1,
    });
    const first = store.get('k');
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiting = expect(store.get('k', { signal: controller.signal })).rejects.toBe(reason);
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort(reason);
    await waiting;
    expect(await first).toHaveLength(4);
    expect(await store.get('k')).toHaveLength(4);
  });
});

interface BlackHole {
  readonly port: number;
  close(): void;
}

/** A port whose queue of connections is full, so that the kernel drops every further attempt. */
async function openBlackHole(): Promise<BlackHole> {
  const script = `const s=require('net').createServer();s.listen({port:0,host:'127.0.0.1',backlog:1},()=>process.stdout.write(String(s.address().port)))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(chunk.toString());
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  for (let filler = 0; filler < 4; filler++) {
    fillers.push(connect(port, '127.0.0.1').on('error', () => undefined));
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  return {
    port,
    close: () => {
      for (const filler of fillers) filler.destroy();
      child.kill('SIGKILL');
    },
  };
}

describe('an S3 store without credentials', () => {
  it('says so', async () => {
    for (const name of [
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_PROFILE',
      'AWS_WEB_IDENTITY_TOKEN_FILE',
    ]) {
      vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null');
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null');
    const store = createStoreResolver({ s3: rgwSettings('http://127.0.0.1:9') }).open('s3://photos');
    const error = await expectCode(store.get('k'), 'STORE_ACCESS_DENIED');
    expect(error.message).toContain('no credentials');
  });
});
