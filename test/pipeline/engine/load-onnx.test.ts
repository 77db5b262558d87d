import { describe, expect, it } from 'vitest';
import { loadModel, type LoadOptions } from '../../../src/pipeline/engine/load-model.ts';
import { exportModel } from '../../../src/pipeline/engine/export-model.ts';
import { OnnxruntimeClassifier } from '../../../src/pipeline/engine/onnxruntime/classifier.ts';
import type { CompileOptions } from '../../../src/pipeline/model/onnx/classifier-ends.ts';
import { buildForeign, foreignLogits, type ForeignModel } from './foreign-models.ts';
import {
  CPU,
  noisePixels,
  readReference,
  referenceJson,
  relativeError,
  scoresByClass,
  softmax,
} from './support.ts';

const uri = 'model.onnx';
const ITEMS = 3;
const PREPROCESSING = { scale: 0.02, mean: [0.5, 0.25, 0.125], std: [1, 2, 4] } as const;

/** Scores by class of `items` rows of pixels, as many batches as it takes. */
async function classify(
  bytes: Uint8Array,
  pixels: Uint8Array,
  items: number,
  load: Partial<LoadOptions> = {},
  options: Partial<CompileOptions> = {},
): Promise<{ scores: number[]; embeddings: number[] }> {
  const model = await loadModel(bytes, { uri, ...load });
  const graph = model.compile({ topK: 100, batchSize: 8, crops: 1, embeddings: false, ...options });
  const classifier = await OnnxruntimeClassifier.create(graph, CPU);
  const rowSize = graph.height * graph.width * 3 * graph.cropsPerItem;
  const result = { scores: [] as number[], embeddings: [] as number[] };
  for (let start = 0; start < items; start += graph.batchSize) {
    const slab = new Uint8Array(graph.batchSize * rowSize);
    const count = Math.min(graph.batchSize, items - start);
    slab.set(pixels.subarray(start * rowSize, (start + count) * rowSize));
    const batch = await classifier.classify(slab, count);
    result.scores.push(...scoresByClass(batch, graph.topK));
    result.embeddings.push(...(batch.embeddings ?? []));
  }
  await classifier.close();
  return result;
}

/** Mean of each channel of one (8, 8, 3) image after `(pixel × scale − mean) / std`. */
function meanColour(image: Uint8Array, identity = false): number[] {
  return [0, 1, 2].map((channel) => {
    const values = image.filter((_, index) => index % 3 === channel);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return identity
      ? mean
      : (mean * PREPROCESSING.scale - (PREPROCESSING.mean[channel] ?? 0)) / (PREPROCESSING.std[channel] ?? 1);
  });
}

