/** Entry of a trainer thread: owns the weights and the sessions, does one request after another. */
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { ImagemillError } from '../../contract/errors.ts';
import { unreachable } from '../model/architecture.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../model/checkpoint.ts';
import { initialiseWeights } from '../model/init.ts';
import { startFromModel } from '../model/start-from-model.ts';
import { encodeError } from './device-protocol.ts';
import type { EngineName } from './engine.ts';
import type { MicroBatch, Trainer, TrainingState } from './trainer.ts';
import type {
  StageMessage,
  ToTrainer,
  TrainerReply,
  TrainerRequest,
  TrainerResult,
  TrainerThreadOptions,
} from './trainer-protocol.ts';

type CreateTrainer = (options: TrainerThreadOptions, state: TrainingState) => Promise<Trainer>;

/** Engines load their library only where they are used. */
const ENGINE_LOADERS: Record<EngineName, CreateTrainer> = {
  onnxruntime: async ({ spec, device, threads }, state) => {
    const { OnnxruntimeTrainer } = await import('./onnxruntime/trainer.ts');
    const { probeConvolutionForm } = await import('./onnxruntime/probe-convolutions.ts');
    const form = await probeConvolutionForm({ device, threads });
    return OnnxruntimeTrainer.create(spec, form, state, { device, threads });
  },
  tensorflow: async ({ spec, device, tensorflowDirectory }, state) => {
    const { loadLibrary } = await import('./tensorflow/load-library.ts');
    const { TensorflowTrainer } = await import('./tensorflow/trainer.ts');
    const runtime = loadLibrary({ device, tensorflowDirectory });
    const onNotice = (text: string): void => reply({ kind: 'notice', text });
    return new TensorflowTrainer(runtime, spec, state, { onNotice });
  },
};

function initialState({ spec, initial }: TrainerThreadOptions): TrainingState {
  const { architecture, seed } = spec;
  if (initial.kind === 'checkpoint') return decodeCheckpoint(initial.bytes, initial.header, initial.where);
  const random = initialiseWeights(architecture, seed);
  const weights =
    initial.kind === 'random' ? random : startFromModel(initial.bytes, initial.where, architecture, random);
  return { weights, velocities: new Map() };
}

function reply(message: TrainerReply, transfer: Transferable[] = []): void {
  parentPort?.postMessage(message, transfer);
}

/** A micro-batch that was handed over and not trained on yet. */
interface Staged {
  readonly slab: ArrayBuffer;
  readonly batch: MicroBatch;
}

class TrainerServer {
  readonly #trainer: Trainer;
  readonly #options: TrainerThreadOptions;
  readonly #staged = new Map<number, Staged>();

  constructor(trainer: Trainer, options: TrainerThreadOptions) {
    this.#trainer = trainer;
    this.#options = options;
  }

  stage({ id, slab, labels, colour, mirrored }: StageMessage): void {
    const batch = { images: new Uint8Array(slab), labels, colour, mirrored };
    this.#staged.set(id, { slab, batch });
    this.#trainer.stage(batch);
  }

  async work(request: TrainerRequest): Promise<TrainerResult> {
    const trainer = this.#trainer;
    switch (request.kind) {
      case 'train': {
        const { slab, batch } = this.#take(request.staged);
        const statistics = await trainer.train(batch, request.position, request.learningRate);
        return { kind: 'statistics', statistics, slab };
      }
      case 'unstage': {
        const { slab, batch } = this.#take(request.staged);
        trainer.unstage(batch);
        return { kind: 'slab', slab };
      }
      case 'evaluate': {
        const { slab, labels, count } = request;
        const statistics = await trainer.evaluate({ images: new Uint8Array(slab), labels }, count);
        return { kind: 'statistics', statistics, slab };
      }
      case 'checkpoint':
        return {
          kind: 'file',
          bytes: encodeCheckpoint(trainer.state(), request.header, this.#options.facts),
        };
      default:
        return unreachable(request);
    }
  }

  #take(id: number): Staged {
    const staged = this.#staged.get(id);
    if (staged === undefined) throw new ImagemillError('INTERNAL', `expected a staged micro-batch ${id}`);
    this.#staged.delete(id);
    return staged;
  }
}

function transferOf(result: TrainerResult): Transferable[] {
  const buffer = result.kind === 'file' ? result.bytes.buffer : result.slab;
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}

async function main(options: TrainerThreadOptions): Promise<void> {
  let trainer: Trainer;
  try {
    const create = ENGINE_LOADERS[options.engine];
    trainer = await create(options, initialState(options));
  } catch (error) {
    reply({ kind: 'refused', error: encodeError(error) });
    return;
  }
  const server = new TrainerServer(trainer, options);
  let last = Promise.resolve();
  async function serve(id: number, request: TrainerRequest): Promise<void> {
    try {
      const result = await server.work(request);
      reply({ kind: 'done', id, result }, transferOf(result));
    } catch (error) {
      reply({ kind: 'failed', id, error: encodeError(error) });
    }
  }
  parentPort?.on('message', (message: ToTrainer) => {
    // Also while a trainer waits for its device: that is what staging is for.
    if (message.kind === 'stage') server.stage(message);
    else last = last.then(() => serve(message.id, message.request));
  });
  reply({ kind: 'ready' });
}

if (workerData === null) throw new ImagemillError('INTERNAL', 'expected to be started as a thread');
await main(workerData as TrainerThreadOptions);
