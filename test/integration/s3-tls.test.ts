import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCertificates, HAS_OPENSSL, type Certificates } from '../support/certificates.ts';
import { runCli } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';

let certificates: Certificates;
let server: Server;
let env: Record<string, string>;

beforeAll(async () => {
  if (!HAS_OPENSSL) return;
  certificates = createCertificates();
  const { cert, key } = certificates.server;
  server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) => {
    response.writeHead(403, { 'content-type': 'application/xml' });
    response.end('<Error><Code>AccessDenied</Code><Message>over TLS</Message></Error>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  env = {
    IMAGEMILL_S3_ENDPOINT: `https://localhost:${(server.address() as AddressInfo).port}`,
    AWS_ACCESS_KEY_ID: 'id',
    AWS_SECRET_ACCESS_KEY: 'secret',
  };
});

afterAll(() => {
  if (!HAS_OPENSSL) return;
  server.close();
  certificates.remove();
});

const title = 'an S3 server of a private authority is trusted with NODE_EXTRA_CA_CERTS, and not without';

it.skipIf(!HAS_OPENSSL)(titleNeeding('openssl', HAS_OPENSSL, title), async () => {
  const argv = ['results', 's3://bucket/labels/'];
  const [trusted, stranger] = await Promise.all([
    runCli(argv, { ...env, NODE_EXTRA_CA_CERTS: certificates.ca }),
    runCli(argv, env),
  ]);
  expect([trusted.code, trusted.stderr]).toEqual([
    2,
    expect.stringMatching(/over TLS \[STORE_ACCESS_DENIED\]\n$/),
  ]);
  expect([stranger.code, stranger.stderr]).toEqual([
    2,
    expect.stringMatching(/^imagemill: [^\n]*(UNABLE_TO_VERIFY|SELF_SIGNED)[^\n]* \[STORE_UNREACHABLE\]\n$/),
  ]);
});
