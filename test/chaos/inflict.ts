import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { S3Fault } from '../support/s3-proxy.ts';
import { computePidOf, type Fleet } from './fleet.ts';
import type { Fault } from './plan.ts';
import type { ChaosServices } from './services.ts';

const SLOW_STORE_MS = 150;
const RECONNECTION_MS = 500;
/** Of the requests that a faulty store meets, every so many-th goes wrong. */
const FAULTY_REQUESTS = 2;

/**
 * Does a fault to a fleet, and makes good what an operator would: replaces workers, resumes a run whose queue is lost.
 * @returns when it is over
 */
export async function inflict(
  { kind, worker: index, durationMs }: Fault,
  fleet: Fleet,
  services: ChaosServices,
  resume: () => Promise<void>,
): Promise<void> {
  const worker = fleet.worker(index);
  const { child, result } = worker.process;
  switch (kind) {
    case 'kill worker':
    case 'terminate worker':
      child.kill(kind === 'kill worker' ? 'SIGKILL' : 'SIGTERM');
      await result;
      await sleep(durationMs);
      return fleet.replace(index);
    case 'kill compute': {
      const pid = computePidOf(worker);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      return;
    }
    case 'stop worker':
      child.kill('SIGSTOP');
      await sleep(durationMs);
      child.kill('SIGCONT');
      return;
    case 'restart redis':
      await services.redis.crash();
      await sleep(durationMs);
      return services.redis.restart();
    case 'pause redis':
      fleet.redis.set({ blackhole: 'both' });
      await sleep(durationMs);
      fleet.redis.set({});
      // What was swallowed never comes: an outage of this length breaks connections.
      fleet.redis.cut();
      // A worker that is told to stop in the moment of its reconnection needs its whole time limit for that.
      await sleep(RECONNECTION_MS);
      return;
    case 'flush redis':
      await flush(services.redis.url);
      return resume();
    default:
      return disturbStore(kind, durationMs, fleet, index);
  }
}

async function disturbStore(
  kind: Exclude<Fault['kind'], 'flush redis'>,
  durationMs: number,
  fleet: Fleet,
  index: number,
): Promise<void> {
  const { store } = fleet.worker(index);
  if (kind === 'slow store') store.latencyMs = SLOW_STORE_MS;
  else {
    let requests = 0;
    const every = (fault: S3Fault) => (): S3Fault => (requests++ % FAULTY_REQUESTS === 0 ? fault : 'pass');
    const faults: Partial<Record<Fault['kind'], () => S3Fault>> = {
      'reset store': every('reset'),
      'unavailable store': every('unavailable'),
      'lose replies': every('lose reply'),
      'partition worker': () => 'stall',
    };
    store.decide = faults[kind] ?? (() => 'pass');
  }
  await sleep(durationMs);
  store.latencyMs = 0;
  store.decide = () => 'pass';
}

async function flush(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}
