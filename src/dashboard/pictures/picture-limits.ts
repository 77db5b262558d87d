import type { PictureTask } from './protocol.ts';

const MIB = 1024 * 1024;

/** What pictures may cost a dashboard. */
export interface PictureLimits {
  /** Pictures made at a time. */
  readonly concurrency: number;
  /** Requests that wait beside those. */
  readonly queued: number;
  /** From the moment the process has a request; beyond it the process is killed. */
  readonly thumbnailMs: number;
  readonly minibatchMs: number;
  /** Until a new process is ready. */
  readonly startMs: number;
  /** Without requests for this long the process is ended. */
  readonly idleMs: number;
  /** How long an image that killed or stopped the process is not tried again. */
  readonly condemnedMs: number;
  /** Pictures kept in memory. */
  readonly cacheBytes: number;
  /** JavaScript heap of the process; pixels are bounded by the limits of decoding. */
  readonly heapMib: number;
}

export const DEFAULT_PICTURE_LIMITS: PictureLimits = {
  concurrency: 4,
  queued: 200,
  thumbnailMs: 10_000,
  minibatchMs: 60_000,
  startMs: 30_000,
  idleMs: 60_000,
  condemnedMs: 600_000,
  cacheBytes: 64 * MIB,
  heapMib: 512,
};

export const SIDE_PX_DEFAULT = 160;
export const SIDE_PX_MAX = 1_024;

/** Of a time limit, the parts in which the process itself gives up: a slow store or image need not cost its life. */
const FETCH_SHARE = 0.4;
const DECODE_SHARE = 0.5;

export function taskLimitMs({ kind }: PictureTask, { thumbnailMs, minibatchMs }: PictureLimits): number {
  return kind === 'minibatch' ? minibatchMs : thumbnailMs;
}

/** How long the process waits for a store, and for one image to be decoded. */
export interface PatienceMs {
  readonly thumbnailFetchMs: number;
  readonly minibatchFetchMs: number;
  readonly decodeMs: number;
}

export function patienceOf({ thumbnailMs, minibatchMs }: PictureLimits): PatienceMs {
  return {
    thumbnailFetchMs: Math.ceil(thumbnailMs * FETCH_SHARE),
    // Reading and decoding take turns in it.
    minibatchFetchMs: Math.ceil(minibatchMs * (FETCH_SHARE + DECODE_SHARE)),
    decodeMs: Math.ceil(thumbnailMs * DECODE_SHARE),
  };
}
