/** What a worker tells about itself, every few seconds, through Redis. */
import { z } from 'zod';
import { defineDocument } from './document.ts';
import { QUEUE_NAMES } from './queues.ts';

/** Jobs of one worker that are listed; it has fewer in progress than that. */
const JOBS_MAX = 64;
const NAME_LENGTH_MAX = 255;
/** Three reports in a row that did not come, whatever the reason. */
const LOST_AFTER_MS = 15_000;

const count = z.number().int().nonnegative();

/** A job that a worker has in progress. */
export const currentJobSchema = z.object({
  queue: z.enum(QUEUE_NAMES),
  jobId: z.string(),
  /** The run's id; null where the job belongs to none, as the start of a scheduled one. */
  run: z.string().nullable(),
  shard: count.nullable(),
  epoch: z.number().int().min(1).nullable(),
  /** Images of the shard or epoch that are done, labelled or not; of a plan, images that are planned. */
  itemsDone: count,
  /** Images there are to do; null where nobody knows yet. */
  items: count.nullable(),
  since: z.iso.datetime(),
});
export type CurrentJob = z.infer<typeof currentJobSchema>;

/** One of the two processes of a worker. */
export const processFactsSchema = z.object({
  pid: z.number().int().positive(),
  /** How late the event loop ran its timers in the last 10 to 20 seconds, 99th percentile. */
  eventLoopDelayP99Ms: z.number().nonnegative(),
  residentBytes: count,
  /** Cores that were busy on average since the report before: 2.5 is two and a half; null where there was none. */
  cpuCores: z.number().nonnegative().nullable(),
});
export type ProcessFacts = z.infer<typeof processFactsSchema>;

/** What the driver says of a device; a figure that it does not know for this kind of device is null. */
export const gpuFactsSchema = z.object({
  name: z.string(),
  /** Part of the last second or so in which the device was busy, 0 to 1. */
  utilisation: z.number().min(0).max(1).nullable(),
  memoryUsedBytes: count.nullable(),
  memoryTotalBytes: count.nullable(),
});
export type GpuFacts = z.infer<typeof gpuFactsSchema>;

/** What a worker has done since it started; only what it committed counts. */
export const workerTotalsSchema = z.object({
  /** Images that were labelled, prepared or trained on. */
  images: count,
  /** Images that became error rows. */
  errors: count,
  shards: count,
  epochs: count,
});
export type WorkerTotals = z.infer<typeof workerTotalsSchema>;

export const WORKER_STATES = ['starting', 'working', 'idle', 'stopping'] as const;

export const workerReportDocument = defineDocument('worker-report', 1, {
  /** Unique among the workers of a queue, and part of every commit. */
  name: z.string().min(1).max(NAME_LENGTH_MAX),
  host: z.string(),
  /** Of the control process. */
  pid: z.number().int().positive(),
  /** Of imagemill. */
  version: z.string(),
  device: z.string(),
  engine: z.string(),
  queues: z.array(z.enum(QUEUE_NAMES)),
  startedAt: z.iso.datetime(),
  /** When the report was made, by the worker's clock; in a list, by the clock of who lists. */
  at: z.iso.datetime(),
  state: z.enum(WORKER_STATES),
  jobs: z.array(currentJobSchema).max(JOBS_MAX),
  /** Images a second over the last ten, whatever is done to them. */
  imagesPerSecond: z.number().nonnegative(),
  totals: workerTotalsSchema,
  control: processFactsSchema,
  /** null while there is no compute process. */
  compute: processFactsSchema.nullable(),
  /** null where the device is none of NVIDIA's, or its driver does not answer. */
  gpu: gpuFactsSchema.nullable(),
});
export type WorkerReport = z.infer<typeof workerReportDocument.schema>;

/** Whether a worker has not been heard of for so long that it must be taken for dead, or cut off. */
export function isLost({ at }: Pick<WorkerReport, 'at'>, nowMs: number): boolean {
  return nowMs - Date.parse(at) > LOST_AFTER_MS;
}
