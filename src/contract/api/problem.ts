import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors.ts';

/** An answer that is not a success: RFC 9457, `application/problem+json`, with a code of the error catalogue. */
export const problemSchema = z.object({
  type: z.string().describe('Where the code is explained.'),
  title: z.string().describe('What the code means in general.'),
  status: z.number().int().min(400).max(599),
  detail: z.string().describe('What was expected and what was got, this time.'),
  code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
  retryable: z.boolean(),
});
export type Problem = z.infer<typeof problemSchema>;
