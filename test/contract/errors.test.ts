import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asImagemillError, ERROR_CATALOGUE, ImageError, ImagemillError } from '../../src/contract/errors.ts';
import { renderErrorsPage } from '../support/errors-page.ts';

describe('the error catalogue', () => {
  it('is what docs/errors.md says (npm run docs writes it)', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    expect(page).toBe(renderErrorsPage());
  });

  it('never retries what one image or a wrong command caused', () => {
    for (const [code, { scope, retryable }] of Object.entries(ERROR_CATALOGUE)) {
      if (scope === 'item' || scope === 'use') expect(retryable, code).toBe(false);
    }
  });

  it('gives an error the retryability of its code', () => {
    expect(new ImagemillError('STORE_UNREACHABLE', 'x').retryable).toBe(true);
    expect(new ImageError('IMAGE_EMPTY', 'x')).toMatchObject({
      retryable: false,
      scope: 'item',
      code: 'IMAGE_EMPTY',
    });
  });

  it('wraps what is not ours, and keeps what is', () => {
    const ours = new ImagemillError('USAGE', 'x');
    expect(asImagemillError(ours)).toBe(ours);
    expect(asImagemillError(new TypeError('boom'))).toMatchObject({ code: 'INTERNAL', message: 'boom' });
    expect(asImagemillError('text')).toMatchObject({ code: 'INTERNAL', message: 'text' });
  });
});
