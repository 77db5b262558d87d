import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { entryPoint } from '../../config/entry-point.ts';
import { asImagemillError, ImagemillError } from '../../contract/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { lastWords } from '../../telemetry/last-words.ts';
import { printableLine } from '../../telemetry/printable.ts';
import type { StepDraft } from '../../pipeline/training/epoch-task.ts';
import { isGreeting } from '../../pipeline/engine/tensorflow/process-environment.ts';
import { computeEnvironment } from './compute-environment.ts';
import type {
  ComputeFacts,
  FromCompute,
  ProgressOf,
  ResultOf,
  StartMessage,
  TaskOf,
  ToCompute,
  WireError,
  WorkKind,
} from './protocol.ts';

const WATCHDOG_CHECKS_PER_LIMIT = 4;
const STDERR_TAIL_CHARS = 2_000;

export interface ComputeHostOptions {
  readonly device: string;
  readonly engine: string;
  readonly decodeConcurrency: number | undefined;
  /** Without progress for this long the process is killed. */
  readonly watchdogMs: number;
  readonly logger: Logger;
  /** Hears of a process that ended before its time. */
  readonly onEnd?: (how: ComputeEnd) => void;
}

/** `died`: by itself, or killed from outside; `hung`: killed for want of progress. */
export const COMPUTE_ENDS = ['died', 'hung'] as const;
export type ComputeEnd = (typeof COMPUTE_ENDS)[number];

export interface AttemptOptions<K extends WorkKind> {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ProgressOf<K>) => void;
  /** Commits a checkpoint in the middle of an epoch. */
  readonly onStep?: (draft: StepDraft) => Promise<void>;
}

interface Attempt {
  readonly resolve: (result: ResultOf<WorkKind>) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: (progress: ProgressOf<WorkKind>) => void;
  readonly onStep: (draft: StepDraft) => Promise<void>;
  /** Called when training has stopped at a batch boundary. */
  onPaused: () => void;
  progressAtMs: number;
}

/**
 * Owns the compute process of one device: starts it, sends it shards, watches its progress, and replaces it when it
 * dies or hangs. A native crash or an endless decode therefore never takes the holder of the job's lock with it.
 */
export class ComputeHost {
  readonly #options: ComputeHostOptions;
  readonly #attempts = new Map<string, Attempt>();
  #child: ChildProcess | null = null;
  /** Replaced as soon as nothing is attempted in it: TensorFlow.js loses native memory in long training. */
  #worn: ChildProcess | null = null;
  #watchdog: NodeJS.Timeout | null = null;
  #stderrTail = '';
  #closed = false;
  #facts: ComputeFacts | null = null;
  /** Last reported event loop delay of the compute process, 99th percentile. */
  eventLoopDelayP99Ms = 0;

