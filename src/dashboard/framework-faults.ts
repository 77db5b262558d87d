import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../telemetry/logger.ts';
import { SECURITY_HEADERS } from './access/guard.ts';
import { problemOf } from './problem.ts';

const STATUS_OF_PARSER: Record<string, number> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Answers a request that no route is looked for, since its address cannot be read: before every hook. */
export function answerUnroutable(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error);
  request.log.warn({ method: request.method, code: problem.code, detail: problem.detail }, 'request refused');
  void reply
    .headers(SECURITY_HEADERS)
    .code(problem.status)
    .type('application/problem+json')
    .send(JSON.stringify(problem));
}

/** Answers bytes that are no HTTP request, and ends the connection. */
export function answerUnreadable(logger: Logger): (error: Error & { code?: string }, socket: Socket) => void {
  return (error, socket) => {
    // A body that breaks off after its request was refused: a second answer would pass for that to another request.
    const isAnswered = socket.bytesWritten > 0 && /CHUNK|EOF/.test(error.code ?? '');
    if (error.code === 'ECONNRESET' || isAnswered || !socket.writable) {
      socket.destroy();
      return;
    }
    const statusCode = STATUS_OF_PARSER[error.code ?? ''] ?? 400;
    const detail = `expected an HTTP request, got ${error.code ?? 'something else'}`;
    const problem = problemOf(Object.assign(new Error(detail), { statusCode }));
    logger.warn({ code: problem.code, detail }, 'request refused');
    const body = JSON.stringify(problem);
    const headers = {
      ...SECURITY_HEADERS,
      'content-type': 'application/problem+json',
      'content-length': String(Buffer.byteLength(body)),
      connection: 'close',
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\n${lines.join('')}\r\n${body}`);
  };
}
