import type { ErrorCode } from '../../contract/errors.ts';
import type { Part } from '../../contract/ledger.ts';

/** Messages between a worker's control process and its compute process; both are always of one version. */

/** One attempt at one shard. */
export interface ShardAttempt {
  /** The run's directory, as a URI. */
  readonly out: string;
  readonly shard: number;
  readonly token: string;
}

export type ToCompute =
  | ({ readonly type: 'classify' } & ShardAttempt)
  /** Stops an attempt; answered with `failed` as any other end. */
  | { readonly type: 'abort'; readonly token: string };

export type FromCompute =
  | { readonly type: 'ready' }
  /** Something moved: an image was fetched, a batch labelled, a part of the model read. */
  | { readonly type: 'progress'; readonly token: string; readonly items: number; readonly errors: number }
  | { readonly type: 'done'; readonly token: string; readonly part: Part }
  | { readonly type: 'failed'; readonly token: string; readonly code: ErrorCode; readonly message: string }
  /** Once a second: how late the event loop of the compute process runs. */
  | { readonly type: 'pulse'; readonly eventLoopDelayP99Ms: number };