  constructor(options: ComputeHostOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What the process last told of itself; null until it has, and where there is none. */
  get facts(): (ComputeFacts & { readonly pid: number }) | null {
    const { pid } = this;
    return pid === undefined || this.#facts === null ? null : { pid, ...this.#facts };
  }

  /** Starts the process ahead of the first shard. */
  start(): void {
    this.#running();
  }

  /**
   * Does one attempt in the compute process.
   * @throws ImagemillError COMPUTE_HUNG, COMPUTE_DIED, or what the attempt failed with; the signal's reason on abort
   */
  async run<K extends WorkKind>(kind: K, task: TaskOf<K>, options: AttemptOptions<K>): Promise<ResultOf<K>> {
    options.signal.throwIfAborted();
    const child = this.#running();
    const abort = () => this.#send(child, { type: 'abort', token: task.token });
    options.signal.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise<ResultOf<K>>((resolve, reject) => {
        this.#attempts.set(task.token, {
          resolve,
          reject,
          onProgress: options.onProgress,
          onStep: options.onStep ?? (() => Promise.resolve()),
          onPaused: () => {},
          progressAtMs: Date.now(),
        });
        this.#send(child, { type: 'start', kind, task } as StartMessage);
      });
    } catch (error) {
      options.signal.throwIfAborted();
      throw error;
    } finally {
      options.signal.removeEventListener('abort', abort);
      this.#attempts.get(task.token)?.onPaused();
      this.#attempts.delete(task.token);
      // Of an epoch's state, its checkpoint is all that the next one needs.
      if (kind === 'train' && this.#options.engine === 'tensorflow') this.#worn = child;
      if (this.#worn === this.#child && this.#attempts.size === 0) this.#retire();
    }
  }

  /** Asks a training attempt to stop at its next batch boundary; resolves when it has, or has ended. */
  async pause(token: string): Promise<void> {
    const attempt = this.#attempts.get(token);
    if (attempt === undefined || this.#child === null) return;
    const paused = new Promise<void>((resolve) => (attempt.onPaused = resolve));
    this.#send(this.#child, { type: 'pause', token });
    await paused;
  }

  /** Lets a paused attempt go on. */
  resume(token: string): void {
    if (this.#child !== null) this.#send(this.#child, { type: 'resume', token });
  }

  /** Ends the process at once; attempts in progress are rejected. What they wrote without a commit does not count. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child === null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  #running(): ChildProcess {
    if (this.#closed) throw new ImagemillError('SHUTDOWN', 'the worker is stopping');
    this.#child ??= this.#spawn();
    return this.#child;
  }

  #spawn(): ChildProcess {
    const { device, engine, logger } = this.#options;
    const { path, execArgv } = entryPoint('./compute-main', import.meta.url);
    const child = fork(path, ['--device', device, '--engine', engine], {
      execArgv: [...execArgv],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: computeEnvironment(this.#options, process.env),
    });
    this.#stderrTail = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderrTail = (this.#stderrTail + chunk.toString()).slice(-STDERR_TAIL_CHARS);
    });
    // What a native library says may quote a model: it must not pass for a line of the log.
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (isGreeting(line, process.env)) return;
        process.stderr.write(`compute: ${printableLine(line)}\n`);
      });
    }
    child.on('message', (message) => this.#receive(message as FromCompute));
    child.once('error', (error) => this.#ended(child, error.message));
    child.once('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`));
    this.#watchdog ??= setInterval(
      () => this.#checkProgress(),
      this.#options.watchdogMs / WATCHDOG_CHECKS_PER_LIMIT,
    );
    this.#watchdog.unref();
    logger.debug({ pid: child.pid, device, engine }, 'compute process started');
    return child;
  }

  /** Ends an idle process; the next attempt starts another. */
  #retire(): void {
    const child = this.#child;
    this.#child = null;
    this.#worn = null;
    this.#facts = null;
    child?.kill('SIGKILL');
  }

  #send(child: ChildProcess, message: ToCompute): void {
    // A process that is gone has rejected its attempts, or is about to.
    if (child.connected) child.send(message, () => {});
  }

  #receive(message: FromCompute): void {
    if (message.type === 'pulse') {
      this.eventLoopDelayP99Ms = message.eventLoopDelayP99Ms;
      this.#facts = message;
      return;
    }
    if (message.type === 'ready') return;
    if (message.type === 'notice') {
      this.#options.logger.warn({ pid: this.pid }, message.text);
      return;
    }
    const attempt = this.#attempts.get(message.token);
    if (attempt === undefined) return;
    attempt.progressAtMs = Date.now();
    switch (message.type) {
      case 'alive':
        return;
      case 'progress':
        attempt.onProgress(message.progress);
        return;
      case 'step':
        void this.#commit(message.token, attempt, message.draft);
        return;
      case 'paused':
        attempt.onPaused();
        return;
      case 'done':
        attempt.resolve(message.result);
        return;
      case 'failed':
        attempt.reject(new ImagemillError(message.code, message.message));
    }
  }

  async #commit(token: string, attempt: Attempt, draft: StepDraft): Promise<void> {
    const answer = (error?: WireError) => {
      if (this.#child === null) return;
      this.#send(this.#child, { type: 'committed', token, ...(error === undefined ? {} : { error }) });
    };
    try {
      await attempt.onStep(draft);
      answer();
    } catch (error) {
      const { code, message } = asImagemillError(error);
      answer({ code, message });
    }
  }

  #checkProgress(): void {
    const { watchdogMs, logger } = this.#options;
    const now = Date.now();
    const hung = [...this.#attempts].filter(([, { progressAtMs }]) => now - progressAtMs > watchdogMs);
    if (hung.length === 0) return;
    const tokens = hung.map(([token]) => token);
    logger.error({ pid: this.pid, watchdogMs, tokens }, 'compute process made no progress and is killed');
    for (const [, attempt] of hung) {
      attempt.reject(
        new ImagemillError(
          'COMPUTE_HUNG',
          `expected progress within ${watchdogMs} ms, got none; the compute process was killed`,
        ),
      );
    }
    const child = this.#child;
    child?.kill('SIGKILL');
    // Its exit may take a while, and what is attempted from now on must not be given to it.
    if (child !== null) this.#ended(child, 'killed, as it made no progress', 'hung');
  }

  #ended(child: ChildProcess, how: string, end: ComputeEnd = 'died'): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#facts = null;
    if (!this.#closed) this.#options.onEnd?.(end);
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#watchdog = null;
    const lines = this.#stderrTail.split('\n').filter((line) => !isGreeting(line, process.env));
    const detail = lastWords(lines.join('\n'));
    const error = this.#closed
      ? new ImagemillError('SHUTDOWN', 'the worker is stopping')
      : new ImagemillError('COMPUTE_DIED', `the compute process ended (${how}) ${detail}`.trim());
    for (const attempt of this.#attempts.values()) attempt.reject(error);
  }
}
