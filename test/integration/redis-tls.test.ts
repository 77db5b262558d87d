import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { runCli, startWorker, type CliProcess } from '../support/cli.ts';
import { createCertificates, HAS_OPENSSL, type Certificates } from '../support/certificates.ts';
import { titleNeeding } from '../support/needs.ts';
import { startProductionRedis, type ProductionRedis } from '../support/production-redis.ts';
import { freePort } from '../support/redis.ts';
import { runProgram } from '../support/program.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const IMAGES = 60;

let certificates: Certificates;
let stranger: Certificates;
let redis: ProductionRedis;
let workspace: Workspace;
let tls: Record<string, string>;

beforeAll(async () => {
  if (!HAS_OPENSSL) return;
  [certificates, stranger] = [createCertificates(), createCertificates()];
  [redis, workspace] = await Promise.all([startProductionRedis(certificates), createWorkspace(IMAGES)]);
  tls = {
    IMAGEMILL_REDIS_TLS_CA: certificates.ca,
    IMAGEMILL_REDIS_TLS_CERT: certificates.client.cert,
    IMAGEMILL_REDIS_TLS_KEY: certificates.client.key,
  };
}, 60_000);

afterAll(async () => {
  if (!HAS_OPENSSL) return;
  await redis.stop();
  workspace.remove();
  certificates.remove();
  stranger.remove();
});

const classifyArgs = () =>
  [
    'classify',
    workspace.images,
    '--model',
    workspace.model,
    '--out',
    join(workspace.folder, 'labels'),
  ].concat(['--json', '--shard-size', '20']);

/** The fault of a command with these settings, as `message [CODE]`: nothing is told of it but that line. */
async function faultOf(env: Record<string, string>): Promise<string> {
  const fault = await runProgram(['schedules'], { REDIS_URL: redis.urlOf('producer'), ...env }).catch(
    (error: unknown) => error,
  );
  if (!(fault instanceof ImagemillError)) throw new Error(`expected a fault, got ${String(fault)}`);
  return `${fault.message} [${fault.code}]`;
}

