import { z } from 'zod';

/** `r-` and a ULID: sorts by time of creation. */
export const runIdSchema = z.string().regex(/^r-[0-9A-HJKMNP-TV-Z]{26}$/, 'expected r-<ulid>');

/** Items of one shard. */
export const SHARD_SIZE_MAX = 100_000;

export const shardIndexSchema = z.number().int().min(0).max(99_999_999);

/** Names one attempt: part of the names of everything it writes, so that no attempt can overwrite another's. */
export const tokenSchema = z
  .string()
  .regex(/^[0-9a-z]{8,40}$/, 'expected 8 to 40 lower-case letters and digits');

/** `42` → `000042`; more digits where a run has more than a million shards. */
export function shardName(shard: number): string {
  return String(shard).padStart(6, '0');
}

/** `2` → `0002`. */
export function generationName(generation: number): string {
  return String(generation).padStart(4, '0');
}

/** Deterministic: enqueuing a shard twice in one generation is one job. BullMQ forbids `:` and bare integers. */
export function shardJobId(run: string, shard: number, generation: number): string {
  return `${run}.${shardName(shard)}.g${generation}`;
}

export function planJobId(run: string, generation: number): string {
  return `${run}.plan.g${generation}`;
}

/** `42` → `000042`. */
export function epochName(epoch: number): string {
  return String(epoch).padStart(6, '0');
}

export function epochJobId(run: string, epoch: number, generation: number): string {
  return `${run}.e${epochName(epoch)}.g${generation}`;
}

/** The run of any of our job ids, or null for a foreign one. */
export function runOfJobId(jobId: string): string | null {
  const run = jobId.split('.', 1)[0] ?? '';
  return runIdSchema.safeParse(run).success ? run : null;
}

/** What a job of ours is about. */
export type JobPlace =
  | { readonly run: string; readonly kind: 'plan' }
  | { readonly run: string; readonly kind: 'shard'; readonly shard: number }
  | { readonly run: string; readonly kind: 'epoch'; readonly epoch: number };

/** The inverse of the functions above; null for a foreign job id. */
export function placeOfJobId(jobId: string): JobPlace | null {
  const run = runOfJobId(jobId);
  const match = /^[^.]+\.(?:(plan)|e(\d{6,})|(\d{6,8}))\.g\d+$/.exec(jobId);
  if (run === null || match === null) return null;
  const [, plan, epoch, shard] = match;
  if (plan !== undefined) return { run, kind: 'plan' };
  return epoch === undefined
    ? { run, kind: 'shard', shard: Number(shard) }
    : { run, kind: 'epoch', epoch: Number(epoch) };
}
