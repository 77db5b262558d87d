import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { BoundedCache } from '../bounded-cache.ts';
import {
  DEFAULT_PICTURE_LIMITS,
  SIDE_PX_DEFAULT,
  SIDE_PX_MAX,
  type PictureLimits,
} from './picture-limits.ts';
import { PictureProcess, type PictureRequest } from './picture-process.ts';
import { pictureBytes, type Picture, type PictureTask } from './protocol.ts';

/** Images that are not tried again for a while. */
const CONDEMNED_MAX = 1_000;

export interface PictureHostOptions {
  /** Of the dashboard; the process that decodes gets what it needs of it: how to reach the store, and limits. */
  readonly environment: NodeJS.ProcessEnv;
  readonly logger: Logger;
  readonly limits?: Partial<PictureLimits>;
}

/** A picture that is being made, for everyone who asked for it. */
interface Wanted {
  readonly picture: Promise<Picture>;
  readonly cancel: PictureRequest['cancel'];
  waiting: number;
}

/**
 * Pictures of what runs read and learned, for the dashboard. Images are decoded in a process of their own, which may die
 * of them; they are always those of a run's own source, named by their place in its shards. The ledger is trusted: `out`
 * must come from the index of runs, never from a request.
 * An aborted signal rejects with its reason; nobody else's request is touched.
 * All methods throw ImagemillError USAGE for arguments out of range, RUN_NOT_FOUND, PICTURES_BUSY, SHUTDOWN, STORE_*,
 * COMPUTE_DIED, COMPUTE_HUNG.
 */
export class PictureHost {
  readonly #limits: PictureLimits;
  readonly #process: PictureProcess;
  readonly #cache: BoundedCache<Picture>;
  readonly #wanted = new Map<string, Wanted>();
  readonly #condemned = new Map<string, { readonly error: ImageError; readonly untilMs: number }>();

  constructor({ environment, logger, limits }: PictureHostOptions) {
    this.#limits = { ...DEFAULT_PICTURE_LIMITS, ...limits };
    this.#process = new PictureProcess({ environment, logger, limits: this.#limits });
    this.#cache = new BoundedCache(this.#limits.cacheBytes, pictureBytes);
  }

  /** Of the process that decodes; undefined where none is needed now. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /**
   * An image of a run that classifies, evaluates or prepares, fitted into a square, as WebP; small ones keep their size.
   * @param out the run's directory; of a generation, that of its nested run
   * @param index place of the item in its shard
   * @param sidePx of the square
   * @throws ImageError what is wrong with the image, as its row in `errors/` would say
   */
  async thumbnail(
    out: string,
    shard: number,
    index: number,
    sidePx = SIDE_PX_DEFAULT,
    signal?: AbortSignal,
  ): Promise<Picture> {
    checkRange('sidePx', sidePx, 1, SIDE_PX_MAX);
    checkRange('shard', shard, 0, Number.MAX_SAFE_INTEGER);
    checkRange('index', index, 0, Number.MAX_SAFE_INTEGER);
    return this.#get({ kind: 'thumbnail', out, shard, index, sidePx }, signal);
  }

  /**
   * The first layer's filters of a training run as PNG: of its newest epoch, or of its best model. Not kept, since the
   * next epoch has others.
   * @throws ImagemillError OBJECT_NOT_FOUND before the first epoch is done, MODEL_*
   */
  async filters(out: string, signal?: AbortSignal): Promise<Picture> {
    return this.#get({ kind: 'filters', out }, signal);
  }

  /**
   * A minibatch as the network sees it, as PNG, with the labels of its images.
   * @param epoch from 1
   * @param step from 0
   * @throws ImagemillError USAGE where the run has no such batch, DATASET_*
   */
  async minibatch(out: string, epoch: number, step: number, signal?: AbortSignal): Promise<Picture> {
    return this.#get({ kind: 'minibatch', out, epoch, step }, signal);
  }

  /** Ends the process; requests are rejected with SHUTDOWN. */
  close(): Promise<void> {
    return this.#process.close();
  }

  async #get(task: PictureTask, signal: AbortSignal | undefined): Promise<Picture> {
    signal?.throwIfAborted();
    const key = JSON.stringify(task);
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const condemned = this.#condemned.get(key);
    if (condemned !== undefined && condemned.untilMs > Date.now()) throw condemned.error;
    return this.#wait(key, this.#wanted.get(key) ?? this.#want(key, task), signal);
  }

  #want(key: string, task: PictureTask): Wanted {
    const { picture, cancel } = this.#process.request(task);
    const wanted: Wanted = { picture: this.#keep(key, task, picture), cancel, waiting: 0 };
    this.#wanted.set(key, wanted);
    const forget = (): void => this.#forget(key, wanted);
    wanted.picture.then(forget, forget);
    return wanted;
  }

  async #keep(key: string, task: PictureTask, request: Promise<Picture>): Promise<Picture> {
    try {
      const picture = await request;
      if (task.kind !== 'filters') this.#cache.set(key, picture);
      return picture;
    } catch (error) {
      this.#condemn(key, error);
      throw error;
    }
  }

  async #wait(key: string, wanted: Wanted, signal: AbortSignal | undefined): Promise<Picture> {
    wanted.waiting += 1;
    if (signal === undefined) return wanted.picture;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        wanted.waiting -= 1;
        reject(signal.reason);
        // One that is being made already is kept: it is as good as done.
        if (wanted.waiting === 0 && wanted.cancel(signal.reason)) this.#forget(key, wanted);
      };
      signal.addEventListener('abort', leave, { once: true });
      wanted.picture.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  }

  #forget(key: string, wanted: Wanted): void {
    if (this.#wanted.get(key) === wanted) this.#wanted.delete(key);
  }

  /** An image that took the process down, or nearly did, would do so at every reload of a page. */
  #condemn(key: string, error: unknown): void {
    if (!(error instanceof ImageError)) return;
    if (error.code !== 'IMAGE_CRASHED' && error.code !== 'IMAGE_TIMEOUT') return;
    this.#condemned.delete(key);
    this.#condemned.set(key, { error, untilMs: Date.now() + this.#limits.condemnedMs });
    const oldest = this.#condemned.keys().next().value;
    if (this.#condemned.size > CONDEMNED_MAX && oldest !== undefined) this.#condemned.delete(oldest);
  }
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ImagemillError(
    'USAGE',
    `expected ${name} to be an integer from ${least} to ${most}, got ${value}`,
  );
}
