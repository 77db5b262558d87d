import { describe, expect, it } from 'vitest';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import type { CompileOptions } from '../../../src/pipeline/model/onnx/classifier-ends.ts';
import { compileClassifier } from '../../../src/pipeline/model/onnx/compile-classifier.ts';
import { OnnxruntimeClassifier } from '../../../src/pipeline/engine/onnxruntime/classifier.ts';
import {
  blockPixels,
  CPU,
  referenceJson,
  relativeError,
  runGraph,
  scoresByClass,
  softmax,
} from './support.ts';

interface Reference {
  readonly seed: number;
  readonly size: number;
  readonly classes: number;
  /** First and last four weights of the first and last weight tensor. */
  readonly firstWeights: readonly number[];
  readonly lastWeights: readonly number[];
  /** (images, classes). */
  readonly logits: readonly (readonly number[])[];
  /** (images, 16): the beginning of the penultimate activations. */
  readonly embedding: readonly (readonly number[])[];
}

const REFERENCES = referenceJson('reference.json') as Record<string, Reference>;
const IMAGES = 2;

describe.each(['alexnet-2012', 'alexnet-owt', 'alexnet-small'] as const)('%s', (name) => {
  const reference = REFERENCES[name];
  if (reference === undefined) throw new Error(`reference.json lacks ${name}`);

  it('gives the logits and embeddings of PyTorch to 1e-4', { timeout: 300_000 }, async () => {
    const architecture = createArchitecture(name, { classes: reference.classes });
    const weights = initialiseWeights(architecture, reference.seed);
    const tensors = [...weights.values()];
    expect([...(tensors[0]?.data.slice(0, 4) ?? [])]).toEqual(reference.firstWeights.map(Math.fround));
    expect([...(tensors.at(-2)?.data.slice(-4) ?? [])]).toEqual(reference.lastWeights.map(Math.fround));

    const options = { topK: 5, batchSize: 8, crops: 1, embeddings: true, rawScores: true } as const;
    const graph = compileClassifier({
      architecture,
      weights,
      preprocessing: architecture.preprocessing,
      options,
    });
    const pixels = blockPixels(IMAGES, reference.size);
    const [ids, scores, embedding, logits] = await runGraph(graph, pixels, IMAGES);
    expect(relativeError(logits ?? [], reference.logits.flat())).toBeLessThan(1e-4);
    const heads = reference.embedding.map((_, image) =>
      (embedding ?? []).slice(image * (graph.embeddingSize ?? 0)).slice(0, 16),
    );
    expect(
      relativeError(
        heads.flatMap((head) => [...head]),
        reference.embedding.flat(),
      ),
    ).toBeLessThan(1e-4);

    const best = reference.logits.map((row) =>
      softmax([...row])
        .map((score, id) => ({ id, score }))
        .toSorted((a, b) => b.score - a.score)
        .slice(0, 5),
    );
    expect([...(ids ?? [])]).toEqual(best.flat().map(({ id }) => id));
    expect(
      relativeError(
        scores ?? [],
        best.flat().map(({ score }) => score),
      ),
    ).toBeLessThan(1e-4);
  });
});

describe('a compiled classifier', () => {
  const architecture = createArchitecture('alexnet-small', { classes: 10 });
  const weights = initialiseWeights(architecture, 5);
  const pixels = blockPixels(3, 64);

  function compile(
    options: Partial<CompileOptions>,
    staticBatch = false,
    changes: object = {},
  ): ReturnType<typeof compileClassifier> {
    return compileClassifier({
      architecture,
      weights,
      staticBatch,
      preprocessing: { ...architecture.preprocessing, ...changes },
      options: { topK: 10, batchSize: 3, crops: 1, embeddings: true, ...options },
    });
  }

  it('takes short batches, symbolic or static, and gives each item the same scores', async () => {
    const whole = await OnnxruntimeClassifier.create(compile({}), CPU);
    const fixed = await OnnxruntimeClassifier.create(compile({}, true), CPU);
    const all = await whole.classify(pixels, 3);
    for (const classifier of [whole, fixed]) {
      const two = await classifier.classify(pixels, 2);
      expect([two.ids.length, two.scores.length, two.embeddings?.length]).toEqual([20, 20, 2048]);
      expect(relativeError(two.scores, all.scores.subarray(0, 20))).toBeLessThan(1e-6);
      expect([...two.ids]).toEqual([...all.ids.subarray(0, 20)]);
    }
    await expect(whole.classify(pixels, 4)).rejects.toThrow('expected 1 to 3 items in a batch, got 4');
    await expect(whole.classify(pixels.subarray(1), 3)).rejects.toThrow('expected a slab of 36864 bytes');
    await Promise.all([whole.close(), fixed.close()]);
  });

  it('averages ten crops: five and their mirror images', async () => {
    const crops = blockPixels(10, 64);
    const mirrored = mirror(crops, 64);
    const single = await OnnxruntimeClassifier.create(compile({ batchSize: 10 }), CPU);
    const ten = await OnnxruntimeClassifier.create(compile({ batchSize: 2, crops: 10 }), CPU);
    const plainRows = await single.classify(crops, 10);
    const mirroredRows = await single.classify(mirrored, 10);
    const plain = scoresByClass(plainRows, 10);
    const flipped = scoresByClass(mirroredRows, 10);
    const result = await ten.classify(crops, 2);
    const mean = (rows: readonly Float32Array[], item: number, size: number, index: number): number =>
      [0, 1, 2, 3, 4]
        .flatMap((crop) => rows.map((row) => row[(item * 5 + crop) * size + index] ?? Number.NaN))
        .reduce((sum, value) => sum + value / 10, 0);
    const expected = [0, 1].flatMap((item) =>
      Array.from({ length: 10 }, (_, id) => mean([plain, flipped], item, 10, id)),
    );
    expect(relativeError(scoresByClass(result, 10), expected)).toBeLessThan(1e-5);
    const embeddings = [plainRows.embeddings, mirroredRows.embeddings].flatMap((rows) => rows ?? []);
    const meanEmbedding = [0, 1].flatMap((item) =>
      Array.from({ length: 1024 }, (_, index) => mean(embeddings, item, 1024, index)),
    );
    expect(relativeError(result.embeddings ?? [], meanEmbedding)).toBeLessThan(1e-5);
    expect(relativeError(plain, flipped)).toBeGreaterThan(1e-3);
    await Promise.all([single.close(), ten.close()]);
  });

  it('swaps red and blue for models that want BGR, whose mean and std are BGR as well', async () => {
    const changes = { mean: [0.1, 0.2, 0.3], std: [0.5, 0.6, 0.7] };
    const swapped = Uint8Array.from(pixels, (_, index) => pixels[index - (index % 3) + 2 - (index % 3)] ?? 0);
    const [, rgb = []] = await runGraph(compile({}, false, changes), pixels, 3);
    const [, bgr = []] = await runGraph(compile({}, false, { ...changes, channelOrder: 'bgr' }), swapped, 3);
    const [, wrong = []] = await runGraph(compile({}, false, { ...changes, channelOrder: 'bgr' }), pixels, 3);
    expect(relativeError(bgr, rgb)).toBeLessThan(1e-6);
    expect(relativeError(wrong, rgb)).toBeGreaterThan(1e-3);
  });
});

/** (rows, size, size, 3) with every image mirrored left to right. */
function mirror(pixels: Uint8Array, size: number): Uint8Array {
  return Uint8Array.from(pixels, (_, index) => {
    const x = Math.floor(index / 3) % size;
    return pixels[index + (size - 1 - 2 * x) * 3] ?? 0;
  });
}
