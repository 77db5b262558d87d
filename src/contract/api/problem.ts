import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors.ts';

/** An answer that is not a success: RFC 9457, `application/problem+json`, with a code of the error catalogue. */
export const problemSchema = z.object({
  /** Where the code is explained. */
  type: z.string(),
  /** What the code means in general. */
  title: z.string(),
  status: z.number().int().min(400).max(599),
  /** What was expected and what was got, this time. */
  detail: z.string(),
  code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
  retryable: z.boolean(),
});
export type Problem = z.infer<typeof problemSchema>;
