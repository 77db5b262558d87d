import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TORCHVISION_PREPROCESSING } from '../../src/contract/model-card.ts';
import { openOnnx, type OnnxSource } from '../../src/pipeline/engine/load-onnx.ts';
import { readOnnxModel, withMetadata } from '../../src/pipeline/model/onnx/onnx-model.ts';
import {
  ProtobufError,
  ProtoWriter,
  readFields,
  repeatedInts,
} from '../../src/pipeline/model/onnx/protobuf.ts';
import { buildProbe, checkPreprocessing } from '../../src/pipeline/model/onnx/wrap-classifier.ts';
import { buildForeign } from '../pipeline/engine/foreign-models.ts';
import { ImagemillError } from '../../src/contract/errors.ts';
import { FUZZ_TIMEOUT_MS, fuzz, outcomeOf, parameters, utf8, type Parser } from './support.ts';

const CODES = [
  'MODEL_CORRUPT',
  'MODEL_FORMAT_UNKNOWN',
  'MODEL_NOT_A_CLASSIFIER',
  'MODEL_SHAPE_MISMATCH',
] as const;
const OPTIONS = { topK: 5, batchSize: 4, crops: 1, embeddings: false } as const;

/** Opens a file and builds the graphs of it that the engine would run. */
const ONNX: Parser<OnnxSource> = {
  name: 'onnx',
  codes: CODES,
  parse: (bytes) => {
    const source = openOnnx(bytes, 'm');
    const { model, found } = source;
    const crop = { height: found.height ?? 8, width: found.width ?? 8 };
    const preprocessing = { ...TORCHVISION_PREPROCESSING, crop };
    checkPreprocessing(found, { ...preprocessing, scale: 1, mean: [0, 0, 0], std: [1, 1, 1] }, 'm');
    const probe = buildProbe(model, found, preprocessing);
    expect(probe.rows * crop.height * crop.width * 3).toBeLessThanOrEqual(2 ** 31);
    for (const embeddings of found.embedding === null ? [false] : [false, true]) {
      source.compile({ classes: 4, scores: 'logits', preprocessing }, { ...OPTIONS, embeddings });
    }
    return source;
  },
  check: ({ model, found }, bytes) => {
    expect(Number.isSafeInteger(model.parameters) && model.parameters >= 0).toBe(true);
    for (const shape of model.initializers.values()) {
      expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true);
    }
    for (const side of [found.batch, found.height, found.width]) expect(side === null || side > 0).toBe(true);
    expect(Buffer.compare(withMetadata(model, {}), bytes)).toBe(0);
  },
};

const dims = (...sizes: bigint[]): Uint8Array =>
  Buffer.concat(sizes.map((size) => Buffer.concat([Buffer.of(8), varint(size)])));

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...bytes, Number(rest)]);
}

fuzz(ONNX, {
  seeds: {
    logits: buildForeign(),
    fixed: buildForeign({ batch: 2, side: 8, head: 'softmax', opset: 11 }),
    nhwc: buildForeign({ layout: 'nhwc', type: 'uint8', head: 'softmax-4d', metadata: { labels: 'a,b' } }),
    half: buildForeign({ type: 'float16', constantsAsInputs: true, opset: 9, irVersion: 3 }),
  },
  words: [
    dims(2n ** 62n, 2n ** 62n),
    dims(-1n),
    varint(2n ** 63n),
    varint(2n ** 53n),
    utf8('Identity'),
    utf8('prob'),
    utf8('toString'),
  ],
  runs: 3_000,
});

const PROTOBUF: Parser<unknown> = {
  name: 'protobuf',
  codes: ['MODEL_CORRUPT'],
  parse: (bytes) => {
    try {
      const fields = readFields(bytes);
      for (const number of [1, 5, 8]) {
        for (const value of repeatedInts(fields, number)) expect(Number.isInteger(value)).toBe(true);
      }
      return fields;
    } catch (error) {
      if (error instanceof ProtobufError) throw new ImagemillError('MODEL_CORRUPT', error.message);
      throw error;
    }
  },
};

fuzz(PROTOBUF, {
  seeds: {
    message: new ProtoWriter().int(1, 300).int(2, -5).string(3, 'text').float(4, 0.5).finish(),
    model: buildForeign(),
  },
  words: [
    varint(2n ** 63n),
    varint(-1n),
    Uint8Array.of(0x0b),
    Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f),
  ],
  runs: 1_500,
});

interface NodeParts {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
}

/** A model of these nodes, from `data` (n, 3, 8, 8) to `prob` (n, 4). */
function modelOf(nodes: readonly NodeParts[]): Uint8Array {
  const graph = new ProtoWriter();
  for (const { operator, inputs, output } of nodes) {
    const node = new ProtoWriter();
    for (const name of inputs) node.string(1, name);
    graph.message(1, node.string(2, output).string(4, operator));
  }
  const { graphFields } = readOnnxModel(buildForeign(), 'm');
  for (const field of graphFields) if (field.field !== 1) graph.raw(field.raw);
  return new ProtoWriter()
    .int(1, 8)
    .message(8, new ProtoWriter().string(1, '').int(2, 13))
    .message(7, graph)
    .finish();
}

describe('a graph of any nodes', () => {
  it('is opened or refused, and never followed in a circle', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const tensor = fc.constantFrom('data', 'prob', 'weight', 'bias', 'a', 'b', '');
    const node = fc.record({
      operator: fc.constantFrom(
        'Identity',
        'Cast',
        'Add',
        'Flatten',
        'Softmax',
        'Gemm',
        'MatMul',
        'DequantizeLinear',
      ),
      inputs: fc.array(tensor, { maxLength: 3 }),
      output: tensor,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(node, { minLength: 1, maxLength: 6 }), async (nodes) => {
        expect(await outcomeOf({ ...ONNX, name: 'onnx nodes' }, modelOf(nodes))).toBe('value');
      }),
      parameters(1_000),
    );
  });
});
