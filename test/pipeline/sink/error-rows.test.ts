import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE, type ErrorCode } from '../../../src/contract/errors.ts';
import type { ErrorRow } from '../../../src/contract/rows.ts';
import { createErrorEncoder, encodeErrorRows, readErrors } from '../../../src/pipeline/sink/error-rows.ts';
import { collect, ODD_URIS } from './part-support.ts';

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...ODD_URIS));
const anyErrorRow: fc.Arbitrary<ErrorRow> = fc.record({
  uri: text,
  code: fc.constantFrom(...(Object.keys(ERROR_CATALOGUE) as ErrorCode[])),
  message: text,
});

describe('error rows', () => {
  it('gives back any rows, one line each, however they are split', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyErrorRow, { maxLength: 20 }), fc.nat({ max: 20 }), async (rows, split) => {
        const encoder = createErrorEncoder();
        const bytes = Buffer.concat([
          encoder.rows(rows.slice(0, split)),
          encoder.rows(rows.slice(split)),
          encoder.end(),
        ]);
        expect(bytes.equals(encodeErrorRows(rows))).toBe(true);
        expect(bytes.filter((byte) => byte === 0x0a)).toHaveLength(rows.length);
        expect(await collect(readErrors(bytes))).toEqual(rows);
      }),
    );
  });

  it('writes the documented shape and nothing more', () => {
    const row = { uri: 's3://b/a\n.jpg', code: 'IMAGE_TRUNCATED' as const, message: 'cut', stack: 'secret' };
    expect(Buffer.from(encodeErrorRows([row])).toString()).toBe(
      '{"uri":"s3://b/a\\n.jpg","code":"IMAGE_TRUNCATED","message":"cut"}\n',
    );
  });

  it('replaces unpaired surrogates, which UTF-8 cannot hold', async () => {
    const row = { uri: 's3://b/\ud800', code: 'IMAGE_EMPTY' as const, message: '\udc00' };
    expect(await collect(readErrors(encodeErrorRows([row])))).toEqual([
      { uri: 's3://b/\ufffd', code: 'IMAGE_EMPTY', message: '\ufffd' },
    ]);
  });

  it.each<[string, string, RegExp]>([
    [
      'an unknown code',
      '{"uri":"a","code":"NOPE","message":"m"}\n',
      /^here, line 1: expected an error row, got code: /,
    ],
    ['a missing message', '{"uri":"a","code":"USAGE"}\n', /line 1: expected an error row, got message: /],
    ['a cut line', '{"uri":"a","code":"USAGE","message":"m"}', /line 1: expected a line feed at its end/],
    ['no JSON', 'oops\n', /line 1: expected JSON, got /],
  ])('refuses %s', async (_, lines, message) => {
    await expect(collect(readErrors(Buffer.from(lines), 'here'))).rejects.toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID',
        message: expect.stringMatching(message) as string,
      }),
    );
  });
});
