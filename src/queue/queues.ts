import { Queue, QueueEvents } from 'bullmq';
import { planJobId, shardJobId } from '../contract/ids.ts';
import { classifyJob, planJob, type ClassifyJob, type PlanJob } from '../contract/jobs.ts';
import { JOBS_PER_BULK, QUEUES, type QueueName } from '../contract/queues.ts';
import { redisOptions, type ConnectionRole } from './connection.ts';
import { jobOptions, PLAN_ATTEMPTS } from './retry-policy.ts';

/** Where the queues are. */
export interface QueueTarget {
  readonly redisUrl: string;
  /** Prefix of every key. */
  readonly prefix: string;
}

/** States in which a plan job still does, or will do, something for its run. */
const LIVE_STATES = new Set(['waiting', 'active', 'delayed', 'prioritized', 'waiting-children']);

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
        connection: redisOptions(this.#target.redisUrl, this.#role),
        prefix: this.#target.prefix,
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
  async addPlanJob(job: Omit<PlanJob, 'schema'>): Promise<string> {
    const queue = this.get(QUEUES.plan);
    const id = planJobId(job.run, job.generation);
    const data = planJob.parse({ schema: planJob.id, ...job }, id);
    const add = () =>
      queue.add('plan', data, {
        ...jobOptions(PLAN_ATTEMPTS),
        jobId: id,
        priority: job.priority,
        deduplication: { id: job.run },
      });
    const added = await add();
    if (added.id !== id && added.id !== undefined && !LIVE_STATES.has(await queue.getJobState(added.id))) {
      // The earlier job ended without giving its place free (a worker died as it ended).
      await queue.removeDeduplicationKey(job.run);
      return (await add()).id ?? id;
    }
    return added.id ?? id;
  }

  /**
   * Adds shard jobs as children of their run's plan job.
   * @param jobs any number; they go out in transactions of JOBS_PER_BULK
   */
  async addShardJobs(
    jobs: readonly Omit<ClassifyJob, 'schema'>[],
    parent: { id: string; queue: string },
    options: { generation: number; priority: number; attempts: number },
  ): Promise<void> {
    for (let start = 0; start < jobs.length; start += JOBS_PER_BULK) {
      await this.get(QUEUES.classify).addBulk(
        jobs.slice(start, start + JOBS_PER_BULK).map((job) => {
          const id = shardJobId(job.run, job.shard, options.generation);
          return {
            name: 'classify',
            data: classifyJob.parse({ schema: classifyJob.id, ...job }, id),
            opts: {
              ...jobOptions(options.attempts),
              jobId: id,
              priority: options.priority,
              parent,
              // A shard that fails for good must not hold up, or hide, the others: the plan job reads the failures.
              ignoreDependencyOnFailure: true,
            },
          };
        }),
      );
    }
  }

  /** Why a plan job failed for good, or null where it did not. */
  async failedReason(planJobId: string): Promise<string | null> {
    const job = await this.get(QUEUES.plan).getJob(planJobId);
    return job !== undefined && (await job.isFailed()) ? job.failedReason : null;
  }

  /** A stream of what happens on a queue. */
  events(name: QueueName): QueueEvents {
    const events = new QueueEvents(name, {
      connection: redisOptions(this.#target.redisUrl, 'worker'),
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
