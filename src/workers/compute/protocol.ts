/** Messages between a worker's control process and its compute process; both are always of one version. */
import type { ErrorCode } from '../../contract/errors.ts';
import type { ShardProgress } from '../../contract/jobs.ts';
import type { Part, WrittenObject } from '../../contract/ledger.ts';
import type { TrainProgress } from '../../contract/training.ts';
import type { EpochDraft, StepDraft } from '../../pipeline/training/epoch-task.ts';

/** What the compute process can be asked to do, with its progress and its result. */
export interface ComputeWork {
  readonly classify: { readonly task: ShardTask; readonly progress: ShardProgress; readonly result: Part };
  readonly prepare: { readonly task: ShardTask; readonly progress: ShardProgress; readonly result: Part };
  /** Does what an attempt at a shard would do with some of its items, and keeps nothing of it. */
  readonly probe: { readonly task: ProbeTask; readonly progress: ShardProgress; readonly result: null };
  readonly train: {
    readonly task: EpochTaskId;
    readonly progress: TrainProgress;
    readonly result: EpochDraft;
  };
  readonly publish: {
    readonly task: PublishTask;
    readonly progress: never;
    readonly result: WrittenObject;
  };
}

export type WorkKind = keyof ComputeWork;
export type TaskOf<K extends WorkKind> = ComputeWork[K]['task'];
export type ProgressOf<K extends WorkKind> = ComputeWork[K]['progress'];
export type ResultOf<K extends WorkKind> = ComputeWork[K]['result'];

/** One attempt at one shard. */
export interface ShardTask {
  /** The run's directory, as a URI. */
  readonly out: string;
  readonly shard: number;
  readonly token: string;
  /** Items that were found to take the process down: they become error rows unread. */
  readonly condemned?: readonly CondemnedItem[];
}

export interface CondemnedItem {
  /** Place of the item in its shard. */
  readonly index: number;
  readonly message: string;
}

export interface ProbeTask {
  readonly work: 'classify' | 'prepare';
  readonly out: string;
  readonly shard: number;
  readonly token: string;
  /** Items from here up to, and without, `end`; where there are none, a built-in harmless image. */
  readonly start: number;
  readonly end: number;
}

/** One attempt at one epoch. */
export interface EpochTaskId {
  readonly out: string;
  readonly epoch: number;
  readonly token: string;
}

/** Writes the model of a checkpoint where people look for it. */
export interface PublishTask {
  readonly out: string;
  /** Keys of the run's directory. */
  readonly checkpoint: string;
  readonly models: readonly string[];
  readonly token: string;
}

export type StartMessage = {
  [K in WorkKind]: { readonly type: 'start'; readonly kind: K; readonly task: TaskOf<K> };
}[WorkKind];

export type ToCompute =
  | StartMessage
  /** Stops an attempt, training with a checkpoint; answered with `failed` as any other end. */
  | { readonly type: 'abort'; readonly token: string }
  /** Training stops at a batch boundary (answered with `paused`), and goes on. */
  | { readonly type: 'pause'; readonly token: string }
  | { readonly type: 'resume'; readonly token: string }
  /** Answer to `step`. */
  | { readonly type: 'committed'; readonly token: string; readonly error?: WireError };

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
}

export type FromCompute =
  | { readonly type: 'ready' }
  /** Something moved: an image was fetched, a batch labelled or trained on, a part of the model read. */
  | { readonly type: 'progress'; readonly token: string; readonly progress: ProgressOf<WorkKind> }
  /** An attempt without figures to report waits for its store, which has time limits of its own. */
  | { readonly type: 'alive'; readonly token: string }
  /** A checkpoint is written and shall be committed; answered with `committed`. */
  | { readonly type: 'step'; readonly token: string; readonly draft: StepDraft }
  | { readonly type: 'paused'; readonly token: string }
  /** In one line, what is done otherwise than asked; for the log. */
  | { readonly type: 'notice'; readonly text: string }
  | { readonly type: 'done'; readonly token: string; readonly result: ResultOf<WorkKind> }
  | ({ readonly type: 'failed'; readonly token: string } & WireError)
  | ({ readonly type: 'pulse' } & ComputeFacts);

/** What the compute process tells of itself, once a second. */
export interface ComputeFacts {
  /** How late its event loop ran, since it began and in the last 10 to 20 seconds. */
  readonly eventLoopDelayP99Ms: number;
  readonly recentDelayP99Ms: number;
  readonly residentBytes: number;
  /** Processor time of all its threads, since it began. */
  readonly cpuSeconds: number;
}
