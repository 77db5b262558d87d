import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { modelCard, TORCHVISION_PREPROCESSING, type ModelCard } from '../../../src/contract/model-card.ts';
import { exportModel } from '../../../src/pipeline/engine/export-model.ts';
import { openFromCard, loadModel } from '../../../src/pipeline/engine/load-model.ts';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../src/pipeline/model/init.ts';
import { writeSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import { readReference } from './support.ts';

const small = createArchitecture('alexnet-small', { classes: 4 });
const weights = initialiseWeights(small, 1);
const bytes = writeSafetensors(weights, {});
const uri = 's3://models/small.safetensors';
const options = { topK: 2, batchSize: 4, crops: 1, embeddings: true } as const;

describe('loadModel', () => {
  it('describes weights by what they are', async () => {
    const { card } = await loadModel(bytes, { uri });
    expect(card).toEqual({
      schema: 'imagemill.model/1',
      uri,
      format: 'safetensors',
      architecture: 'alexnet-small',
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      classes: 4,
      parameters: 1_798_868,
      labels: ['0', '1', '2', '3'],
      labelsFrom: 'numbered',
      preprocessing: small.preprocessing,
      scores: 'logits',
      embeddingSize: 1024,
    });
    expect(modelCard.decode(modelCard.encode(card), 'card')).toEqual(card);
  });

  it('prefers what is asked for to what the file says, and that to the architecture', async () => {
    const own = { ...TORCHVISION_PREPROCESSING, crop: { height: 64, width: 64 } };
    const described = writeSafetensors(weights, {
      'imagemill.architecture': 'alexnet-small+tanh',
      'imagemill.labels': '["a","b","c","d"]',
      'imagemill.preprocessing': JSON.stringify(own),
    });
    const fromFile = await loadModel(described, { uri });
    expect(fromFile.card).toMatchObject({ architecture: 'alexnet-small+tanh', preprocessing: own });
    expect(fromFile.card).toMatchObject({ labels: ['a', 'b', 'c', 'd'], labelsFrom: 'model' });
    const asked = await loadModel(described, {
      uri,
      architecture: 'alexnet-small',
      labels: ['w', 'x', 'y', 'z'],
      preprocessing: { channelOrder: 'bgr' },
    });
    expect(asked.card).toMatchObject({ architecture: 'alexnet-small', labelsFrom: 'file' });
    expect(asked.card.preprocessing).toEqual({ ...own, channelOrder: 'bgr' });
  });

  it('survives export and import', async () => {
    const model = await loadModel(bytes, { uri, labels: ['a', 'b', 'c', 'd'], preprocessing: { scale: 1 } });
    const again = await loadModel(exportModel(model), { uri });
    const { digest: first, labelsFrom: _, ...before } = model.card;
    const { digest: second, labelsFrom, ...after } = again.card;
    expect(after).toEqual(before);
    expect(labelsFrom).toBe('model');
    expect(second).not.toBe(first);
    expect(Buffer.from(again.compile(options).onnx).equals(model.compile(options).onnx)).toBe(true);
  });

  it.each([
    ['MODEL_FORMAT_UNKNOWN', Buffer.from('hello, this is not a model'), {}],
    ['MODEL_FORMAT_UNKNOWN', Buffer.of(), {}],
    ['MODEL_CORRUPT', bytes.subarray(0, bytes.length - 100), {}],
    ['MODEL_LABELS_MISMATCH', bytes, { labels: ['only one'] }],
    ['MODEL_SHAPE_MISMATCH', bytes, { architecture: 'alexnet-owt' }],
    ['MODEL_SHAPE_MISMATCH', bytes, { preprocessing: { crop: { height: 128, width: 128 } } }],
    ['USAGE', bytes, { architecture: 'vgg' }],
    ['USAGE', bytes, { preprocessing: { std: [1, 0, 1] as [number, number, number] } }],
    ['USAGE', bytes, { preprocessing: { crop: { height: 0, width: 64 } } }],
  ] as const)('refuses with %s (case %#)', async (code, file, extra) => {
    const name = code === 'MODEL_FORMAT_UNKNOWN' ? 's3://models/note.txt' : uri;
    await expect(loadModel(file, { uri: name, ...extra })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(name) as string,
    });
  });
});

describe('openFromCard', () => {
  it.each([
    ['weights', bytes],
    ['a foreign graph', readReference('onnx/nhwc-dynamic-probabilities-13.onnx')],
  ])('gives the graph of %s that loadModel gives', async (_, file) => {
    const model = await loadModel(file, { uri, preprocessing: { scale: 0.5 } });
    const card = modelCard.decode(modelCard.encode(model.card), 'card');
    const { onnx, ...rest } = openFromCard(file, card).compile(options);
    const { onnx: expected, ...expectedRest } = model.compile(options);
    expect(Buffer.from(onnx).equals(expected)).toBe(true);
    expect(rest).toEqual(expectedRest);
  });

  it('obeys the card, and refuses other bytes than those it describes', async () => {
    const { card } = await loadModel(bytes, { uri });
    const other: ModelCard = { ...card, architecture: 'alexnet-small+tanh' };
    const graphs = [card, other].map((given) =>
      Buffer.from(openFromCard(bytes, given).compile(options).onnx),
    );
    expect(graphs[1]?.equals(graphs[0] ?? Buffer.of())).toBe(false);
    const changed = Uint8Array.from(bytes);
    changed[changed.length - 1] = 1;
    expect(() => openFromCard(changed, card).compile(options)).toThrow(
      `${uri}: expected ${card.digest}, got sha256:`,
    );
  });
});