describe.skipIf(!HAS_OPENSSL)(
  titleNeeding('openssl', HAS_OPENSSL, 'Redis over TLS, with infra/redis/redis.conf as its comments say'),
  { timeout: 60_000 },
  () => {
    it('serves a worker and a command that show certificates of the same authority', async () => {
      let worker: CliProcess | undefined;
      try {
        worker = await startWorker({ ...workspace.env, ...tls, REDIS_URL: redis.urlOf('worker') });
        const producer = { ...workspace.env, ...tls, REDIS_URL: redis.urlOf('producer') };
        const { code, stdout, stderr } = await runCli(classifyArgs(), producer);
        expect([code, stderr]).toEqual([0, '']);
        expect(JSON.parse(stdout)).toMatchObject({ state: 'done', labelled: IMAGES, shards: 3 });
        // A name that is an address is checked as one.
        const byAddress = {
          ...producer,
          REDIS_URL: redis.urlOf('producer').replace('@localhost', '@127.0.0.1'),
        };
        expect(await runCli(['schedules', '--json'], byAddress)).toMatchObject({
          code: 0,
          stdout: '[]\n',
          stderr: '',
        });
        expect(worker.stderr()).not.toMatch(/NOPERM|Warning/);
      } finally {
        worker?.child.kill('SIGKILL');
      }
    });

    it('refuses a connection in the clear, and one without a certificate or with a stranger’s', async () => {
      const { IMAGEMILL_REDIS_TLS_CA } = tls as { IMAGEMILL_REDIS_TLS_CA: string };
      expect(await faultOf({ REDIS_URL: redis.urlOf('producer').replace('rediss:', 'redis:') })).toMatch(
        /expected Redis at localhost:\d+, got: .* \(if it speaks TLS, REDIS_URL has to begin with rediss:.*\[REDIS_UNREACHABLE\]$/,
      );
      expect(await faultOf({ IMAGEMILL_REDIS_TLS_CA })).toMatch(
        /refuses the certificate of IMAGEMILL_REDIS_TLS_CERT, or wants one and got none \[REDIS_REFUSED\]$/,
      );
      expect(
        await faultOf({
          IMAGEMILL_REDIS_TLS_CA,
          IMAGEMILL_REDIS_TLS_CERT: stranger.client.cert,
          IMAGEMILL_REDIS_TLS_KEY: stranger.client.key,
        }),
      ).toMatch(/refuses the certificate of IMAGEMILL_REDIS_TLS_CERT.*\[REDIS_REFUSED\]$/);
    });

    it('is not trusted by the wrong authority, nor by none, whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
      const pattern = /expected Redis at localhost:\d+ to show a certificate .*\[REDIS_UNTRUSTED\]$/;
      expect(await faultOf({ ...tls, IMAGEMILL_REDIS_TLS_CA: stranger.ca })).toMatch(pattern);
      expect(await faultOf({})).toMatch(pattern);
      const { code, stdout, stderr } = await runCli(['schedules'], {
        REDIS_URL: redis.urlOf('producer'),
        NODE_TLS_REJECT_UNAUTHORIZED: '0',
      });
      // Node itself warns of the variable.
      const [told, ...others] = stderr.split('\n').filter((line) => line.startsWith('imagemill: '));
      expect([code, stdout, told, others]).toEqual([2, '', expect.stringContaining('[REDIS_UNTRUSTED]'), []]);
    });

    it('is not trusted under a name that its certificate does not have', async () => {
      const other = await startProductionRedis({ ...certificates, server: certificates.otherName });
      try {
        expect(await faultOf({ ...tls, REDIS_URL: other.urlOf('producer') })).toMatch(
          /expected Redis at localhost:\d+ to show a certificate .*\[ERR_TLS_CERT_ALTNAME_INVALID\] \[REDIS_UNTRUSTED\]$/,
        );
      } finally {
        await other.stop();
      }
    });

    it('is told from a Redis without TLS, and from nothing at all', async () => {
      // What a Redis without TLS answers to a greeting that it takes for a command.
      const plain = createServer((socket) => socket.end('-ERR unknown command\r\n')).listen(0, '127.0.0.1');
      await once(plain, 'listening');
      const { port } = plain.address() as AddressInfo;
      expect(await faultOf({ ...tls, REDIS_URL: `rediss://127.0.0.1:${port}` })).toMatch(
        /expected Redis at 127.0.0.1:\d+, got: .* \(if it does not speak TLS, .*\[REDIS_UNREACHABLE\]$/,
      );
      plain.close();
      expect(await faultOf({ ...tls, REDIS_URL: `rediss://127.0.0.1:${await freePort()}` })).toMatch(
        /got: [^(]*ECONNREFUSED[^(]*\[REDIS_UNREACHABLE\]$/,
      );
    });
  },
);

describe.skipIf(!HAS_OPENSSL)(titleNeeding('openssl', HAS_OPENSSL, 'files of certificates'), () => {
  it('that are missing, swapped or not what they should be are named in one line, all at once', async () => {
    const empty = join(certificates.folder, 'empty.pem');
    writeFileSync(empty, '');
    expect(
      await faultOf({
        ...tls,
        IMAGEMILL_REDIS_TLS_CA: '/nonexistent/ca.crt',
        IMAGEMILL_REDIS_TLS_CERT: empty,
      }),
    ).toMatch(
      /IMAGEMILL_REDIS_TLS_CA=\/nonexistent\/ca.crt: expected a file .*, got ENOENT; IMAGEMILL_REDIS_TLS_CERT=.*empty.pem: expected PEM .* \[CONFIG_INVALID\]$/,
    );
    expect(await faultOf({ ...tls, IMAGEMILL_REDIS_TLS_KEY: certificates.client.cert })).toMatch(
      /IMAGEMILL_REDIS_TLS_KEY=.*client.crt: expected PEM .*\[CONFIG_INVALID\]$/,
    );
    expect(await faultOf({ ...tls, IMAGEMILL_REDIS_TLS_KEY: certificates.server.key })).toMatch(
      /IMAGEMILL_REDIS_TLS_KEY: expected the key of IMAGEMILL_REDIS_TLS_CERT, got another \[CONFIG_INVALID\]$/,
    );
    expect(await faultOf({ IMAGEMILL_REDIS_TLS_CERT: certificates.client.cert })).toMatch(
      /IMAGEMILL_REDIS_TLS_CERT: expected IMAGEMILL_REDIS_TLS_CERT and IMAGEMILL_REDIS_TLS_KEY, got only one/,
    );
  });

  it('are not ignored beside a REDIS_URL without TLS', async () => {
    expect(await faultOf({ ...tls, REDIS_URL: 'redis://localhost' })).toMatch(
      /IMAGEMILL_REDIS_TLS_CA, .*: expected REDIS_URL to begin with rediss:\/\/, got one without TLS \[CONFIG_INVALID\]$/,
    );
  });

  it('are read once: a command goes on with those it began with', async () => {
    const [cert, key] = [join(workspace.folder, 'own.crt'), join(workspace.folder, 'own.key')];
    copyFileSync(certificates.client.cert, cert);
    copyFileSync(certificates.client.key, key);
    const files = { ...tls, IMAGEMILL_REDIS_TLS_CERT: cert, IMAGEMILL_REDIS_TLS_KEY: key };
    const worker = await startWorker({ ...workspace.env, ...files, REDIS_URL: redis.urlOf('worker') });
    try {
      writeFileSync(cert, '');
      writeFileSync(key, '');
      // The server drops every connection: the worker has to open new ones.
      const admin = redis.connect('admin', {
        ca: readFileSync(certificates.ca, 'utf8'),
        cert: readFileSync(certificates.client.cert, 'utf8'),
        key: readFileSync(certificates.client.key, 'utf8'),
      });
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      admin.disconnect();
      const producer = { ...workspace.env, ...tls, REDIS_URL: redis.urlOf('producer') };
      expect((await runCli([...classifyArgs(), '--new'], producer)).code).toBe(0);
    } finally {
      worker.child.kill('SIGKILL');
    }
  }, 60_000);
});
