import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType, type NodeProto } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { parametersOf } from '../../../../src/pipeline/model/architecture.ts';
import { createArchitecture } from '../../../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../../../src/pipeline/model/init.ts';
import { compileClassifier } from '../../../../src/pipeline/model/onnx/compile-classifier.ts';

const architecture = createArchitecture('alexnet-small', { classes: 10 });
const weights = initialiseWeights(architecture, 1);
const { preprocessing } = architecture;
const options = { topK: 3, batchSize: 4, crops: 1, embeddings: true } as const;

/** Attributes as plain values. */
function attributesOf(node: NodeProto | undefined): Record<string, unknown> {
  return Object.fromEntries(
    (node?.attribute ?? []).map(({ name, ints, i }) => [
      name,
      ints.length > 0 ? ints.map(Number) : Number(i),
    ]),
  );
}

describe('compileClassifier, read by a reader that is not ours', () => {
  it('writes every weight bit for bit, with its name and shape', () => {
    const { onnx } = compileClassifier({ architecture, weights, preprocessing, options });
    const graph = fromBinary(ModelProtoSchema, onnx).graph;
    for (const { name, shape } of parametersOf(architecture)) {
      const tensor = graph?.initializer.find((entry) => entry.name === name);
      expect(tensor?.dims.map(Number)).toEqual(shape);
      expect(tensor?.dataType).toBe(TensorProto_DataType.FLOAT);
      const { data } = weights.get(name) ?? { data: new Float32Array() };
      expect(
        Buffer.from(data.buffer, data.byteOffset, data.byteLength).equals(tensor?.rawData ?? Buffer.of()),
      ).toBe(true);
    }
  });

  it('writes nodes in an order in which every input exists already', () => {
    const graph = fromBinary(
      ModelProtoSchema,
      compileClassifier({ architecture, weights, preprocessing, options }).onnx,
    ).graph;
    const known = new Set([...(graph?.input ?? []), ...(graph?.initializer ?? [])].map(({ name }) => name));
    for (const node of graph?.node ?? []) {
      for (const input of node.input) expect(known).toContain(input);
      for (const output of node.output) {
        expect(known).not.toContain(output);
        known.add(output);
      }
    }
    const conv = graph?.node.find(({ opType }) => opType === 'Conv');
    expect(attributesOf(conv)).toEqual({
      kernel_shape: [5, 5],
      strides: [2, 2],
      pads: [2, 2, 2, 2],
      group: 1,
    });
    expect(graph?.output.map(({ name }) => name)).toEqual(['ids', 'scores', 'embedding']);
    const dimensions = graph?.input[0]?.type?.value.value;
    expect(
      JSON.stringify(dimensions, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
    ).toContain('"batch"');
  });

  it('describes the graph', () => {
    const compile = (extra: object): object => {
      const { onnx: _, ...rest } = compileClassifier({
        architecture,
        weights,
        preprocessing,
        options: { ...options, ...extra },
      });
      return rest;
    };
    const base = { batchSize: 4, fixedBatch: false, height: 64, width: 64, cropsPerItem: 1, topK: 3 };
    expect(compile({})).toEqual({ ...base, embeddingSize: 1024 });
    expect(compile({ crops: 10, embeddings: false })).toEqual({
      ...base,
      cropsPerItem: 5,
      embeddingSize: null,
    });
    expect(compile({ topK: 99 })).toEqual({ ...base, topK: 10, embeddingSize: 1024 });
  });

  it('refuses weights that are missing', () => {
    const some = new Map([...weights].slice(1));
    expect(() => compileClassifier({ architecture, weights: some, preprocessing, options })).toThrow(
      'features.0.weight: expected a tensor (16, 3, 5, 5), got none',
    );
  });
});
