/**
 * A thread that owns a session. Native calls block it and nobody else; slabs travel there and back by transfer,
 * without a copy.
 */
import type { Worker } from 'node:worker_threads';
import { ImagemillError } from '../../contract/errors.ts';
import {
  decodeError,
  type ClassifyRequest,
  type DeviceThreadOptions,
  type DeviceThreadReply,
  type DeviceThreadStart,
  type UncompiledModel,
} from './device-protocol.ts';
import type { Classification, ClassifierGeometry, ClassifierGraph } from './engine.ts';
import { ownBuffer, startThread } from './start-thread.ts';

export interface ClassifiedSlab {
  readonly classification: Classification;
  /** The slab that was sent, to be filled again. */
  readonly slab: ArrayBuffer;
  /** Of this batch alone, without its wait for others. */
  readonly computeMs: number;
}

interface Pending {
  readonly resolve: (result: ClassifiedSlab) => void;
  readonly reject: (error: ImagemillError) => void;
}

/** Thrown for a batch that failed: the slab comes back with the error. */
export class BatchError extends ImagemillError {
  readonly slab: ArrayBuffer;

  constructor(error: ImagemillError, slab: ArrayBuffer) {
    super(error.code, error.message, { cause: error });
    this.slab = slab;
  }
}

export class DeviceThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ready: Promise<ClassifierGeometry>;
  #graph: ClassifierGeometry | null = null;
  #nextId = 0;
  #ended: ImagemillError | null = null;

  /**
   * Starts a thread and waits until its session is ready.
   * @param model a graph, or a model's file that the thread compiles; its buffer is transferred and cannot be used again
   * @param onNotice hears in one line of what is done otherwise than asked
   * @throws ImagemillError ENGINE_UNAVAILABLE, ENGINE_FAILED; MODEL_DIGEST_CHANGED, MODEL_* for a file
   */
  static async start(
    model: ClassifierGraph | UncompiledModel,
    options: DeviceThreadOptions,
    onNotice: (text: string) => void = () => {},
  ): Promise<DeviceThread> {
    const thread = new DeviceThread(model, options, onNotice);
    try {
      thread.#graph = await thread.#ready;
      return thread;
    } catch (error) {
      await thread.terminate();
      throw error;
    }
  }

  private constructor(
    model: ClassifierGraph | UncompiledModel,
    options: DeviceThreadOptions,
    onNotice: (text: string) => void,
  ) {
    const bytes = ownBuffer('onnx' in model ? model.onnx : model.bytes);
    const start: DeviceThreadStart = {
      ...options,
      model: 'onnx' in model ? { ...model, onnx: bytes } : { ...model, bytes },
    };
    this.#worker = startThread('device-thread-main', start, [bytes.buffer]);
    this.#ready = new Promise((resolve, reject) => {
      this.#worker.on('message', (reply: DeviceThreadReply) => {
        if (reply.kind === 'ready') resolve(reply.graph);
        else if (reply.kind === 'refused') reject(decodeError(reply.error));
        else if (reply.kind === 'notice') onNotice(reply.text);
        else this.#settle(reply);
      });
      const end = (reason: string): void => {
        const error = new ImagemillError('ENGINE_FAILED', `the device thread ended: ${reason}`);
        this.#end(error);
        reject(error);
      };
      this.#worker.on('error', (error) => end(error.message));
      this.#worker.on('exit', (code) => end(`exit code ${code}`));
    });
  }

  get graph(): ClassifierGeometry {
    if (this.#graph === null) throw new ImagemillError('INTERNAL', 'the device thread is not ready yet');
    return this.#graph;
  }

  /**
   * Classifies a slab. Requests are served in order; the slab belongs to the thread until the promise settles.
   * @param slab (batchSize × cropsPerItem, H, W, 3) uint8 NHWC, transferred there and back
   * @param count items in the slab
   * @throws BatchError (an ImagemillError with the slab) ENGINE_FAILED for a failed batch; ImagemillError
   *   ENGINE_FAILED once the thread has ended
   */
  classify(slab: ArrayBuffer, count: number): Promise<ClassifiedSlab> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const request: ClassifyRequest = { id: this.#nextId++, slab, count };
      this.#pending.set(request.id, { resolve, reject });
      this.#worker.postMessage(request, [slab]);
    });
  }

  /** Ends the thread after the native call it is in; open requests are rejected. */
  async terminate(): Promise<void> {
    this.#end(new ImagemillError('ENGINE_FAILED', 'the device thread was terminated'));
    await this.#worker.terminate();
  }

  #settle(reply: Extract<DeviceThreadReply, { id: number }>): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.kind === 'failed') pending?.reject(new BatchError(decodeError(reply.error), reply.slab));
    else pending?.resolve(reply);
  }

  #end(error: ImagemillError): void {
    this.#ended ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }
}
