import { pino, destination, type Logger } from 'pino';
import type { Settings } from '../config/environment.ts';

export type { Logger };

/** Structured logs on stderr, so that stdout carries results alone. */
export function createLogger(level: Settings['logLevel'], bindings: Record<string, unknown> = {}): Logger {
  return pino({ level, base: bindings }, destination({ fd: 2, sync: true }));
}
