import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ErrorRow, ResultRow } from '../../src/contract/rows.ts';
import { sha256 } from '../../src/storage/digest.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { END_OF_TAR, member } from '../pipeline/source/tar-fixture.ts';
import { runCli } from '../support/cli.ts';
import { s3Kind, titleOf } from '../support/object-stores.ts';
import { createWorkspace, tinyPng, type Workspace } from '../support/workspace.ts';

const s3 = s3Kind();
let workspace: Workspace;
let store: ObjectStore;
let bucket: string;
let env: Record<string, string>;
/** An image of the worker's own disk: it would be labelled if it was read. */
let secret: string;
let webServer: Server;
let webRequests = 0;

beforeAll(async () => {
  workspace = await createWorkspace(0);
  secret = join(workspace.folder, 'secret.png');
  writeFileSync(secret, await tinyPng(7));
  env = workspace.env;
  webServer = createServer((_, response) => {
    webRequests += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  if (s3.missing !== null) return;
  await s3.start();
  const uri = await s3.freshUri();
  bucket = new URL(uri).host;
  store = s3.resolver().open(`s3://${bucket}/`);
  await store.put('lists/image.png', await tinyPng(1));
  const { endpoint, accessKey, secretKey } = s3.server();
  env = {
    ...workspace.env,
    IMAGEMILL_S3_ENDPOINT: endpoint,
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
  };
}, 60_000);

afterAll(async () => {
  webServer.close();
  workspace.remove();
  if (s3.missing === null) await s3.stop();
});

let runs = 0;
async function classify(source: string) {
  const out = join(workspace.folder, `labels-${++runs}`);
  const words = ['classify', source, '--model', workspace.model, '--out', out, '--top-k', '1'];
  const { code, stderr } = await runCli([...words, '--format', 'jsonl', '--device', 'cpu'], env);
  const linesOf = async <T>(...more: string[]): Promise<T[]> =>
    (await runCli(['results', out, ...more], env)).stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);
  return { code, stderr, rows: () => linesOf<ResultRow>(), errors: () => linesOf<ErrorRow>('--errors') };
}

const jsonl = (uris: readonly string[]) =>
  Buffer.from(uris.map((uri) => `${JSON.stringify({ uri })}\n`).join(''));

describe.skipIf(s3.missing !== null)(`a manifest in a bucket: ${titleOf(s3)}`, { timeout: 60_000 }, () => {
  it('reads no file of the worker, however it is written', async () => {
    const encoded = secret.replace(/[^/]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
    const refused = [
      'file:///etc/passwd',
      `file://${secret}`,
      `FILE://${secret}`,
      `File://localhost${secret}`,
      `file://${encoded}`,
      `file:///nowhere/../${secret}`,
      `file:///nowhere/%2e%2e/${secret}`,
      secret,
      `/nowhere/..${secret}`,
      `//${secret}`,
    ];
    const absent = [
      `file:${secret}`,
      `file:${encoded}`,
      `s3://${bucket}/..${secret}`,
      `s3://${bucket}/../../../../..${secret}`,
      `s3://${bucket}/%2e%2e/%2e%2e${secret}`,
      `s3://${bucket}/${secret}`,
      `..%2f..%2f${encoded}`,
      `memory://anything${secret}`,
    ];
    await store.put('lists/list.jsonl', jsonl([...refused, 'image.png', ...absent]));
    const { code, stderr, rows, errors } = await classify(`s3://${bucket}/lists/list.jsonl`);
    expect([code, stderr]).toEqual([3, '']);
    expect((await rows()).map(({ uri }) => uri)).toEqual([`s3://${bucket}/lists/image.png`]);
    const codes = (await errors()).map((error) => error.code);
    expect(codes.filter((found) => found === 'ITEM_URI_INVALID')).toHaveLength(refused.length);
    expect(codes.filter((found) => found === 'ITEM_NOT_FOUND')).toHaveLength(absent.length);
    expect(codes).toHaveLength(refused.length + absent.length);
  });

  it.each([
    ['a web server', () => `http://127.0.0.1:${(webServer.address() as AddressInfo).port}/a.png`],
    ['a file behind an encoded slash', () => 'file:///etc%2Fpasswd'],
    ['a path above the bucket', () => '../../../etc/passwd'],
    ['an endpoint in place of a bucket', () => 's3://key:secret@127.0.0.1/a.png'],
  ])('that names %s is refused with the line', async (_name, uri) => {
    await store.put('lists/bad.jsonl', jsonl(['image.png', uri()]));
    const { code, stderr } = await classify(`s3://${bucket}/lists/bad.jsonl`);
    expect(stderr).toMatch(/^imagemill: s3:\/\/.*bad\.jsonl line 2: expected .* \[MANIFEST_INVALID\]\n$/);
    expect(stderr).not.toContain('secret@');
    expect(code).toBe(2);
    expect(webRequests).toBe(0);
  });

  it('reads the bytes of tar members whose names are paths, and follows no links', async () => {
    const bodies = [await tinyPng(2), await tinyPng(3)] as const;
    const tar = Buffer.concat([
      member({ name: '../../etc/passwd.png' }, bodies[0]),
      member({ name: secret }, bodies[1]),
      member({ name: 'link.png', type: '2' }),
      member({ name: 'hard-link.png', type: '1' }),
      END_OF_TAR,
    ]);
    await store.put('tars/a.tar', tar);
    const { code, rows } = await classify(`s3://${bucket}/tars/a.tar`);
    expect(code).toBe(0);
    expect((await rows()).map(({ uri, digest }) => [uri, digest])).toEqual([
      [`s3://${bucket}/tars/a.tar#../../etc/passwd.png`, sha256(bodies[0])],
      [`s3://${bucket}/tars/a.tar#${secret}`, sha256(bodies[1])],
    ]);
  });
});

it('a manifest that is a file of the worker may name others', { timeout: 60_000 }, async () => {
  const list = join(workspace.folder, 'list.jsonl');
  writeFileSync(list, jsonl([secret, `file://${secret}`, 'secret.png', './secret.png']));
  const { code, rows } = await classify(list);
  expect(code).toBe(0);
  expect((await rows()).map(({ uri }) => uri)).toEqual(Array<string>(4).fill(`file://${secret}`));
});
