/** Messages between the owner of a device thread and the thread. */
import { ERROR_CATALOGUE, asImagemillError, ImagemillError, type ErrorCode } from '../../contract/errors.ts';
import type { ModelCard } from '../../contract/model-card.ts';
import type { CompileOptions } from '../model/onnx/classifier-ends.ts';
import type { Classification, ClassifierGeometry, ClassifierGraph, EngineName } from './engine.ts';

export interface DeviceThreadOptions {
  readonly engine: EngineName;
  /** `cpu`, `cuda:N` or `webgpu`. */
  readonly device: string;
  /** Threads that compute one operator. */
  readonly threads: number;
  /** Where setup:tensorflow builds; undefined: only what npm has installed. */
  readonly tensorflowDirectory?: string | undefined;
}

/** A model's file, to be compiled in the thread: that takes a second with large weights. */
export interface UncompiledModel {
  readonly bytes: Uint8Array;
  readonly card: ModelCard;
  readonly compile: CompileOptions;
}

/** `workerData` of the thread; the buffer of the graph or of the model's file is transferred. */
export interface DeviceThreadStart extends DeviceThreadOptions {
  readonly model: ClassifierGraph | UncompiledModel;
}

export interface ClassifyRequest {
  readonly id: number;
  readonly slab: ArrayBuffer;
  readonly count: number;
}

export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
}

export type DeviceThreadReply =
  | { readonly kind: 'ready'; readonly graph: ClassifierGeometry }
  /** In one line, what is done otherwise than asked; for the log. */
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'refused'; readonly error: ErrorMessage }
  | {
      readonly kind: 'classified';
      readonly id: number;
      readonly slab: ArrayBuffer;
      readonly classification: Classification;
      /** Of this batch alone, without its wait for others. */
      readonly computeMs: number;
    }
  | {
      readonly kind: 'failed';
      readonly id: number;
      readonly slab: ArrayBuffer;
      readonly error: ErrorMessage;
    };

export function encodeError(error: unknown): ErrorMessage {
  const { code, message } = asImagemillError(error);
  return { code, message };
}

export function decodeError({ code, message }: ErrorMessage): ImagemillError {
  return new ImagemillError(code in ERROR_CATALOGUE ? code : 'INTERNAL', message);
}
