import { describe, expect, it } from 'vitest';
import { findClassifier } from '../../../../src/pipeline/model/onnx/find-classifier.ts';
import { readOnnxModel, withMetadata } from '../../../../src/pipeline/model/onnx/onnx-model.ts';
import { ProtoWriter } from '../../../../src/pipeline/model/onnx/protobuf.ts';
import { buildForeign } from '../../engine/foreign-models.ts';
import { expectRefusal } from '../weights/support.ts';

const foreign = readOnnxModel(buildForeign(), 'm');

/** The foreign model with more in its graph, and without its nodes where there are others. */
function modelOf(graph: ProtoWriter, { irVersion = 8, keepsNodes = true } = {}): Uint8Array {
  for (const field of foreign.graphFields) if (keepsNodes || field.field !== 1) graph.raw(field.raw);
  const opset = new ProtoWriter().string(1, '').int(2, 13);
  return new ProtoWriter().int(1, irVersion).message(8, opset).message(7, graph).finish();
}

const node = (operator: string, from: string, to: string): ProtoWriter =>
  new ProtoWriter().string(1, from).string(2, to).string(4, operator);

describe('readOnnxModel', () => {
  it.each([
    ['of too many elements', [2 ** 52, 2 ** 52]],
    ['of a negative size', [-1]],
    ['of 65 axes', Array<number>(65).fill(1)],
  ])('refuses a tensor %s', (_, sizes) => {
    const tensor = new ProtoWriter();
    for (const size of sizes) tensor.int(1, size);
    const bytes = modelOf(new ProtoWriter().message(5, tensor.string(8, 'w')));
    expectRefusal(() => readOnnxModel(bytes, 'm'), 'MODEL_CORRUPT', /an impossible shape of tensor "w"/);
  });

  it('refuses tensors that are too much together', () => {
    const tensor = (): ProtoWriter => new ProtoWriter().int(1, 2 ** 52).string(8, 'w');
    const bytes = modelOf(new ProtoWriter().message(5, tensor()).message(5, tensor()));
    expectRefusal(() => readOnnxModel(bytes, 'm'), 'MODEL_CORRUPT', /impossible shape/);
  });

  it('refuses a version that cannot be written again', () => {
    const version = Buffer.from([8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
    const bytes = Buffer.concat([version, buildForeign().subarray(2)]);
    expectRefusal(() => readOnnxModel(bytes, 'm'), 'MODEL_CORRUPT', /impossible version/);
  });

  it('refuses more fields than any graph has', () => {
    const bytes = new Uint8Array(2 * 1_000_001).fill(8);
    expectRefusal(() => readOnnxModel(bytes, 'm'), 'MODEL_CORRUPT', /more than 1000000 fields/);
  });
});

describe('withMetadata', () => {
  it('keeps entries whose names every object has', () => {
    const model = readOnnxModel(buildForeign({ metadata: { toString: 'a', constructor: 'b' } }), 'm');
    expect(readOnnxModel(withMetadata(model, { x: 'y' }), 'm').metadata).toEqual(
      new Map([
        ['toString', 'a'],
        ['constructor', 'b'],
        ['x', 'y'],
      ]),
    );
  });
});

describe('findClassifier', () => {
  it.each([
    ['a node that takes what it makes', [node('Identity', 'prob', 'prob')]],
    ['nodes in a circle', [node('Cast', 'a', 'prob'), node('Add', 'b', 'a'), node('Flatten', 'prob', 'b')]],
    ['a circle of scores', [node('Cast', 'a', 'prob'), node('Squeeze', 'prob', 'a')]],
  ])('is not led round by %s', (_, nodes) => {
    const graph = new ProtoWriter();
    for (const each of nodes) graph.message(1, each);
    const found = findClassifier(readOnnxModel(modelOf(graph, { keepsNodes: false }), 'm'), 'm');
    expect(found).toMatchObject({ scores: null, embedding: null });
  });

  it.each([
    ['a batch', { batch: 2 ** 40 }],
    ['images', { batch: 1, side: 2 ** 20 }],
  ])('refuses %s that no memory holds', (_, sizes) => {
    const model = readOnnxModel(buildForeign(sizes), 'm');
    expectRefusal(() => findClassifier(model, 'm'), 'MODEL_NOT_A_CLASSIFIER', /bytes of pixels/);
  });
});
