/** One request and its answer over real HTTP, with nothing put in order on the way. */
import { request as httpRequest, Agent } from 'node:http';
import { connect } from 'node:net';
import type { FuzzedRequest } from './api-requests.ts';

/** Milliseconds that an answer may take on a busy machine. */
const ANSWER_TIMEOUT_MS = 15_000;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Sends a request; of a stream that does not end only the beginning is read. */
export function exchange(address: string, sent: FuzzedRequest, token: string): Promise<Answer> {
  const { hostname, port } = new URL(address);
  const pairs = [...sent.headers];
  if (!pairs.some(([name]) => name === 'authorization')) pairs.push(['authorization', `Bearer ${token}`]);
  const isFramed = pairs.some(([name]) => name === 'content-length' || name === 'transfer-encoding');
  if (sent.body !== null && !isFramed) pairs.push(['content-length', String(sent.body.length)]);
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      hostname,
      port,
      agent: isFramed ? false : agent,
      method: sent.method,
      path: sent.target.replaceAll(/[^\x21-\xff]/g, (character) => encodeURIComponent(character)),
      headers: ['host', `${hostname}:${port}`, ...pairs.flat()],
    });
    const timer = setTimeout(() => {
      request.destroy();
      reject(new Error(`no answer to ${sent.method} ${sent.target} within ${ANSWER_TIMEOUT_MS} ms`));
    }, ANSWER_TIMEOUT_MS);
    const settle = (work: () => void) => {
      clearTimeout(timer);
      work();
    };
    request.once('error', (error) => settle(() => reject(error)));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      const end = () =>
        settle(() =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers as Record<string, string>,
            body: Buffer.concat(chunks),
          }),
        );
      response.on('error', () => end());
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (response.headers['content-type'] !== 'text/event-stream') return;
        end();
        request.destroy();
      });
      response.once('end', end);
    });
    if (sent.body === null) request.end();
    else request.end(sent.body);
  });
}

/**
 * Sends bytes that are no proper request.
 * @param afterAnswer what is sent once something came back
 * @returns all that comes back until the other side ends
 */
export function sendBytes(address: string, bytes: string, afterAnswer?: string): Promise<string> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = '';
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy();
      reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms to ${JSON.stringify(bytes.slice(0, 100))}`));
    });
    socket.on('data', (chunk) => {
      if (text === '' && afterAnswer !== undefined) socket.write(afterAnswer);
      text += chunk.toString('latin1');
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(text));
  });
}
