/** A thread that owns a model under training. Native calls block it and nobody else. */
import type { Transferable, Worker } from 'node:worker_threads';
import { ImagemillError } from '../../contract/errors.ts';
import type { CheckpointHeader } from '../model/checkpoint.ts';
import { decodeError } from './device-protocol.ts';
import { ownBuffer, startThread } from './start-thread.ts';
import { MIRRORS_ON_DEVICE } from './engine.ts';
import type { BatchStatistics, TrainingPosition } from './trainer.ts';
import type {
  BatchFacts,
  InitialState,
  ToTrainer,
  TrainerReply,
  TrainerRequest,
  TrainerResult,
  TrainerThreadOptions,
} from './trainer-protocol.ts';

interface Pending {
  readonly resolve: (result: TrainerResult) => void;
  readonly reject: (error: ImagemillError) => void;
}

export interface TrainedSlab {
  readonly statistics: BatchStatistics;
  /** The slab that was sent, to be filled again. */
  readonly slab: ArrayBuffer;
}

/** A micro-batch that was handed over; to be trained on once, or released. */
export interface StagedMicroBatch {
  /**
   * Requests are done in order.
   * @throws ImagemillError ENGINE_FAILED; the slab is lost then
   */
  train(position: TrainingPosition, learningRate: number): Promise<TrainedSlab>;
  /** @returns the slab */
  release(): Promise<ArrayBuffer>;
}

export class TrainerThread {
  /** Whether images are mirrored here, see `MicroBatch.mirrored`. */
  readonly mirrors: boolean;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #ended: ImagemillError | null = null;

  /**
   * Starts a thread and waits until its weights and sessions are ready.
   * @param onNotice hears in one line of what is done otherwise than asked
   * @throws ImagemillError ENGINE_UNAVAILABLE, ENGINE_FAILED, CHECKPOINT_INVALID, MODEL_*
   */
  static async start(
    options: TrainerThreadOptions,
    onNotice: (text: string) => void = () => {},
  ): Promise<TrainerThread> {
    const initial = withOwnBuffer(options.initial);
    const transfer = initial.bytes === undefined ? [] : [initial.bytes.buffer];
    const worker = startThread('trainer-thread-main', { ...options, initial }, transfer);
    const thread = new TrainerThread(worker, MIRRORS_ON_DEVICE[options.engine]);
    try {
      await new Promise<void>((resolve, reject) => {
        worker.on('message', (reply: TrainerReply) => {
          if (reply.kind === 'ready') resolve();
          else if (reply.kind === 'refused') reject(decodeError(reply.error));
          else if (reply.kind === 'notice') onNotice(reply.text);
          else thread.#settle(reply);
        });
        const end = (reason: string): void => {
          const error = new ImagemillError('ENGINE_FAILED', `the trainer thread ended: ${reason}`);
          thread.#end(error);
          reject(error);
        };
        worker.on('error', (error) => end(error.message));
        worker.on('exit', (code) => end(`exit code ${code}`));
      });
      return thread;
    } catch (error) {
      await thread.terminate();
      throw error;
    }
  }

  private constructor(worker: Worker, mirrors: boolean) {
    this.mirrors = mirrors;
    this.#worker = worker;
  }

  /**
   * Hands over a micro-batch, at once, whatever the thread is asked to do before: its pixels are on their way to the
   * device while that trains on another one.
   * @param slab (microBatchSize, H, W, 3) uint8 NHWC, transferred there and, with the result, back
   */
  stage(slab: ArrayBuffer, batch: BatchFacts): StagedMicroBatch {
    const id = this.#nextId++;
    if (this.#ended === null) {
      this.#worker.postMessage({ kind: 'stage', id, slab, ...batch } satisfies ToTrainer, [slab]);
    }
    return {
      train: async (position, learningRate) =>
        statisticsOf(await this.#send({ kind: 'train', staged: id, position, learningRate }, [])),
      release: async () => slabOf(await this.#send({ kind: 'unstage', staged: id }, [])),
    };
  }

  /** Loss and correct items of a micro-batch, of which the first `count` items count. */
  async evaluate(slab: ArrayBuffer, labels: Int32Array, count: number): Promise<TrainedSlab> {
    return statisticsOf(await this.#send({ kind: 'evaluate', slab, labels, count }, [slab]));
  }

  /** The state after the requests so far, as a file. */
  async checkpoint(header: CheckpointHeader): Promise<Uint8Array> {
    const result = await this.#send({ kind: 'checkpoint', header }, []);
    if (result.kind !== 'file') throw new ImagemillError('INTERNAL', 'expected a checkpoint');
    return result.bytes;
  }

  /** Ends the thread after the native call it is in; open requests are rejected. */
  async terminate(): Promise<void> {
    this.#end(new ImagemillError('ENGINE_FAILED', 'the trainer thread was terminated'));
    await this.#worker.terminate();
  }

  #send(request: TrainerRequest, transfer: Transferable[]): Promise<TrainerResult> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ kind: 'request', id, request } satisfies ToTrainer, transfer);
    });
  }

  #settle(reply: Extract<TrainerReply, { id: number }>): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.kind === 'failed') pending?.reject(decodeError(reply.error));
    else pending?.resolve(reply.result);
  }

  #end(error: ImagemillError): void {
    this.#ended ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }
}

/** The file is moved to the thread, not copied: it may be half a gigabyte. */
function withOwnBuffer(initial: InitialState): InitialState & { readonly bytes?: Uint8Array<ArrayBuffer> } {
  return initial.kind === 'random' ? initial : { ...initial, bytes: ownBuffer(initial.bytes) };
}

function slabOf(result: TrainerResult): ArrayBuffer {
  if (result.kind === 'slab') return result.slab;
  throw new ImagemillError('INTERNAL', 'expected a slab');
}

function statisticsOf(result: TrainerResult): TrainedSlab {
  if (result.kind === 'statistics') return result;
  throw new ImagemillError('INTERNAL', 'expected statistics of a batch');
}
