import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { download } from '../../../scripts/tensorflow/download.mjs';

const CONTENT = Buffer.from('0123456789'.repeat(100_000));
const sha256 = createHash('sha256').update(CONTENT).digest('hex');

let folder: string;
let server: Server;
let asked: (string | undefined)[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-test-download-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.headers.range);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

async function get(wanted: { sha256?: string; bytes?: number } = {}): Promise<Buffer> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.whl`;
  const path = join(folder, 'a.whl');
  await download({ file: 'a.whl', url, bytes: CONTENT.length, sha256, ...wanted }, path, {
    progress: () => {},
    signal: new AbortController().signal,
    pauseMs: 1,
  });
  return readFileSync(path);
}

const whole = (_: IncomingMessage, response: ServerResponse) => response.end(CONTENT);

/** Sends some bytes and breaks off. */
function broken(response: ServerResponse, bytes: Buffer): void {
  response.write(bytes, () => setTimeout(() => response.destroy(), 20));
}

describe('a download', () => {
  it('goes on where the connection broke', async () => {
    answer = ({ headers: { range } }, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]);
      response.writeHead(range === undefined ? 200 : 206, {
        'content-length': CONTENT.length - from,
        ...(range === undefined
          ? {}
          : { 'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}` }),
      });
      if (asked.length < 3) broken(response, CONTENT.subarray(from, from + 300_000));
      else response.end(CONTENT.subarray(from));
    };
    expect((await get()).equals(CONTENT)).toBe(true);
    expect(asked).toEqual([undefined, 'bytes=300000-', 'bytes=600000-']);
  });

  it('begins anew where the server knows no ranges', async () => {
    answer = (request, response) => {
      if (asked.length > 1) return whole(request, response);
      response.writeHead(200, { 'content-length': CONTENT.length });
      return broken(response, CONTENT.subarray(0, 1000));
    };
    expect((await get()).equals(CONTENT)).toBe(true);
  });

  it('is asked for again after 503, five times in all', async () => {
    answer = (_, response) => response.writeHead(503).end();
    await expect(get()).rejects.toThrow(
      /expected http.*\/a\.whl, got 0 of 1 MB in 5 tries: HTTP 503; .*--wheels DIR/,
    );
    expect(asked).toHaveLength(5);
  });

  it('is not asked for again after 404', async () => {
    answer = (_, response) => response.writeHead(404).end();
    await expect(get()).rejects.toThrow(/got HTTP 404/);
    expect(asked).toHaveLength(1);
  });

  it('of another file is refused, at once when it is too long', async () => {
    answer = whole;
    await expect(get({ sha256: '0'.repeat(64) })).rejects.toThrow(
      `expected SHA-256 ${'0'.repeat(64)}, got ${sha256}`,
    );
    rmSync(join(folder, 'a.whl'));
    await expect(get({ bytes: 10 })).rejects.toThrow(/expected 10 bytes from .*, got more/);
    expect(asked).toHaveLength(2);
  });
});
