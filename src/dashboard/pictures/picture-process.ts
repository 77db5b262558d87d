import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { entryPoint } from '../../config/entry-point.ts';
import { ERROR_CATALOGUE, ImageError, ImagemillError, type ItemErrorCode } from '../../contract/errors.ts';
import { lastWords } from '../../telemetry/last-words.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { printableLine } from '../../telemetry/printable.ts';
import { childEnvironment } from './child-environment.ts';
import { patienceOf, taskLimitMs, type PictureLimits } from './picture-limits.ts';
import type { FromPictures, Picture, PictureTask, ToPictures } from './protocol.ts';

/** Threads of libuv beside the decoding ones: file reads, name look-ups. */
const SPARE_POOL_THREADS = 2;
const STDERR_TAIL_CHARS = 2_000;
/** One may be an accident, as when memory runs out for a moment. */
const FAILED_STARTS_MAX = 2;

export interface PictureProcessOptions {
  /** What the process is told of it is said in `childEnvironment`. */
  readonly environment: NodeJS.ProcessEnv;
  readonly limits: PictureLimits;
  readonly logger: Logger;
}

export interface PictureRequest {
  readonly picture: Promise<Picture>;
  readonly cancel: (reason: unknown) => boolean;
}

interface Request {
  readonly task: PictureTask;
  readonly resolve: (picture: Picture) => void;
  readonly reject: (error: unknown) => void;
  /** Whether it was in a process that died or stood still; then it is tried once more, and alone. */
  suspect: boolean;
}

interface Running {
  readonly request: Request;
  readonly timer: NodeJS.Timeout;
}

/**
 * Owns the process in which images are decoded: starts it with the first request, ends it when there are none, and
 * replaces it when it dies or stands still. Which of the requests in it was to blame nobody can tell: each is tried once
 * more, with no other beside it, so that the innocent are answered and the guilty one fails alone.
 */
export class PictureProcess {
  readonly #options: PictureProcessOptions;
  readonly #queue: Request[] = [];
  readonly #suspects: Request[] = [];
  readonly #running = new Map<number, Running>();
  #child: ChildProcess | null = null;
  #isReady = false;
  #failedStarts = 0;
  #startTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #stderrTail = '';
  #lastId = 0;
  #closed = false;

