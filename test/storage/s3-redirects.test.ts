import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { createItemReader } from '../../src/pipeline/source/item-reader.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { rgwSettings } from '../support/rgw.ts';
import { keysOf, streamOf } from './contract-helpers.ts';
import { CREDENTIALS, storeOn } from './fake-s3.ts';

/** Stands for a service within the network that nobody outside may ask. */
let inner: Server;
let innerRequests: string[];
let innerAddress: string;

beforeEach(async () => {
  innerRequests = [];
  inner = createServer((request, response) => {
    innerRequests.push(`${request.method} ${request.url}`);
    response.end('secret');
  }).listen(0, '127.0.0.1');
  await once(inner, 'listening');
  innerAddress = `http://127.0.0.1:${(inner.address() as AddressInfo).port}`;
});

afterEach(() => {
  inner.closeAllConnections();
  inner.close();
});

/** What came of a request: a code, or the answer. */
async function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return error instanceof ImagemillError ? error.code : error;
  }
}

describe('an S3 server that sends requests elsewhere', () => {
  const targets = () => [
    `${innerAddress}/latest/meta-data/iam/security-credentials/`,
    'http://169.254.169.254/latest/meta-data/',
    `//${new URL(innerAddress).host}/`,
  ];

  it.each([300, 301, 302, 303, 307, 308, 400])('is not followed (%i)', async (status) => {
    for (const location of targets()) {
      let requests = 0;
      const store = await storeOn(
        (_, response) => {
          requests += 1;
          // A region is a part of the host's name where the client makes one up.
          response.writeHead(status, {
            location,
            'x-amz-bucket-region': 'eu-west-1',
            refresh: `0; ${location}`,
          });
          response.end(
            `<Error><Code>PermanentRedirect</Code><Endpoint>${new URL(innerAddress).host}</Endpoint></Error>`,
          );
        },
        { attempts: 1 },
      );
      const outcomes = await Promise.all([
        outcomeOf(store.get('k')),
        outcomeOf(store.head('k')),
        outcomeOf(keysOf(store)),
        outcomeOf(store.put('k', new Uint8Array(1))),
        outcomeOf(store.putStream('k', streamOf(new Uint8Array(10), 5))),
      ]);
      for (const outcome of outcomes) expect(outcome).toMatch(/^STORE_/);
      // One each: none is signed and sent again for the region that the server names.
      expect(requests).toBe(5);
    }
    expect(innerRequests).toEqual([]);
  });
});

describe('an item that names a web server', () => {
  it.each(['http', 'https', 'HTTP', 'ftp', 'gopher'])('is refused without a request (%s)', async (scheme) => {
    const resolver = createStoreResolver({
      s3: rgwSettings('http://127.0.0.1:9'),
      s3Credentials: CREDENTIALS,
    });
    const uri = innerAddress.replace('http', scheme) + '/a.jpg';
    for (const allowFile of [false, true]) {
      const reader = createItemReader(resolver, { maxBytes: 1_000 }, { allowFile });
      expect(await outcomeOf(reader.read({ uri }))).toBe('ITEM_URI_INVALID');
      const within = { uri, offset: 0, bytes: 5 };
      expect(await outcomeOf(reader.read({ uri: `${uri}#a.jpg`, within }))).toBe('ITEM_URI_INVALID');
    }
    expect(innerRequests).toEqual([]);
  });
});
