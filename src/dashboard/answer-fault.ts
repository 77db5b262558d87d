import type { FastifyReply, FastifyRequest } from 'fastify';
import { isSafe } from './access/request-origin.ts';
import { faultPage } from './pages/fault-page.ts';
import { wantsPage, type PageRenderer } from './pages/render.ts';
import { problemOf } from './problem.ts';

const STATUS_FAULT = 500;
const STATUS_UNAVAILABLE = 503;
const RETRY_AFTER_SECONDS = 5;
const URL_CHARS_LOGGED = 1_024;

export type FaultAnswer = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** Answers what a request failed with: a page for people, who are asked to sign in where that is all; else a problem. */
export function createFaultAnswer(pages: () => PageRenderer): FaultAnswer {
  return (thrown, request, reply) => {
    const problem = problemOf(thrown);
    const url = request.url.slice(0, URL_CHARS_LOGGED);
    const facts = { method: request.method, url, code: problem.code, status: problem.status };
    if (problem.status >= STATUS_FAULT) request.log.error({ err: thrown, ...facts }, 'request failed');
    else request.log.warn({ ...facts, detail: problem.detail }, 'request refused');
    if (problem.status === STATUS_UNAVAILABLE && problem.retryable) {
      void reply.header('retry-after', String(RETRY_AFTER_SECONDS));
    }
    if (!wantsPage(request)) {
      return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem));
    }
    if (problem.code === 'UNAUTHENTICATED' && isSafe(request.method)) {
      return reply.redirect(`/login?${new URLSearchParams({ next: request.url }).toString()}`);
    }
    const content = { title: problem.title, body: faultPage(problem) };
    return pages().send(request, reply, content, problem.status);
  };
}
