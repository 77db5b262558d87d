/** Messages between the owner of a trainer thread and the thread. */
import type { CheckpointHeader, ModelFacts } from '../model/checkpoint.ts';
import type { DeviceThreadOptions, ErrorMessage } from './device-protocol.ts';
import type { BatchStatistics, MicroBatch, TrainerSpec, TrainingPosition } from './trainer.ts';

/** Where the weights come from. */
export type InitialState =
  | { readonly kind: 'random' }
  /** A model file; a head for another number of classes is replaced by a random one. */
  | { readonly kind: 'model'; readonly bytes: Uint8Array; readonly where: string }
  | {
      readonly kind: 'checkpoint';
      readonly bytes: Uint8Array;
      readonly header: CheckpointHeader;
      readonly where: string;
    };

export interface TrainerThreadOptions extends DeviceThreadOptions {
  readonly spec: TrainerSpec;
  readonly facts: ModelFacts;
  readonly initial: InitialState;
}

/** What belongs to the pixels of a slab. */
export type BatchFacts = Omit<MicroBatch, 'images'>;

/** Has no reply, and does not wait for the requests before it. */
export interface StageMessage extends BatchFacts {
  readonly kind: 'stage';
  /** Names the micro-batch in later requests. */
  readonly id: number;
  readonly slab: ArrayBuffer;
}

/** Done in order. */
export type TrainerRequest =
  | {
      readonly kind: 'train';
      readonly staged: number;
      readonly position: TrainingPosition;
      readonly learningRate: number;
    }
  | { readonly kind: 'unstage'; readonly staged: number }
  | {
      readonly kind: 'evaluate';
      readonly slab: ArrayBuffer;
      readonly labels: Int32Array;
      readonly count: number;
    }
  | { readonly kind: 'checkpoint'; readonly header: CheckpointHeader };

export type ToTrainer =
  StageMessage | { readonly kind: 'request'; readonly id: number; readonly request: TrainerRequest };

export type TrainerResult =
  | { readonly kind: 'slab'; readonly slab: ArrayBuffer }
  | { readonly kind: 'statistics'; readonly statistics: BatchStatistics; readonly slab: ArrayBuffer }
  | { readonly kind: 'file'; readonly bytes: Uint8Array };

export type TrainerReply =
  | { readonly kind: 'ready' }
  /** In one line, what is done otherwise than asked; for the log. */
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'refused'; readonly error: ErrorMessage }
  | { readonly kind: 'done'; readonly id: number; readonly result: TrainerResult }
  | { readonly kind: 'failed'; readonly id: number; readonly error: ErrorMessage };
