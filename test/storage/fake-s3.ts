import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import type { S3Settings } from '../../src/config/environment.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { rgwSettings } from '../support/rgw.ts';

/** Known ones, to look for in messages. */
export const CREDENTIALS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI' };
export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** A store on a server of any kind, with imagemill's default settings but for those given. */
export function storeAt(endpoint: string, settings: Partial<S3Settings> = {}): ObjectStore {
  return createStoreResolver({
    s3: { ...rgwSettings(endpoint), ...settings },
    s3Credentials: CREDENTIALS,
  }).open('s3://photos/');
}

/** A store on a server that answers as told; `count` numbers the requests from 1. */
export async function storeOn(handler: Handler, settings: Partial<S3Settings> = {}): Promise<ObjectStore> {
  let count = 0;
  const server = createServer((request, response) => {
    const current = ++count;
    request.resume();
    request.once('end', () => handler(request, response, current));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return storeAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, settings);
}

/** Answers with an error in S3's form. */
export function fail(response: ServerResponse, status: number, name: string, message = ''): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${name}</Code><Message>${message}</Message></Error>`);
}
