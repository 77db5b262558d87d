import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../src/commands/context.ts';
import { ERROR_CATALOGUE, EXIT, ImagemillError, type ErrorCode } from '../../src/contract/errors.ts';

const codes = Object.keys(ERROR_CATALOGUE) as ErrorCode[];
const codeOf = (code: ErrorCode, enqueued: boolean): number =>
  exitCodeOf(new ImagemillError(code, 'expected one thing, got another'), { enqueued });

describe('exitCodeOf', () => {
  it('is wrong use for every fault before anything was enqueued, but not for our own', () => {
    for (const code of codes) {
      expect(codeOf(code, false), code).toBe(code === 'INTERNAL' ? EXIT.failed : EXIT.usage);
    }
  });

  it('is a failure for what happens to a run, its services included', () => {
    for (const code of codes) {
      const { scope } = ERROR_CATALOGUE[code];
      expect(codeOf(code, true), code).toBe(scope === 'use' ? EXIT.usage : EXIT.failed);
    }
  });
});
