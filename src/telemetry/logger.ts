import { pino, destination, type Logger } from 'pino';
import type { Settings } from '../config/environment.ts';
import { ImagemillError } from '../contract/errors.ts';
import { printable } from './printable.ts';
import { activeSpanIds } from './spans.ts';

export type { Logger };

/** An error may be the cause of another; nothing sensible is deeper. */
const CAUSES_MAX = 5;

/** Structured logs on stderr, so that stdout carries results alone. */
export function createLogger(
  level: Settings['logLevel'],
  bindings: Record<string, unknown> = {},
  stream: { write(line: string): void } = destination({ fd: 2, sync: true }),
): Logger {
  const options = {
    level,
    base: bindings,
    serializers: { err: describeError },
    mixin: (line: object) => ({
      ...('err' in line && line.err instanceof ImagemillError ? { code: line.err.code } : {}),
      // While traces are on, the lines of a job lead to its trace.
      ...activeSpanIds(),
    }),
  };
  return pino(options, { write: (line) => stream.write(printable(line)) });
}

interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: LoggedError;
}

/**
 * What may be said of an error. Its other fields may not: an error of ioredis carries the command that failed with its
 * arguments, which at AUTH are the password; one of the AWS SDK the request with its signature.
 */
function describeError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { name, message, stack, cause } = error;
  const code: unknown = 'code' in error ? error.code : undefined;
  return {
    type: name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined || depth >= CAUSES_MAX ? {} : { cause: describeError(cause, depth + 1) }),
  };
}
