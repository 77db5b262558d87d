/** Model files that were made to do harm: see `corpus/make-pickles.py`. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { detectModelFormat } from '../../src/pipeline/model/weights/detect.ts';
import { readPyTorch } from '../../src/pipeline/model/weights/pytorch.ts';
import { corpus, outcomeOf, type Parser } from './support.ts';

/** What the payloads would make. */
const HARM = '/tmp/imagemill-fuzz-harm';

const CODES: Readonly<Record<string, ErrorCode>> = { unsafe: 'MODEL_UNSAFE', corrupt: 'MODEL_CORRUPT' };

const files = corpus('pytorch').filter(([name]) => (name.split('-')[0] ?? '') in CODES);

const PYTORCH: Parser<unknown> = {
  name: 'pytorch',
  codes: Object.values(CODES),
  parse: (bytes) => readPyTorch(bytes, 'm'),
};

describe('a hostile model', () => {
  it('is there in numbers', () => {
    expect(files.length).toBeGreaterThan(100);
  });

  it.each(files)('%s', async (name, bytes) => {
    expect(await outcomeOf(PYTORCH, bytes)).toBe(CODES[name.split('-')[0] ?? '']);
    expect(['pytorch', null]).toContain(detectModelFormat(bytes, 'noname'));
    expect(existsSync(HARM)).toBe(false);
  });
});
