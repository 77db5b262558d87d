import type { Job } from 'bullmq';
import { z } from 'zod';
import { runOfJobId, runIdSchema, shardIndexSchema } from '../contract/ids.ts';
import type { Logger } from '../telemetry/logger.ts';

/** What a job is about, as far as its payload tells: it may be damaged, which is what a line may have to say. */
const subjectSchema = z.object({
  run: runIdSchema.optional().catch(undefined),
  shard: shardIndexSchema.optional().catch(undefined),
  epoch: z.number().int().optional().catch(undefined),
});

/** A logger whose lines say which job they are about: `queue`, `job`, `run`, and `shard` or `epoch`. */
export function jobLogger(logger: Logger, job: Pick<Job, 'id' | 'queueName' | 'data'>): Logger {
  const { run = runOfJobId(job.id ?? ''), shard, epoch } = subjectSchema.safeParse(job.data).data ?? {};
  return logger.child({
    queue: job.queueName,
    job: job.id,
    ...(run === null ? {} : { run }),
    ...(shard === undefined ? {} : { shard }),
    ...(epoch === undefined ? {} : { epoch }),
  });
}
