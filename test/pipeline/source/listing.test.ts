import { expect, it } from 'vitest';
import { z } from 'zod';
import { parsePosition } from '../../../src/pipeline/source/listing.ts';

it('refuses a position nested without end as any other', () => {
  const nested: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  expect(() => parsePosition(z.number(), nested)).toThrow(
    expect.objectContaining({ code: 'CONTRACT_INVALID' }),
  );
});
