/** What the process that tries a device is asked, and what it answers. */
import { z } from 'zod';

const DETAIL_CHARS_MAX = 10_000;

export const probeTaskSchema = z.discriminatedUnion('engine', [
  z.object({ engine: z.literal('onnxruntime'), device: z.string() }),
  z.object({
    engine: z.literal('tensorflow'),
    candidate: z.object({
      package: z.enum(['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']),
      origin: z.enum(['built', 'installed']),
      directory: z.string(),
      version: z.string(),
      fault: z.null(),
    }),
  }),
]);
export type ProbeTask = z.infer<typeof probeTaskSchema>;

/** A package that is tried could send something of its own. */
export const probeAnswerSchema = z.object({
  state: z.enum(['works', 'wrong', 'fails', 'missing']),
  detail: z.string().max(DETAIL_CHARS_MAX).nullable(),
  /** Of TensorFlow, where it loads. */
  tensorflow: z.string().nullable(),
  usesGpu: z.boolean().nullable(),
});
export type ProbeAnswer = z.infer<typeof probeAnswerSchema>;
