/** imagemill as it is deployed: a Redis server, a worker process, and commands that submit runs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { commitDocument, type Commit } from '../src/contract/ledger.ts';
import { startEmbeddedRedis } from '../src/queue/embedded-redis.ts';
import { lastJson, runChild } from './child.ts';
import { ALLOCATOR_ENVIRONMENT, CACHE, ROOT } from './machine.ts';
import { machineCpuSeconds, treeCpuSeconds } from './process-tree.ts';

const READY_TIMEOUT_MS = 60_000;

export interface ClassifyJob {
  readonly photos: string;
  readonly model: string;
  /** Name of the run's folder; of one service no two runs may share it. */
  readonly out: string;
  readonly shardSize: number;
  /** Images taken. */
  readonly limit: number;
}

export interface MeasuredRun {
  readonly out: string;
  readonly items: number;
  readonly labelled: number;
  /** From submission to the last commit. */
  readonly seconds: number;
  /** From submission to the start of the first shard: reading and checking the model, planning, queueing. */
  readonly secondsBeforeFirstShard: number;
  /** Processor seconds of the worker's processes per second of the run. */
  readonly coresBusy: number;
  /** The same of everything else on the machine, the submitting command and Redis included: a noisy measurement shows here. */
  readonly coresBusyElsewhere: number;
  /** Wall time of the stages, summed over images and batches that overlap. */
  readonly stages: Commit['stages'];
}

export interface DelayP99Ms {
  readonly control: number;
  readonly compute: number;
}

/** A worker on a queue of its own. */
export class Service {
  readonly #cli: string;
  readonly #folder: string;
  readonly #redis: Awaited<ReturnType<typeof startEmbeddedRedis>>;
  readonly #worker: ChildProcess;
  readonly #stderr: () => string;

  private constructor(
    cli: string,
    folder: string,
    redis: Awaited<ReturnType<typeof startEmbeddedRedis>>,
    worker: ChildProcess,
    stderr: () => string,
  ) {
    this.#cli = cli;
    this.#folder = folder;
    this.#redis = redis;
    this.#worker = worker;
    this.#stderr = stderr;
  }

  /** @param cli path of the built command */
  static async start(cli: string): Promise<Service> {
    await mkdir(CACHE, { recursive: true });
    const folder = await mkdtemp(join(CACHE, 'runs-'));
    const redis = await startEmbeddedRedis();
    const worker = spawn(process.execPath, [cli, 'worker', '--device', 'cpu'], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...ALLOCATOR_ENVIRONMENT, ...environment(redis.url) },
    });
    let stderr = '';
    const ready = new Promise<void>((resolve, reject) => {
      worker.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
        if (/ serves /.test(stderr)) resolve();
      });
      worker.once('exit', () => reject(new Error(`the worker ended: ${stderr.trim()}`)));
      setTimeout(() => reject(new Error('the worker did not start')), READY_TIMEOUT_MS).unref();
    });
    const service = new Service(cli, folder, redis, worker, () => stderr);
    try {
      await ready;
      return service;
    } catch (error) {
      await service.kill();
      throw error;
    }
  }

  get pid(): number {
    return this.#worker.pid ?? 0;
  }

  /** Submits a run and waits for its end. */
  async classify(job: ClassifyJob): Promise<MeasuredRun> {
    const out = join(this.#folder, job.out);
    const before = { tree: treeCpuSeconds(this.pid), machine: machineCpuSeconds() };
    const args = [this.#cli, 'classify', job.photos, '--model', job.model, '--out', out, '--json']
      .concat(['--shard-size', String(job.shardSize), '--limit', String(job.limit)])
      .concat(['--format', 'parquet', '--top-k', '5']);
    const stdout = await runChild(process.execPath, args, { env: environment(this.#redis.url) });
    const after = { tree: treeCpuSeconds(this.pid), machine: machineCpuSeconds() };
    const summary = lastJson(stdout) as { items: number; labelled: number; seconds: number };
    const commits = await readCommits(out);
    const { createdAt } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8')) as { createdAt: string };
    const firstStartMs = Math.min(
      ...commits.map(({ committedAt, seconds }) => Date.parse(committedAt) - seconds * 1_000),
    );
    const own = sum([...after.tree].map(([pid, seconds]) => seconds - (before.tree.get(pid) ?? 0)));
    return {
      out,
      items: summary.items,
      labelled: summary.labelled,
      seconds: summary.seconds,
      secondsBeforeFirstShard: (firstStartMs - Date.parse(createdAt)) / 1_000,
      coresBusy: own / summary.seconds,
      coresBusyElsewhere: (after.machine - before.machine - own) / summary.seconds,
      stages: {
        fetch: sum(commits.map(({ stages }) => stages.fetch)),
        decode: sum(commits.map(({ stages }) => stages.decode)),
        compute: sum(commits.map(({ stages }) => stages.compute)),
        write: sum(commits.map(({ stages }) => stages.write)),
      },
    };
  }

  /** Best class of every image of a run, in the order of their names. */
  async bestIds(out: string): Promise<number[]> {
    const stdout = await runChild(process.execPath, [this.#cli, 'results', out, '--format', 'jsonl'], {
      env: environment(this.#redis.url),
    });
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { uri: string; ids: number[] });
    rows.sort((a, b) => (a.uri < b.uri ? -1 : 1));
    return rows.map(({ ids }) => ids[0] ?? -1);
  }

  /** Ends the worker. @returns how late its event loops ran, as it reports */
  async stop(): Promise<DelayP99Ms> {
    const exited = once(this.#worker, 'exit');
    this.#worker.kill('SIGTERM');
    await exited;
    const report = /event loop delay p99: control ([\d.]+) ms, compute ([\d.]+) ms/.exec(this.#stderr());
    if (report === null) throw new Error(`the worker reported no event loop delay: ${this.#stderr().trim()}`);
    return { control: Number(report[1]), compute: Number(report[2]) };
  }

  /** Ends whatever still runs, and removes the runs. Does no harm after {@link stop}. */
  async kill(): Promise<void> {
    this.#worker.kill('SIGKILL');
    await this.#redis.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function environment(redisUrl: string): Record<string, string> {
  return { REDIS_URL: redisUrl, IMAGEMILL_HOME: join(CACHE, 'home') };
}

async function readCommits(out: string): Promise<Commit[]> {
  const folder = join(out, 'commits');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    names.map(async (name) => commitDocument.decode(await readFile(join(folder, name)), name)),
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
