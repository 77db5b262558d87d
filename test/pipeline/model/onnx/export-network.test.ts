import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { modelCard, type ModelCard } from '../../../../src/contract/model-card.ts';
import { loadModel } from '../../../../src/pipeline/engine/load-model.ts';
import { OnnxruntimeClassifier } from '../../../../src/pipeline/engine/onnxruntime/classifier.ts';
import { createSession } from '../../../../src/pipeline/engine/onnxruntime/session.ts';
import { parametersOf, type Architecture } from '../../../../src/pipeline/model/architecture.ts';
import { ARCHITECTURE_NAMES, createArchitecture } from '../../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../../src/pipeline/model/init.ts';
import { compileClassifier } from '../../../../src/pipeline/model/onnx/compile-classifier.ts';
import { exportOnnx } from '../../../../src/pipeline/model/onnx/export-network.ts';
import { writeSafetensors } from '../../../../src/pipeline/model/weights/safetensors.ts';
import { blockPixels, CPU, relativeError, runGraph } from '../../engine/support.ts';
import { cardOf, cheapWeights, narrow, normalise } from '../export-support.ts';

const IMAGES = 2;
const small = createArchitecture('alexnet-small', { classes: 10 });

async function runPlain(onnx: Uint8Array, input: Float32Array, shape: readonly number[]) {
  const { session, runtime } = await createSession(onnx, CPU);
  const results = await session.run({ input: new runtime.Tensor('float32', input, shape) });
  await session.release();
  expect(session.inputNames).toEqual(['input']);
  expect(session.outputNames).toEqual(['logits']);
  return results['logits'];
}

/** Logits of our own classifier graph. */
async function ownLogits(architecture: Architecture, card: ModelCard, pixels: Uint8Array) {
  const graph = compileClassifier({
    architecture,
    weights: cheapWeights(architecture),
    preprocessing: card.preprocessing,
    options: { topK: 5, batchSize: IMAGES, crops: 1, embeddings: false, rawScores: true },
  });
  const [, , logits] = await runGraph(graph, pixels, IMAGES);
  return logits ?? new Float32Array();
}

describe('exportOnnx', () => {
  it.each(ARCHITECTURE_NAMES)(
    '%s: a plain runtime gives the logits of our own graph, and our loader reads labels and preprocessing back',
    { timeout: 60_000 },
    async (name) => {
      const architecture = narrow(createArchitecture(name, { classes: 7 }));
      const card = cardOf(architecture);
      const onnx = exportOnnx({ architecture, weights: cheapWeights(architecture), card });
      const { height, width } = card.preprocessing.crop;
      const pixels = blockPixels(IMAGES, height);

      const input = normalise(pixels, card.preprocessing, 'nchw');
      const logits = await runPlain(onnx, input, [IMAGES, 3, height, width]);
      expect(logits?.dims).toEqual([IMAGES, 7]);
      const expected = await ownLogits(architecture, card, pixels);
      expect(relativeError(logits?.data as Float32Array, expected)).toBeLessThan(1e-5);
      expect(relativeError(expected.subarray(7), expected.subarray(0, 7))).toBeGreaterThan(1e-3);

      const { card: read } = await loadModel(onnx, { uri: 'exported.onnx' });
      expect(read).toMatchObject({
        labels: card.labels,
        labelsFrom: 'model',
        preprocessing: card.preprocessing,
        classes: 7,
        scores: 'logits',
        embeddingSize: card.embeddingSize,
      });
    },
  );

  it('is plain ONNX: opset 17, IR 8, no custom domain, torchvision names, a symbolic batch', () => {
    const architecture = narrow(createArchitecture('alexnet-2012', { classes: 3 }));
    const card = cardOf(architecture);
    const model = fromBinary(
      ModelProtoSchema,
      exportOnnx({ architecture, weights: cheapWeights(architecture), card }),
    );
    expect(model.irVersion).toBe(8n);
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([['', 17n]]);
    expect(new Set(model.graph?.node.map(({ domain }) => domain))).toEqual(new Set(['']));
    expect(model.functions).toEqual([]);
    const names = model.graph?.initializer.map((tensor) => tensor.name);
    expect(names).toEqual(expect.arrayContaining(parametersOf(architecture).map(({ name }) => name)));
    const dimensions = [model.graph?.input, model.graph?.output].map((ends) =>
      ends?.map(({ name, type }) => {
        const value = type?.value;
        const shape = value?.case === 'tensorType' ? value.value.shape?.dim : undefined;
        return [name, ...(shape ?? []).map((dimension) => dimension.value.value)];
      }),
    );
    expect(dimensions).toEqual([[['input', 'batch', 3n, 227n, 227n]], [['logits', 'batch', 3n]]]);
    expect(Object.fromEntries(model.metadataProps.map(({ key, value }) => [key, value]))).toEqual({
      'imagemill.architecture': 'alexnet-2012',
      'imagemill.labels': '["class 0","class 1","class 2"]',
      'imagemill.preprocessing': JSON.stringify(card.preprocessing),
    });
  });

  it('labels images as the weights do, for BGR models and other crops too', async () => {
    const weights = initialiseWeights(small, 3);
    const file = writeSafetensors(weights, {});
    const labels = Array.from({ length: 10 }, (_, index) => `label ${index}`);
    const preprocessing = { channelOrder: 'bgr', crop: { height: 63, width: 64 } } as const;
    const original = await loadModel(file, {
      uri: 'small.safetensors',
      labels,
      preprocessing: { ...preprocessing, std: [0.5, 0.6, 0.7] },
    });
    const onnx = exportOnnx({ architecture: small, weights, card: original.card });
    const exported = await loadModel(onnx, { uri: 'small.onnx' });
    expect(modelCard.decode(modelCard.encode(exported.card), 'card').labels).toEqual(labels);

    const pixels = blockPixels(4, 64).subarray(0, 4 * 63 * 64 * 3);
    const [first, second] = await Promise.all(
      [original, exported].map(async (model) => {
        const graph = model.compile({ topK: 3, batchSize: 4, crops: 1, embeddings: true });
        const classifier = await OnnxruntimeClassifier.create(graph, CPU);
        const result = await classifier.classify(pixels, 4);
        await classifier.close();
        return result;
      }),
    );
    expect([...(second?.ids ?? [])]).toEqual([...(first?.ids ?? [])]);
    expect(relativeError(second?.scores ?? [], first?.scores ?? [])).toBeLessThan(1e-5);
    expect(relativeError(second?.embeddings ?? [], first?.embeddings ?? [])).toBeLessThan(1e-5);
  });

  it('refuses weights that are missing', () => {
    const some = new Map([...initialiseWeights(small, 1)].slice(1));
    expect(() => exportOnnx({ architecture: small, weights: some, card: cardOf(small) })).toThrow(
      'features.0.weight: expected a tensor (16, 3, 5, 5), got none',
    );
  });
});
