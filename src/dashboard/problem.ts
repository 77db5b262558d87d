import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Problem } from '../contract/api/problem.ts';
import { asImagemillError, ERROR_CATALOGUE, ImagemillError, type ErrorCode } from '../contract/errors.ts';
import { isRedisFault, redisFault } from '../queue/redis-faults.ts';

/** Where the errors are explained. */
const ERRORS_PAGE = '/errors';
const DETAIL_CHARS_MAX = 2_000;
const ISSUES_TOLD_MAX = 5;

const STATUS_OF_CODE: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  LOCATION_REFUSED: 403,
  RUN_NOT_FOUND: 404,
  PAGE_NOT_FOUND: 404,
  OBJECT_NOT_FOUND: 404,
  ITEM_NOT_FOUND: 404,
  OUTPUT_HOLDS_ANOTHER_RUN: 409,
  IDEMPOTENCY_KEY_REUSED: 422,
  RUN_CANCELLED: 409,
  // Whoever asks has named a place that is not there, or not ours.
  STORE_NOT_FOUND: 404,
  STORE_ACCESS_DENIED: 403,
  STORE_CONDITIONAL_PUT_UNSUPPORTED: 409,
  CONTRACT_INVALID: 422,
  CONTRACT_VERSION_UNKNOWN: 422,
  INTERNAL: 500,
};
const STATUS_OF_SCOPE = { use: 400, item: 422, run: 409, service: 503 } as const;

/** Faults that Fastify itself finds in a request. */
const STATUS_TITLES: Record<number, string> = {
  400: 'The request cannot be read.',
  404: ERROR_CATALOGUE.PAGE_NOT_FOUND.meaning,
  408: 'The request did not arrive in time.',
  413: 'The request is larger than the limit.',
  414: 'The address is longer than the limit.',
  415: 'The content type is none that is understood.',
  431: 'The headers are larger than the limit.',
};

/** What the framework says of these names neither what was expected nor what was got. */
const STATUS_DETAILS: Record<number, string> = {
  413: 'expected a body within the limit of a request, got a larger one',
  415: 'expected content-type: application/json, got another one, or none',
};

/** Any thrown value as the answer a client gets. */
export function problemOf(thrown: unknown): Problem {
  const error = asRequestFault(thrown) ?? asServiceFault(thrown) ?? asImagemillError(thrown);
  const status = requestStatus(thrown) ?? STATUS_OF_CODE[error.code] ?? STATUS_OF_SCOPE[error.scope];
  return {
    type: `${ERRORS_PAGE}#${error.code}`,
    title: STATUS_TITLES[requestStatus(thrown) ?? 0] ?? ERROR_CATALOGUE[error.code].meaning,
    status,
    // What went wrong inside is for the log: it may quote what a client should not see.
    detail:
      status === 500
        ? 'expected an answer, got a fault of the dashboard itself; its log says more'
        : error.message.slice(0, DETAIL_CHARS_MAX),
    code: error.code,
    retryable: error.retryable,
  };
}

/** What the client of Redis throws bears the command with its arguments, and no code of ours. */
function asServiceFault(thrown: unknown): ImagemillError | null {
  return isRedisFault(thrown) ? redisFault(thrown, 'REDIS_URL') : null;
}

function requestStatus(thrown: unknown): number | null {
  if (thrown instanceof ImagemillError || !(thrown instanceof Error)) return null;
  const status = (thrown as Partial<FastifyError>).statusCode;
  return status !== undefined && status >= 400 && status < 500 ? status : null;
}

function asRequestFault(thrown: unknown): ImagemillError | null {
  const status = requestStatus(thrown);
  if (status === null) return null;
  const error = thrown as Error & { validationContext?: string };
  if (!hasZodFastifySchemaValidationErrors(error)) {
    const detail = STATUS_DETAILS[status] ?? error.message;
    return new ImagemillError('REQUEST_INVALID', detail, { cause: error });
  }
  const faults = error.validation.slice(0, ISSUES_TOLD_MAX).map(({ instancePath, message }) => {
    const field = instancePath.replace(/^\//, '').replaceAll('/', '.');
    return `${field === '' ? (error.validationContext ?? 'request') : field}: ${message}`;
  });
  return new ImagemillError('REQUEST_INVALID', faults.join('; '), { cause: error });
}
