import type { EpochCommit, StepCommit, TrainProgress, TrainingTotals } from '../../contract/training.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { StagedMicroBatch, TrainedSlab } from '../engine/trainer-thread.ts';
import type { BatchFacts } from '../engine/trainer-protocol.ts';
import type { CheckpointHeader } from '../model/checkpoint.ts';

/** The device, as an epoch sees it. Requests are done in order. */
export interface TrainingDevice {
  /** Whether it mirrors images itself. */
  readonly mirrors: boolean;
  /** Hands over a micro-batch that is trained on next; the device may take it up while it trains on another. */
  stage(slab: ArrayBuffer, batch: BatchFacts): StagedMicroBatch;
  evaluate(slab: ArrayBuffer, labels: Int32Array, count: number): Promise<TrainedSlab>;
  /** The state after the requests so far, as a safetensors file. */
  checkpoint(header: CheckpointHeader): Promise<Uint8Array>;
}

/** What an attempt made, without what only the committing process knows. */
type Draft<C> = Omit<C, 'schema' | 'run' | 'token' | 'worker' | 'committedAt'>;
export type StepDraft = Draft<StepCommit>;
export type EpochDraft = Draft<EpochCommit>;

/** One attempt at one epoch. */
export interface EpochTask {
  readonly epoch: number;
  /** Steps that are done, and what they summed up to: the device holds the state after them. */
  readonly from: { readonly step: number; readonly totals: TrainingTotals };
  /** Validation top-1 errors of the epochs before (training errors without a validation split). */
  readonly errorsBefore: readonly number[];
  /** Names the attempt; part of every key it writes. */
  readonly token: string;
  /** The run's directory. */
  readonly out: ObjectStore;
  /** Aborted when the attempt shall write a checkpoint of the steps that are done, and end. */
  readonly stopping: AbortSignal;
  /** Resolves when the device is free for this epoch: at once, unless more urgent work has it, or it shall stop. */
  readonly turn: () => Promise<void>;
  onProgress(progress: TrainProgress): void;
  /** Makes a checkpoint count; rejects where it could not be committed. */
  commitStep(draft: StepDraft): Promise<void>;
}
