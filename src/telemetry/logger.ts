import { pino, destination, type Logger } from 'pino';
import type { Settings } from '../config/environment.ts';
import { printable } from './printable.ts';

export type { Logger };

/** Structured logs on stderr, so that stdout carries results alone. */
export function createLogger(level: Settings['logLevel'], bindings: Record<string, unknown> = {}): Logger {
  const stderr = destination({ fd: 2, sync: true });
  return pino({ level, base: bindings }, { write: (line) => stderr.write(printable(line)) });
}
