import { placeOfJobId } from '../../contract/ids.ts';
import { planProgressSchema, shardProgressSchema } from '../../contract/jobs.ts';
import { QUEUE_NAMES, QUEUES, type QueueName } from '../../contract/queues.ts';
import { trainProgressSchema } from '../../contract/training.ts';
import type { Queues } from '../../queue/queues.ts';
import type { RunCatalogue } from '../catalogue/run-catalogue.ts';
import type { LiveHub } from './live-hub.ts';

type QueueEvents = ReturnType<Queues['events']>;

/**
 * Turns what happens on the queues into what browsers hear: one connection per queue, however many of them watch.
 */
export class QueueWatcher {
  readonly #catalogue: RunCatalogue;
  readonly #hub: LiveHub;
  readonly #streams: QueueEvents[];

  constructor(queues: Queues, catalogue: RunCatalogue, hub: LiveHub) {
    this.#catalogue = catalogue;
    this.#hub = hub;
    this.#streams = QUEUE_NAMES.map((name) => this.#watch(name, queues.events(name)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#streams.map((stream) => stream.close()));
  }

  #watch(name: QueueName, stream: QueueEvents): QueueEvents {
    stream.on('active', ({ jobId }) => this.#touch(jobId));
    stream.on('progress', ({ jobId, data }) => this.#onProgress(name, jobId, data));
    stream.on('completed', ({ jobId }) => this.#onEnd(jobId, 'completed'));
    stream.on('failed', ({ jobId }) => this.#onEnd(jobId, 'failed'));
    return stream;
  }

  #touch(jobId: string): void {
    const place = placeOfJobId(jobId);
    if (place !== null && place.kind !== 'shard') this.#catalogue.touch(place.run);
  }

  #onProgress(name: QueueName, jobId: string, data: unknown): void {
    const place = placeOfJobId(jobId);
    if (place === null) return;
    const run = this.#catalogue.known(place.run);
    if (run === null) return this.#catalogue.touch(place.run);
    if (name === QUEUES.plan) {
      const progress = planProgressSchema.safeParse(data);
      if (progress.success) run.planned = progress.data;
    } else if (place.kind === 'shard') {
      const progress = shardProgressSchema.safeParse(data);
      if (progress.success) run.noteShard(place.shard, progress.data);
    } else {
      const progress = trainProgressSchema.safeParse(data);
      if (!progress.success) return;
      run.latest = progress.data;
      this.#hub.publish(`train:${place.run}`, () => ({
        type: 'train',
        run: place.run,
        progress: progress.data,
      }));
    }
    this.#hub.publish(`run:${place.run}`, () => ({ type: 'run', run: run.overview() }));
  }

  #onEnd(jobId: string, outcome: 'completed' | 'failed'): void {
    const place = placeOfJobId(jobId);
    if (place === null) return;
    const run = this.#catalogue.known(place.run);
    if (place.kind === 'shard') run?.noteShardEnd(place.shard, outcome);
    this.#catalogue.touch(place.run);
  }
}
