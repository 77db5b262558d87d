import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as onnxruntime from 'onnxruntime-node';
import { ModelProtoSchema, type GraphProtoSchema, type TensorProtoSchema } from 'onnx-buf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findExternalTensor } from '../../../../src/pipeline/model/onnx/external-data.ts';
import { readOnnxModel } from '../../../../src/pipeline/model/onnx/onnx-model.ts';
import { readFields, ProtoWriter } from '../../../../src/pipeline/model/onnx/protobuf.ts';

type Graph = MessageInitShape<typeof GraphProtoSchema>;
type Tensor = MessageInitShape<typeof TensorProtoSchema>;

const FLOAT = 1;
const BOOL = 9;
const VALUES = [42, 43, 44, 45];

const value = (name: string) => ({
  name,
  type: {
    value: {
      case: 'tensorType' as const,
      value: { elemType: FLOAT, shape: { dim: [{ value: { case: 'dimValue' as const, value: 4n } }] } },
    },
  },
});
const elsewhere: Tensor = {
  name: 'w',
  dataType: FLOAT,
  dims: [4n],
  dataLocation: 1,
  externalData: [{ key: 'location', value: 'secret.bin' }],
};
const here: Tensor = { name: 'w', dataType: FLOAT, dims: [4n], floatData: VALUES };

/** Adds a tensor to the input in both branches of a condition. */
const branch = (tensor: Tensor, name: string): Graph => ({
  name,
  initializer: [tensor],
  node: [{ opType: 'Add', input: ['x', 'w'], output: [name] }],
  output: [value(name)],
});
const branches = (tensor: Tensor): Graph => ({
  name: 'g',
  initializer: [{ name: 'c', dataType: BOOL, dims: [], int32Data: [1] }],
  node: [
    {
      opType: 'If',
      input: ['c'],
      output: ['y'],
      attribute: ['then_branch', 'else_branch'].map((name) => ({ name, type: 5, g: branch(tensor, name) })),
    },
  ],
});

const encode = (
  graph: Graph,
  more: Omit<MessageInitShape<typeof ModelProtoSchema>, '$typeName' | 'graph'> = {},
) =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17n }],
      graph: { input: [value('x')], output: [value('y')], ...graph },
      ...more,
    }),
  );

const identity = { opType: 'Identity', input: ['x'], output: ['y'] };
const constant = (tensor: Tensor) => ({
  opType: 'Constant',
  output: ['w'],
  attribute: [{ name: 'value', type: 4, t: tensor }],
});

describe('a file of the worker that a model refers to', () => {
  let folder = '';
  const before = process.cwd();
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagemill-test-onnx-'));
    writeFileSync(join(folder, 'secret.bin'), Buffer.from(Float32Array.from(VALUES).buffer));
    process.chdir(folder);
  });
  afterAll(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });

  it('would be read by the engine, in a branch, which is why the model is refused', async () => {
    const bytes = encode(branches(elsewhere));
    const session = await onnxruntime.InferenceSession.create(bytes);
    const { y } = await session.run({ x: new onnxruntime.Tensor('float32', [0, 0, 0, 0], [4]) });
    expect([...((y?.data ?? []) as Float32Array)]).toEqual(VALUES);
    expect(() => readOnnxModel(bytes, 'm')).toThrow(/refers to another file for tensor "w"/);
    expect(readOnnxModel(encode(branches(here)), 'm').nodes).toHaveLength(1);
  });
});

describe('findExternalTensor', () => {
  const sparse = { dims: [4n], values: elsewhere };
  const attribute = { name: 'value', type: 4, t: elsewhere };
  it.each<[string, Uint8Array]>([
    ['an initializer', encode({ node: [identity], initializer: [elsewhere] })],
    ['a sparse initializer', encode({ node: [identity], sparseInitializer: [sparse] })],
    ['a constant', encode({ node: [identity, constant(elsewhere)] })],
    [
      'a list of tensors',
      encode({ node: [{ ...identity, attribute: [{ name: 'a', tensors: [here, elsewhere] }] }] }),
    ],
    [
      'a sparse constant',
      encode({ node: [{ ...identity, attribute: [{ name: 'a', sparseTensor: sparse }] }] }),
    ],
    [
      'a list of graphs',
      encode({ node: [{ ...identity, attribute: [{ name: 'a', graphs: [branches(elsewhere)] }] }] }),
    ],
    ['a function', encode({ node: [identity] }, { functions: [{ name: 'f', node: [constant(elsewhere)] }] })],
    [
      'a default of a function',
      encode({ node: [identity] }, { functions: [{ name: 'f', attributeProto: [attribute] }] }),
    ],
    [
      'a step of training',
      encode({ node: [identity] }, { trainingInfo: [{ algorithm: branches(elsewhere) }] }),
    ],
  ])('finds one in %s', (_, bytes) => {
    expect(findExternalTensor(readFields(bytes))).toBe('w');
    expect(() => readOnnxModel(bytes, 'm')).toThrow(/refers to another file/);
  });

  it('finds none in a model that holds its weights', () => {
    const own = {
      node: [identity, constant(here)],
      initializer: [here],
      sparseInitializer: [{ ...sparse, values: here }],
    };
    expect(findExternalTensor(readFields(encode(own)))).toBeNull();
  });

  it('looks at every occurrence of a field, and takes no impossible location for a harmless one', () => {
    const graph = (location: number) =>
      new ProtoWriter().message(7, new ProtoWriter().message(5, new ProtoWriter().int(14, location)));
    const twice = Buffer.concat([graph(1).finish(), graph(0).finish()]);
    expect(findExternalTensor(readFields(twice))).toBe('');
    expect(findExternalTensor(readFields(graph(2 ** 32 + 1).finish()))).toBe('');
    expect(findExternalTensor(readFields(graph(0).finish()))).toBeNull();
  });

  it('gives up on graphs in graphs without end', () => {
    let graph: Graph = branches(here);
    for (let depth = 0; depth < 100; depth += 1) {
      graph = { node: [{ ...identity, attribute: [{ name: 'a', type: 5, g: graph }] }] };
    }
    expect(() => readOnnxModel(encode(graph), 'm')).toThrow(
      /ONNX file with more than 64 messages within each other/,
    );
  });
});
