import { z } from 'zod';

/** One image of a collection, as the planner writes it into a shard. */
export const itemSchema = z.object({
  /** `s3://bucket/key`, `file:///path`, or `<tar uri>#<member>` for an image inside a WebDataset tar. */
  uri: z.string().min(1).max(8192),
  /** Class name where the source gives one. */
  label: z.string().max(1024).optional(),
  /** Size of the object where the listing gave one, in bytes. */
  bytes: z.number().int().nonnegative().optional(),
  /** Where the bytes lie, when the item is a part of a larger object. */
  within: z
    .object({
      uri: z.string().min(1),
      offset: z.number().int().nonnegative(),
      bytes: z.number().int().nonnegative(),
    })
    .optional(),
});

export type Item = z.infer<typeof itemSchema>;
