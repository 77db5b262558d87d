import { z } from 'zod';
import { QUEUE_NAMES } from '../queues.ts';
import { WORKER_STATES, workerReportDocument } from '../worker-report.ts';

const count = z.number().int().nonnegative();

/** A worker, as its last report and the time since then tell. */
export const shownWorkerSchema = workerReportDocument.schema.omit({ schema: true }).extend({
  /** `lost`: not heard of for 15 seconds. */
  state: z.enum([...WORKER_STATES, 'lost']),
});
export type ShownWorker = z.infer<typeof shownWorkerSchema>;

export const queueFiguresSchema = z.object({
  queue: z.enum(QUEUE_NAMES),
  /** Jobs by state. */
  jobs: z.record(z.string(), count),
  /** Age of the job that has waited longest; 0 where none waits. */
  oldestWaitingSeconds: z.number().nonnegative(),
});
export type ShownQueue = z.infer<typeof queueFiguresSchema>;

/** Who works, and what waits for them. */
export const fleetSchema = z.object({
  workers: z.array(shownWorkerSchema),
  queues: z.array(queueFiguresSchema),
});
export type Fleet = z.infer<typeof fleetSchema>;
