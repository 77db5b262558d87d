import { Queue, QueueEvents, type JobsOptions } from 'bullmq';
import { ImagemillError } from '../contract/errors.ts';
import { epochJobId, planJobId, shardJobId } from '../contract/ids.ts';
import {
  classifyJob,
  planJob,
  prepareJob,
  trainJob,
  trainScheduleJob,
  type ClassifyJob,
  type PlanJob,
  type TrainJob,
  type TrainScheduleJob,
} from '../contract/jobs.ts';
import { JOBS_PER_BULK, QUEUES, type QueueName } from '../contract/queues.ts';
import { redisOptions, type ConnectionRole, type RedisTarget } from './connection.ts';
import { jobOptions, PLAN_ATTEMPTS } from './retry-policy.ts';
import { ownTrace, type QueueTelemetry } from './telemetry.ts';

/** Where the queues are. */
export interface QueueTarget extends RedisTarget {
  /** Prefix of every key. */
  readonly prefix: string;
  /** Undefined: jobs carry no traces. */
  readonly telemetry?: QueueTelemetry | undefined;
}

/**
 * Shards of a run that are part of its trace; every other has one of its own, which is linked to it. No collector is
 * made for a trace of a hundred thousand shards, and nobody could read it.
 */
const SHARDS_IN_TRACE = 100;

/** States in which a plan job still does, or will do, something for its run. */
const LIVE_STATES = new Set(['waiting', 'active', 'delayed', 'prioritized', 'waiting-children']);

/** Jobs of a kind that are looked at where only the most urgent one counts, and their order may hide it. */
const JOBS_LOOKED_AT = 20;

const SHARD_JOBS = { classify: classifyJob, prepare: prepareJob } as const;

/** What two jobs for the same epoch have in common, of whatever generation. */
function epochPlace(run: string, epoch: number): string {
  return `${run}.e${epoch}`;
}

/** The queues of one imagemill, as producers and planners use them. */
export class Queues {
  readonly #target: QueueTarget;
  readonly #role: ConnectionRole;
  readonly #open = new Map<QueueName, Queue>();

  constructor(target: QueueTarget, role: ConnectionRole = 'request') {
    this.#target = target;
    this.#role = role;
  }

  get(name: QueueName): Queue {
    let queue = this.#open.get(name);
    if (queue === undefined) {
      queue = new Queue(name, {
        connection: redisOptions(this.#target, this.#role),
        prefix: this.#target.prefix,
        ...telemetryOf(this.#target),
      });
      // Without a listener an EventEmitter's error ends the process; the command that fails reports the fault itself.
      queue.on('error', () => {});
      this.#open.set(name, queue);
    }
    return queue;
  }

  /**
   * Puts a run on the queue, unless it is there already.
   * @returns the id of the plan job that works for the run: the new one, or the one that was there
   */
  addPlanJob(job: Omit<PlanJob, 'schema'>): Promise<string> {
    const id = planJobId(job.run, job.generation);
    const data = planJob.parse({ schema: planJob.id, ...job }, id);
    return this.#addOnce(QUEUES.plan, data, {
      ...jobOptions(PLAN_ATTEMPTS),
      jobId: id,
      priority: job.priority,
      deduplication: { id: job.run },
    });
  }

