import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWorker, type CliProcess } from '../support/cli.ts';
import { S3Proxy } from '../support/s3-proxy.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { LOCK_MS, WORKERS } from './plan.ts';
import type { ChaosServices } from './services.ts';

const STOP_TIMEOUT_MS = 30_000;
const RESTARTS_MAX = 60;
const RESTART_PAUSE_MS = 500;
const COMMIT = /\/(?:commits|steps|epochs)\/[^/]+\.json/;
/** Marks the processes of one fleet, so that none can hide. */
const MARK = 'IMAGEMILL_CHAOS_FLEET';

/** A worker with connections of its own, which can be disturbed without disturbing the others. */
export interface FleetWorker {
  readonly store: S3Proxy;
  process: CliProcess;
}

/** Workers of one run. */
export class Fleet {
  readonly workers: FleetWorker[] = [];
  readonly #services: ChaosServices;
  readonly #redis: TcpProxy;
  readonly #mark = randomUUID();
  readonly #prefix: string;
  /** Commits that were asked for so far, whatever became of them. */
  commits = 0;

  private constructor(services: ChaosServices, redis: TcpProxy, prefix: string) {
    this.#services = services;
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** @param prefix of the queues' names: a fleet has queues of its own */
  static async start(services: ChaosServices, prefix: string): Promise<Fleet> {
    const { hostname, port } = new URL(services.redis.url);
    const fleet = new Fleet(services, await TcpProxy.start({ host: hostname, port: Number(port) }), prefix);
    await Promise.all(
      Array.from({ length: WORKERS }, async () => {
        const store = await S3Proxy.start(services.rgw.endpoint);
        store.onRequest = ({ conditional, url }) => {
          if (conditional && COMMIT.test(url)) fleet.commits += 1;
        };
        fleet.workers.push({ store, process: await fleet.#startProcess(store) });
      }),
    );
    return fleet;
  }

  /** Requests to the store that a fault has met. */
  get faultyRequests(): number {
    return this.workers.reduce((sum, { store }) => sum + store.faults, 0);
  }

  get redis(): TcpProxy {
    return this.#redis;
  }

  /** Environment of a command that puts runs on the fleet's queues. */
  get env(): Record<string, string> {
    return {
      ...this.#services.env,
      REDIS_URL: `redis://127.0.0.1:${this.#redis.port}`,
      IMAGEMILL_QUEUE_PREFIX: this.#prefix,
    };
  }

  worker(index: number): FleetWorker {
    const worker = this.workers[index];
    if (worker === undefined) throw new Error(`expected a worker below ${WORKERS}, got ${index}`);
    return worker;
  }

  /** Starts another process in the place of one that has ended, again and again where Redis is away: as a restart policy. */
  async replace(index: number): Promise<void> {
    const worker = this.worker(index);
    for (let tries = 1; ; tries += 1) {
      try {
        worker.process = await this.#startProcess(worker.store);
        return;
      } catch (error) {
        if (tries === RESTARTS_MAX) throw error;
        await sleep(RESTART_PAUSE_MS);
      }
    }
  }

  /** Ends every worker, as an operator would. @returns pids of processes that outlived it: there shall be none */
  async stop(): Promise<number[]> {
    await Promise.all(
      this.workers.map(async ({ process }) => {
        process.child.kill('SIGCONT');
        process.child.kill('SIGTERM');
        await Promise.race([process.result, sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
      }),
    );
    // A compute process notices the end of its control process at once, but not in no time.
    for (let tries = 0; tries < 40 && this.#processes().length > 0; tries += 1) await sleep(50);
    const left = this.#processes();
    for (const pid of left) process.kill(pid, 'SIGKILL');
    await Promise.all([...this.workers.map(({ store }) => store.stop()), this.#redis.stop()]);
    return left;
  }

  async #startProcess(store: S3Proxy): Promise<CliProcess> {
    return startWorker({
      ...this.env,
      [MARK]: this.#mark,
      IMAGEMILL_S3_ENDPOINT: store.endpoint,
      IMAGEMILL_S3_IDLE_TIMEOUT_MS: '2000',
      IMAGEMILL_S3_CONNECT_TIMEOUT_MS: '1000',
      IMAGEMILL_LOCK_MS: String(LOCK_MS),
      IMAGEMILL_FETCH_CONCURRENCY: '4',
      IMAGEMILL_LOG_LEVEL: 'error',
    });
  }

  #processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK}=${this.#mark}`);
        } catch {
          return false;
        }
      });
  }
}

/** The compute process of a worker. */
export function computePidOf({ process: { child } }: FleetWorker): number | undefined {
  try {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
    return Number(children.trim().split(' ')[0]) || undefined;
  } catch {
    return undefined;
  }
}
