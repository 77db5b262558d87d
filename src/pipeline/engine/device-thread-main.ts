/** Entry of the device thread: owns the session, classifies one slab after another, sends slabs back. */
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import {
  encodeError,
  type ClassifyRequest,
  type DeviceThreadReply,
  type DeviceThreadStart,
  type GraphGeometry,
} from './device-protocol.ts';
import type { Classification, Classifier, ClassifierGraph, EngineName } from './engine.ts';
import { compileFromCard } from './load-model.ts';

type CreateClassifier = (graph: ClassifierGraph, start: DeviceThreadStart) => Promise<Classifier>;

/** Engines load their library only where they are used. */
const ENGINE_LOADERS: Record<EngineName, CreateClassifier> = {
  onnxruntime: async (graph, start) => {
    const { OnnxruntimeClassifier } = await import('./onnxruntime/classifier.ts');
    return OnnxruntimeClassifier.create(graph, start);
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
  let geometry: GraphGeometry;
  try {
    const { model } = start;
    const { onnx, ...rest } =
      'onnx' in model ? model : compileFromCard(model.bytes, model.card, model.compile);
    geometry = rest;
    classifier = await ENGINE_LOADERS[start.engine]({ onnx, ...rest }, start);
  } catch (error) {
    reply({ kind: 'refused', error: encodeError(error) });
    return;
  }
  let last = Promise.resolve();
  parentPort?.on('message', (request: ClassifyRequest) => {
    last = last.then(() => classify(classifier, request));
  });
  reply({ kind: 'ready', graph: geometry });
}

await main(workerData as DeviceThreadStart);