  /**
   * Puts an epoch on the queue, unless it is there already.
   * @param delayMs how long it shall wait before it may begin
   * @param origin what its trace goes back to; undefined: it is part of the trace that is under way
   * @returns the id of the job that works for the epoch
   */
  addEpochJob(
    job: Omit<TrainJob, 'schema'>,
    attempts: number,
    delayMs = 0,
    origin?: string,
  ): Promise<string> {
    const id = epochJobId(job.run, job.epoch, job.generation);
    const data = trainJob.parse({ schema: trainJob.id, ...job }, id);
    return this.#addOnce(QUEUES.train, data, {
      ...jobOptions(attempts),
      jobId: id,
      priority: job.priority,
      ...(delayMs > 0 ? { delay: delayMs } : {}),
      ...ownTrace(origin),
      deduplication: { id: epochPlace(job.run, job.epoch) },
    });
  }

  async #addOnce(
    name: QueueName,
    data: unknown,
    options: JobsOptions & { jobId: string; deduplication: { id: string } },
  ): Promise<string> {
    const queue = this.get(name);
    const { jobId, deduplication } = options;
    const added = await queue.add(name, data, options);
    if (added.id !== jobId && added.id !== undefined && !LIVE_STATES.has(await queue.getJobState(added.id))) {
      // The earlier job ended without giving its place free (a worker died as it ended).
      await queue.removeDeduplicationKey(deduplication.id);
      return (await queue.add(name, data, options)).id ?? jobId;
    }
    return added.id ?? jobId;
  }

  /**
   * Starts a training run at every time of a cron expression, or changes the schedule of this id.
   * @param pattern five or six fields, in UTC
   * @throws ImagemillError USAGE where the expression cannot be read
   */
  async scheduleTrain(id: string, pattern: string, job: Omit<TrainScheduleJob, 'schema'>): Promise<void> {
    const data = trainScheduleJob.parse({ schema: trainScheduleJob.id, ...job }, id);
    const options = jobOptions(PLAN_ATTEMPTS);
    try {
      await this.get(QUEUES.plan).upsertJobScheduler(
        id,
        { pattern, tz: 'UTC' },
        // Each time begins a trace of its own; otherwise all nights were in the trace of the first.
        { name: 'train', data, opts: { ...options, ...withoutTrace(this.#target) } },
      );
    } catch (error) {
      throw new ImagemillError(
        'USAGE',
        `--cron: expected five or six fields such as "0 2 * * *", got "${pattern}" (${(error as Error).message})`,
      );
    }
  }

  /** Schedules that are in force. */
  async schedules(): Promise<{ id: string; pattern: string; next: string | null; data: unknown }[]> {
    const found = await this.get(QUEUES.plan).getJobSchedulers();
    return found.map(({ key, pattern, next, template }) => ({
      id: key,
      pattern: pattern ?? '',
      next: next === undefined ? null : new Date(next).toISOString(),
      data: template?.data,
    }));
  }

  /** @returns false where there is no schedule of this id */
  removeSchedule(id: string): Promise<boolean> {
    return this.get(QUEUES.plan).removeJobScheduler(id);
  }

  /** The job that works, or will work, for an epoch; null where there is none. */
  async findEpochJob(run: string, epoch: number): Promise<string | null> {
    const queue = this.get(QUEUES.train);
    const id = await queue.getDeduplicationJobId(epochPlace(run, epoch));
    return id !== null && LIVE_STATES.has(await queue.getJobState(id)) ? id : null;
  }

  /** Whether a job of higher priority than the given one waits on a queue (0 comes before 1, and so on). */
  async hasMoreUrgent(name: QueueName, priority: number): Promise<boolean> {
    if (priority === 0) return false;
    const queue = this.get(name);
    const jobs = await Promise.all([
      // Jobs of workers that died wait before all others, whatever their priority.
      queue.getWaiting(0, JOBS_LOOKED_AT - 1),
      queue.getPrioritized(0, 0),
      // Between two tries; only a worker that takes jobs ends the pause.
      queue.getDelayed(0, JOBS_LOOKED_AT - 1),
    ]);
    return jobs.flat().some((job) => (job.opts.priority ?? 0) < priority);
  }

  /**
   * Adds shard jobs as children of their run's plan job.
   * @param kind what is done to the shards, and the name of their queue
   * @param jobs any number; they go out in transactions of JOBS_PER_BULK
   * @param options with `origin`, what the traces of shards go back to that are not part of the one under way
   */
  async addShardJobs(
    kind: keyof typeof SHARD_JOBS,
    jobs: readonly Omit<ClassifyJob, 'schema'>[],
    parent: { id: string; queue: string },
    options: { generation: number; priority: number; attempts: number; origin?: string | undefined },
  ): Promise<void> {
    for (let start = 0; start < jobs.length; start += JOBS_PER_BULK) {
      await this.get(kind).addBulk(
        jobs.slice(start, start + JOBS_PER_BULK).map((job) => {
          const id = shardJobId(job.run, job.shard, options.generation);
          return {
            name: kind,
            data: SHARD_JOBS[kind].parse({ schema: SHARD_JOBS[kind].id, ...job }, id),
            opts: {
              ...jobOptions(options.attempts),
              jobId: id,
              priority: options.priority,
              parent,
              // A shard that fails for good must not hold up, or hide, the others: the plan job reads the failures.
              ignoreDependencyOnFailure: true,
              ...(job.shard < SHARDS_IN_TRACE ? {} : ownTrace(options.origin)),
            },
          };
        }),
      );
    }
  }

  /** Why a job failed for good, or null where it did not. */
  async failedReason(name: QueueName, jobId: string): Promise<string | null> {
    const job = await this.get(name).getJob(jobId);
    return job !== undefined && (await job.isFailed()) ? job.failedReason : null;
  }

  /** Resolves once Redis has answered; in the role `worker` that waits for as long as it is away. */
  async answer(): Promise<void> {
    await this.get(QUEUES.plan).isPaused();
  }

  /** A stream of what happens on a queue. */
  events(name: QueueName): QueueEvents {
    const events = new QueueEvents(name, {
      connection: redisOptions(this.#target, 'worker'),
      prefix: this.#target.prefix,
    });
    events.on('error', () => {});
    return events;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((queue) => queue.close()));
    this.#open.clear();
  }
}

/** What a queue or a worker of BullMQ is given. */
export function telemetryOf({ telemetry }: QueueTarget): { telemetry?: QueueTelemetry } {
  return telemetry === undefined ? {} : { telemetry };
}

function withoutTrace({ telemetry }: QueueTarget): Pick<JobsOptions, 'telemetry'> {
  return telemetry === undefined ? {} : { telemetry: { omitContext: true } };
}
