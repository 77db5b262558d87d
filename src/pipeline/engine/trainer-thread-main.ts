/** Entry of a trainer thread: owns the weights and the sessions, does one request after another. */
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { ImagemillError } from '../../contract/errors.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../model/checkpoint.ts';
import { initialiseWeights } from '../model/init.ts';
import { startFromModel } from '../model/start-from-model.ts';
import { encodeError } from './device-protocol.ts';
import type { EngineName } from './engine.ts';
import type { Trainer, TrainingState } from './trainer.ts';
import type {
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

async function work(
  trainer: Trainer,
  request: TrainerRequest,
  { facts }: TrainerThreadOptions,
): Promise<TrainerResult> {
  if (request.kind === 'checkpoint') {
    return { kind: 'file', bytes: encodeCheckpoint(trainer.state(), request.header, facts) };
  }
  const { slab, labels } = request;
  const images = new Uint8Array(slab);
  const statistics =
    request.kind === 'train'
      ? await trainer.train(
          { images, labels, colour: request.colour },
          request.position,
          request.learningRate,
        )
      : await trainer.evaluate({ images, labels }, request.count);
  return { kind: 'statistics', statistics, slab };
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
  let last = Promise.resolve();
  async function serve(id: number, request: TrainerRequest): Promise<void> {
    try {
      const result = await work(trainer, request, options);
      reply({ kind: 'done', id, result }, transferOf(result));
    } catch (error) {
      reply({ kind: 'failed', id, error: encodeError(error) });
    }
  }
  parentPort?.on('message', ({ id, request }: { id: number; request: TrainerRequest }) => {
    last = last.then(() => serve(id, request));
  });
  reply({ kind: 'ready' });
}

if (workerData === null) throw new ImagemillError('INTERNAL', 'expected to be started as a thread');
await main(workerData as TrainerThreadOptions);
