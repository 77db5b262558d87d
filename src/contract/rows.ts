import { z } from 'zod';
import { ERROR_CATALOGUE, type ErrorCode } from './errors.ts';

export const PART_FORMATS = ['parquet', 'jsonl', 'csv'] as const;
export type PartFormat = (typeof PART_FORMATS)[number];

/** One labelled image. Fields may be added, never renamed. */
export const resultRowSchema = z.object({
  uri: z.string(),
  /** `sha256:<hex>` of the object's bytes. */
  digest: z.string(),
  /** Pixels, after EXIF rotation. */
  width: z.number().int(),
  height: z.number().int(),
  /** Class indices, labels and scores (softmax probabilities), best first; all of length top-k. */
  ids: z.array(z.number().int()),
  labels: z.array(z.string()),
  scores: z.array(z.number()),
  /** `sha256:<hex>` of the model's file. */
  model: z.string(),
  /** Penultimate activations, float32, with `--embeddings`. */
  embedding: z.custom<Float32Array | number[]>().optional(),
});

export type ResultRow = z.infer<typeof resultRowSchema>;

/** One image that could not be labelled. */
export const errorRowSchema = z.object({
  uri: z.string(),
  code: z.enum(Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
});

export type ErrorRow = z.infer<typeof errorRowSchema>;