describe('foreign graphs', () => {
  const cases: [string, ForeignModel][] = [
    ['NCHW, symbolic batch, logits', {}],
    ['NHWC', { layout: 'nhwc' }],
    ['fixed batch', { batch: 2 }],
    ['fixed batch of one, NHWC', { batch: 1, layout: 'nhwc' }],
    ['symbolic size', { side: 'side' }],
    ['softmax inside', { head: 'softmax' }],
    ['softmax before trailing ones', { head: 'softmax-4d' }],
    ['softmax by hand, found by trying', { head: 'divided-softmax' }],
    ['float16', { type: 'float16' }],
    ['float16 with softmax, NHWC', { type: 'float16', head: 'softmax', layout: 'nhwc' }],
    [
      'opset 7, IR 3, constants as inputs',
      { opset: 7, irVersion: 3, constantsAsInputs: true, head: 'softmax' },
    ],
    ['opset 9', { opset: 9 }],
    ['opset 11', { opset: 11, head: 'divided-softmax' }],
    ['opset 18', { opset: 18 }],
    ['names that ours would have', { names: ['images', 'scores'] }],
    ['names that ours would have, crossed', { names: ['scores', 'ids'] }],
  ];
  it.each(cases)('%s: the scores are the softmax of what the network computes', async (_, model) => {
    const pixels = noisePixels(ITEMS * 192);
    const load = {
      preprocessing: { ...structuredClone(PREPROCESSING), crop: { height: 8, width: 8 } },
    } as Partial<LoadOptions>;
    const images = [0, 1, 2].map((item) => meanColour(pixels.subarray(item * 192, (item + 1) * 192)));
    const expected = images.flatMap((colour) => softmax(foreignLogits(colour)));
    const embeddings = model.head !== 'softmax-4d' && model.head !== 'divided-softmax';
    const result = await classify(buildForeign(model), pixels, ITEMS, load, { embeddings });
    const tolerance = model.type === 'float16' ? 5e-3 : 1e-5;
    expect(relativeError(result.scores, expected)).toBeLessThan(tolerance);
    if (embeddings) expect(relativeError(result.embeddings, images.flat())).toBeLessThan(tolerance);
  });

  it('feeds uint8 graphs the pixels as they are', async () => {
    const dim = noisePixels(192).map((value) => value >> 6);
    const { scores } = await classify(buildForeign({ type: 'uint8', layout: 'nhwc' }), dim, 1);
    expect(relativeError(scores, softmax(foreignLogits(meanColour(dim, true))))).toBeLessThan(1e-5);
  });

  it.each([7, 13, 18])('averages ten crops with opset %d', async (opset) => {
    const pixels = noisePixels(2 * 5 * 192);
    const load = { preprocessing: structuredClone(PREPROCESSING) } as unknown as Partial<LoadOptions>;
    const { scores } = await classify(buildForeign({ opset }), pixels, 2, load, { crops: 10, batchSize: 2 });
    // A mirror image has the same mean colour, so ten crops average as five.
    const expected = [0, 1].flatMap((item) => {
      const rows = [0, 1, 2, 3, 4].map((crop) =>
        softmax(
          foreignLogits(meanColour(pixels.subarray((item * 5 + crop) * 192, (item * 5 + crop + 1) * 192))),
        ),
      );
      return [0, 1, 2, 3].map((id) => rows.reduce((sum, row) => sum + (row[id] ?? Number.NaN) / 5, 0));
    });
    expect(relativeError(scores, expected)).toBeLessThan(1e-5);
  });

  it('describes itself, by its own metadata or by common keys', async () => {
    const metadata = { names: "{0: 'cat', 1: 'dog', 2: 'cow', 3: 'hen'}" };
    const { card } = await loadModel(buildForeign({ metadata, side: 'any' }), { uri });
    expect(card).toMatchObject({
      architecture: 'onnx',
      format: 'onnx',
      classes: 4,
      parameters: 29,
      labelsFrom: 'model',
    });
    expect(card).toMatchObject({ labels: ['cat', 'dog', 'cow', 'hen'], scores: 'logits', embeddingSize: 3 });
    expect(card.preprocessing.crop).toEqual({ height: 224, width: 224 });
    const fixed = await loadModel(buildForeign({ side: 56, head: 'softmax-4d' }), { uri });
    expect(fixed.card).toMatchObject({
      scores: 'probabilities',
      embeddingSize: null,
      labelsFrom: 'numbered',
    });
    expect(fixed.card.preprocessing).toMatchObject({
      resize: { kind: 'short-side', size: 64 },
      crop: { height: 56, width: 56 },
    });
  });

  it('survives export and import', async () => {
    const load = { labels: ['a', 'b', 'c', 'd'], preprocessing: { channelOrder: 'bgr' as const } };
    const model = await loadModel(buildForeign({ metadata: { note: 'kept' } }), { uri, ...load });
    const once = exportModel(model);
    const again = await loadModel(once, { uri });
    expect(again.card).toEqual({ ...model.card, digest: again.card.digest, labelsFrom: 'model' });
    expect(exportModel(again)).toHaveLength(once.length);
    expect(Buffer.from(once).includes('kept')).toBe(true);
  });

  const embeddings = { topK: 1, batchSize: 1, crops: 1, embeddings: true } as const;
  it('refuses embeddings of a graph that has no linear layer, and ten crops in a small fixed batch', async () => {
    const convolutional = await loadModel(buildForeign({ head: 'softmax-4d' }), { uri });
    expect(() => convolutional.compile(embeddings)).toThrow(
      'model.onnx: expected scores from a linear layer to take embeddings before it, got them from Softmax',
    );
    const single = await loadModel(buildForeign({ batch: 4 }), { uri });
    expect(() => single.compile({ ...embeddings, crops: 10 })).toThrow('got a graph with a fixed batch of 4');
  });

  const whole = buildForeign();
  it.each([
    ['MODEL_CORRUPT', 'not a complete ONNX file', whole.subarray(0, whole.length - 30), {}],
    ['MODEL_CORRUPT', 'runs on a batch of images; onnxruntime refuses', buildForeign({ opset: 9999 }), {}],
    ['MODEL_FORMAT_UNKNOWN', 'refers to another file for tensor "W"', buildForeign({ external: true }), {}],
    ['MODEL_FORMAT_UNKNOWN', 'opset 7 or newer, got 6', buildForeign({ opset: 6 }), {}],
    ['MODEL_NOT_A_CLASSIFIER', 'got data float (n, 3, 8)', buildForeign({ inputRank: 3 }), {}],
    [
      'MODEL_SHAPE_MISMATCH',
      'takes images of 8×8 pixels, got a crop of 9×8',
      whole,
      { preprocessing: { crop: { height: 8, width: 9 } } },
    ],
    [
      'MODEL_SHAPE_MISMATCH',
      'takes uint8 pixels as they are',
      buildForeign({ type: 'uint8' }),
      { preprocessing: { scale: 0.5 } },
    ],
    ['MODEL_LABELS_MISMATCH', 'expected 4 labels', whole, { labels: ['a'] }],
  ] as const)('refuses with %s: %s', async (code, text, bytes, load) => {
    await expect(loadModel(bytes, { uri, ...load })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(
        new RegExp(`^model\\.onnx: .*${text.replaceAll(/[()]/g, '\\$&')}`),
      ) as string,
    });
  });
});

describe('exports of torch.onnx', () => {
  const expected = referenceJson('onnx/scores.json') as Record<string, number[][]>;
  const images = 3;

  it.each(Object.keys(expected))('%s gives what PyTorch gives', async (name) => {
    const scores = expected[name] ?? [];
    const probabilities = name.includes('probabilities') ? scores : scores.map(softmax);
    const result = await classify(
      readReference(`onnx/${name}.onnx`),
      noisePixels(images * 16 * 16 * 3),
      images,
    );
    expect(relativeError(result.scores, probabilities.flat())).toBeLessThan(1e-4);
  });

  it.each([
    ['nchw-dynamic-logits-17', 'logits', 5],
    ['nchw-fixed-probabilities-11', 'probabilities', 5],
    ['nchw-inputs-as-initializers-9', 'logits', 5],
    ['convolutional-12', 'logits', null],
    ['matmul-9', 'logits', 3],
  ])('%s: %s, embeddings of %d', async (name, scores, embeddingSize) => {
    const { card } = await loadModel(readReference(`onnx/${name}.onnx`), { uri });
    expect(card).toMatchObject({ classes: 6, scores, embeddingSize });
  });
});