  constructor(options: PictureProcessOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * @returns the picture, and what takes the request back while it waits (then `true`, and it is rejected)
   * @throws ImageError IMAGE_CRASHED, IMAGE_TIMEOUT for a thumbnail, ImagemillError COMPUTE_DIED, COMPUTE_HUNG for
   *   others; PICTURES_BUSY, SHUTDOWN; what the task fails with
   */
  request(task: PictureTask): PictureRequest {
    const { queued } = this.#options.limits;
    let cancel = (_reason: unknown): boolean => false;
    const picture = new Promise<Picture>((resolve, reject) => {
      if (this.#closed) throw stopping();
      if (this.#queue.length + this.#suspects.length >= queued) {
        const message = `expected at most ${queued} pictures to wait for, got one more`;
        throw new ImagemillError('PICTURES_BUSY', message);
      }
      const request: Request = { task, resolve, reject, suspect: false };
      cancel = (reason) => {
        const waited = remove(this.#queue, request) || remove(this.#suspects, request);
        if (waited) reject(reason);
        return waited;
      };
      this.#queue.push(request);
      this.#pump();
    });
    return { picture, cancel: (reason) => cancel(reason) };
  }

  /** Ends the process at once; requests are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    const exited = child === null ? null : once(child, 'exit');
    this.#rejectWaiting(stopping());
    for (const { request, timer } of this.#running.values()) {
      clearTimeout(timer);
      request.reject(stopping());
    }
    this.#running.clear();
    this.#drop();
    await exited;
  }

  #pump(): void {
    clearTimeout(this.#idleTimer);
    if (this.#queue.length + this.#suspects.length === 0) {
      const { idleMs } = this.#options.limits;
      if (this.#running.size === 0) this.#idleTimer = setTimeout(() => this.#drop(), idleMs).unref();
      return;
    }
    this.#child ??= this.#spawn();
    const child = this.#child;
    if (!this.#isReady) return;
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#start(child, next);
  }

  /** The request whose turn it is, unless it has to wait. */
  #next(): Request | undefined {
    const running = this.#running.size;
    if (this.#suspects.length > 0) return running === 0 ? this.#suspects.shift() : undefined;
    for (const { request } of this.#running.values()) if (request.suspect) return undefined;
    return running < this.#options.limits.concurrency ? this.#queue.shift() : undefined;
  }

  #start(child: ChildProcess, request: Request): void {
    const id = (this.#lastId += 1);
    const timer = setTimeout(() => this.#overdue(child, id), taskLimitMs(request.task, this.#options.limits));
    this.#running.set(id, { request, timer });
    const message: ToPictures = { id, task: request.task };
    // To a process that is gone nothing can be sent; its exit is about to be told.
    if (child.connected) child.send(message, () => {});
  }

  #receive(child: ChildProcess, message: FromPictures): void {
    if (child !== this.#child) return;
    if (message.type === 'ready') {
      this.#isReady = true;
      this.#failedStarts = 0;
      clearTimeout(this.#startTimer);
    } else {
      const running = this.#running.get(message.id);
      this.#running.delete(message.id);
      clearTimeout(running?.timer);
      if (message.type === 'failed') running?.request.reject(faultOf(message.code, message.message));
      // A copy: what came through the channel may be a view of a larger buffer.
      else running?.request.resolve({ ...message.picture, bytes: new Uint8Array(message.picture.bytes) });
    }
    this.#pump();
  }

  #overdue(child: ChildProcess, id: number): void {
    const { task } = this.#running.get(id)?.request ?? {};
    if (task === undefined) return;
    const limitMs = taskLimitMs(task, this.#options.limits);
    this.#options.logger.warn(
      { pid: child.pid, task, limitMs },
      'pictures: the process stands still and is killed',
    );
    if (this.#running.size === 1) {
      const message = `expected a picture within ${limitMs} ms, got none; its process was killed`;
      this.#running
        .get(id)
        ?.request.reject(
          task.kind === 'thumbnail'
            ? new ImageError('IMAGE_TIMEOUT', message)
            : new ImagemillError('COMPUTE_HUNG', message),
        );
      this.#running.delete(id);
    }
    this.#ended(child, `killed, as it made no picture within ${limitMs} ms`);
  }

  #ended(child: ChildProcess, how: string): void {
    if (child !== this.#child) return;
    const wasReady = this.#isReady;
    this.#drop();
    const reason = `the process that makes pictures ended (${how}) ${printableLine(lastWords(this.#stderrTail))}`;
    this.#options.logger.warn({ pid: child.pid, how }, 'pictures: the process is gone');
    if (!wasReady && (this.#failedStarts += 1) >= FAILED_STARTS_MAX) {
      this.#failedStarts = 0;
      this.#rejectWaiting(new ImagemillError('COMPUTE_DIED', reason.trim()));
    }
    for (const { request, timer } of this.#running.values()) {
      clearTimeout(timer);
      if (request.suspect) request.reject(deathOf(request.task, reason.trim()));
      else {
        request.suspect = true;
        this.#suspects.push(request);
      }
    }
    this.#running.clear();
    this.#pump();
  }

  #drop(): void {
    clearTimeout(this.#startTimer);
    clearTimeout(this.#idleTimer);
    this.#child?.kill('SIGKILL');
    this.#child = null;
    this.#isReady = false;
  }

  #rejectWaiting(error: ImagemillError): void {
    for (const { reject } of [...this.#suspects.splice(0), ...this.#queue.splice(0)]) reject(error);
  }

  #spawn(): ChildProcess {
    const { environment, limits, logger } = this.#options;
    const { concurrency, heapMib, startMs } = limits;
    const { path, execArgv } = entryPoint('./picture-main', import.meta.url);
    const args = ['--patience', JSON.stringify(patienceOf(limits)), '--concurrency', String(concurrency)];
    const child = fork(path, args, {
      execArgv: [...execArgv, `--max-old-space-size=${heapMib}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...childEnvironment(environment),
        UV_THREADPOOL_SIZE: String(concurrency + SPARE_POOL_THREADS),
      },
    });
    this.#stderrTail = '';
    // What a native library says may quote an image; of a process that lives nobody needs to know it.
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderrTail = (this.#stderrTail + chunk.toString()).slice(-STDERR_TAIL_CHARS);
    });
    child.on('message', (message) => this.#receive(child, message as FromPictures));
    child.once('error', (error) => this.#ended(child, error.message));
    child.once('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`));
    this.#startTimer = setTimeout(() => this.#ended(child, `not ready within ${startMs} ms`), startMs);
    logger.debug({ pid: child.pid }, 'pictures: process started');
    return child;
  }
}

function remove(requests: Request[], request: Request): boolean {
  const place = requests.indexOf(request);
  if (place === -1) return false;
  requests.splice(place, 1);
  return true;
}

function faultOf(code: keyof typeof ERROR_CATALOGUE, message: string): ImagemillError {
  const isOfItem = ERROR_CATALOGUE[code].scope === 'item';
  return isOfItem ? new ImageError(code as ItemErrorCode, message) : new ImagemillError(code, message);
}

function deathOf({ kind }: PictureTask, reason: string): ImagemillError {
  if (kind !== 'thumbnail') return new ImagemillError('COMPUTE_DIED', reason);
  return new ImageError('IMAGE_CRASHED', `with this image alone, ${reason}`);
}

function stopping(): ImagemillError {
  return new ImagemillError('SHUTDOWN', 'the dashboard is stopping');
}
