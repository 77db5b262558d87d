import { describe, expect, it } from 'vitest';
import { problemSchema } from '../../src/contract/api/problem.ts';
import { ERROR_CATALOGUE, ImagemillError, type ErrorCode } from '../../src/contract/errors.ts';
import { problemOf } from '../../src/dashboard/problem.ts';

const statusOf = (code: ErrorCode) => problemOf(new ImagemillError(code, 'x')).status;

describe('problemOf', () => {
  it('gives every code of the catalogue a status and the form of a problem', () => {
    for (const [code, { meaning, retryable }] of Object.entries(ERROR_CATALOGUE)) {
      const problem = problemOf(new ImagemillError(code as ErrorCode, 'expected a, got b'));
      expect(problemSchema.parse(problem)).toEqual(problem);
      expect(problem).toMatchObject({ code, title: meaning, retryable, type: `/errors#${code}` });
    }
  });

  it('blames the client only for what the client can change', () => {
    expect(statusOf('SOURCE_EMPTY')).toBe(400);
    expect(statusOf('UNAUTHENTICATED')).toBe(401);
    expect(statusOf('LOCATION_REFUSED')).toBe(403);
    expect(statusOf('RUN_NOT_FOUND')).toBe(404);
    expect(statusOf('STORE_NOT_FOUND')).toBe(404);
    expect(statusOf('STORE_ACCESS_DENIED')).toBe(403);
    expect(statusOf('OUTPUT_HOLDS_ANOTHER_RUN')).toBe(409);
    expect(statusOf('RUN_CANCELLED')).toBe(409);
    expect(statusOf('IDEMPOTENCY_KEY_REUSED')).toBe(422);
    for (const code of ['REDIS_UNREACHABLE', 'STORE_UNAVAILABLE', 'OVERLOADED'] as const)
      expect(statusOf(code)).toBe(503);
  });

  it('says nothing of what went wrong inside', () => {
    const problem = problemOf(new TypeError('cannot read /home/ada/.aws/credentials'));
    expect(problem).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(JSON.stringify(problem)).not.toContain('ada');
  });

  it('tells what the client of Redis throws without the command and its arguments', () => {
    const fault = Object.assign(new Error('Reached the max retries per request limit (which is 3).'), {
      name: 'MaxRetriesPerRequestError',
      command: { name: 'auth', args: ['secret'] },
    });
    const problem = problemOf(fault);
    expect(problem).toMatchObject({ status: 503, code: 'REDIS_UNREACHABLE', retryable: true });
    expect(JSON.stringify(problem)).not.toContain('secret');
  });

  it('keeps the status that the framework gave a request, and no status above', () => {
    const tooLarge = Object.assign(new Error('Request body is too large'), { statusCode: 413 });
    expect(problemOf(tooLarge)).toMatchObject({
      status: 413,
      code: 'REQUEST_INVALID',
      title: expect.stringContaining('larger') as string,
    });
    expect(problemOf(Object.assign(new Error('x'), { statusCode: 503 }))).toMatchObject({ status: 500 });
  });

  it('bounds what it says', () => {
    expect(problemOf(new ImagemillError('USAGE', 'x'.repeat(100_000))).detail.length).toBe(2_000);
  });

  it('makes something of anything that is thrown', () => {
    for (const thrown of [undefined, null, 'text', 7, {}, { statusCode: 404 }]) {
      expect(problemSchema.safeParse(problemOf(thrown)).success).toBe(true);
    }
  });
});
