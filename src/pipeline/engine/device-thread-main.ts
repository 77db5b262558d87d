/** Entry of a device thread: opens a model, classifies one slab after another, sends slabs back. */
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import { ImagemillError } from '../../contract/errors.ts';
import {
  encodeError,
  type ClassifyRequest,
  type DeviceThreadReply,
  type DeviceThreadStart,
} from './device-protocol.ts';
import type { Classification, Classifier, EngineName } from './engine.ts';
import { openFromCard } from './load-model.ts';

/** Engines load their library only where they are used. */
const ENGINE_LOADERS: Record<EngineName, (start: DeviceThreadStart) => Promise<Classifier>> = {
  onnxruntime: async (start) => {
    const { model } = start;
    const graph = 'onnx' in model ? model : openFromCard(model.bytes, model.card).compile(model.compile);
    const { OnnxruntimeClassifier } = await import('./onnxruntime/classifier.ts');
    return OnnxruntimeClassifier.create(graph, start);
  },
  tensorflow: async (start) => {
    const { model, device, tensorflowDirectory } = start;
    if ('onnx' in model) throw new ImagemillError('INTERNAL', "expected a model's file, got a graph");
    const { card, source } = openFromCard(model.bytes, model.card);
    if (source.kind === 'onnx') {
      throw new ImagemillError(
        'ENGINE_UNAVAILABLE',
        `${card.uri}: expected AlexNet weights for the engine tensorflow, got an ONNX graph, which a worker with --engine onnxruntime runs`,
      );
    }
    const { loadLibrary } = await import('./tensorflow/load-library.ts');
    const { TensorflowClassifier } = await import('./tensorflow/classifier.ts');
    const { architecture, weights } = source;
    const { preprocessing } = card;
    const runtime = loadLibrary({ device, tensorflowDirectory });
    return new TensorflowClassifier(
      runtime,
      { architecture, weights, preprocessing, options: model.compile },
      (text) => reply({ kind: 'notice', text }),
    );
  },
};

function reply(message: DeviceThreadReply, transfer: Transferable[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function buffersOf({ ids, scores, embeddings }: Classification): ArrayBuffer[] {
  return [ids, scores, embeddings].flatMap((array) =>
    array?.buffer instanceof ArrayBuffer ? [array.buffer] : [],
  );
}

async function classify(classifier: Classifier, request: ClassifyRequest): Promise<void> {
  const { id, slab, count } = request;
  try {
    const startedAtMs = performance.now();
    const classification = await classifier.classify(new Uint8Array(slab), count);
    const computeMs = performance.now() - startedAtMs;
    reply({ kind: 'classified', id, slab, classification, computeMs }, [slab, ...buffersOf(classification)]);
  } catch (error) {
    reply({ kind: 'failed', id, slab, error: encodeError(error) }, [slab]);
  }
}

async function main(start: DeviceThreadStart): Promise<void> {
  let classifier: Classifier;
  try {
    classifier = await ENGINE_LOADERS[start.engine](start);
  } catch (error) {
    reply({ kind: 'refused', error: encodeError(error) });
    return;
  }
  let last = Promise.resolve();
  parentPort?.on('message', (request: ClassifyRequest) => {
    last = last.then(() => classify(classifier, request));
  });
  reply({ kind: 'ready', graph: classifier.geometry });
}

await main(workerData as DeviceThreadStart);
