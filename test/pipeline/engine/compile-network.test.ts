import { describe, expect, it } from 'vitest';
import { outputShape, product, type Layer, type Shape } from '../../../src/pipeline/model/architecture.ts';
import { appendLayer } from '../../../src/pipeline/model/onnx/compile-network.ts';
import {
  DATA_TYPE,
  encodeOpset,
  encodeValueInfo,
  GraphBuilder,
} from '../../../src/pipeline/model/onnx/graph-builder.ts';
import { ProtoWriter } from '../../../src/pipeline/model/onnx/protobuf.ts';
import { createSession } from '../../../src/pipeline/engine/onnxruntime/session.ts';
import { CPU, relativeError } from './support.ts';

/** One layer as a model of its own, run on `input`. */
async function runLayer(layer: Layer, shape: Shape, input: Float32Array): Promise<Float32Array> {
  const graph = new GraphBuilder();
  const output = appendLayer(
    graph,
    { layer, path: 'l', input: shape, output: outputShape(layer, shape) },
    'x',
    () => ({ weight: '', bias: '' }),
  );
  const writer = new ProtoWriter();
  for (const node of graph.nodes) writer.message(1, node);
  writer.string(2, 'layer');
  for (const constant of graph.initializers) writer.message(5, constant);
  writer.message(11, encodeValueInfo('x', DATA_TYPE.float, [1, ...shape]));
  writer.message(12, encodeValueInfo(output, DATA_TYPE.float, null));
  const model = new ProtoWriter().int(1, 8).message(7, writer).message(8, encodeOpset(17)).finish();
  const { session, runtime } = await createSession(model, CPU);
  const results = await session.run({ x: new runtime.Tensor('float32', input, [1, ...shape]) });
  await session.release();
  return results[output]?.data as Float32Array;
}

/** Values between −scale and scale. */
function values(shape: Shape, scale: number): Float32Array {
  return Float32Array.from({ length: product(shape) }, (_, index) => Math.sin(index * 1.7) * scale);
}

describe('appendLayer', () => {
  it.each([0.75, 0.5])(
    'normalises over neighbouring channels as the definition says, beta %d',
    async (beta) => {
      const shape = [7, 2, 3];
      const layer: Layer = { kind: 'lrn', size: 5, alpha: 0.3, beta, k: 2 };
      const input = values(shape, 20);
      const at = (channel: number, pixel: number): number => input[channel * 6 + pixel] ?? Number.NaN;
      const expected = Array.from(input, (value, index) => {
        const [channel, pixel] = [Math.floor(index / 6), index % 6];
        let sum = 0;
        for (let near = Math.max(0, channel - 2); near <= Math.min(6, channel + 2); near++)
          sum += at(near, pixel) ** 2;
        return value / (2 + (0.3 / 5) * sum) ** beta;
      });
      expect(relativeError(await runLayer(layer, shape, input), expected)).toBeLessThan(1e-6);
    },
  );

  it.each([
    [7, 9, 6],
    [12, 12, 6],
    [3, 5, 6],
  ])('pools %d×%d adaptively to %d as torch does', async (height, width, out) => {
    const shape = [2, height, width];
    const input = values(shape, 1);
    const range = (size: number, index: number): number[] => {
      const first = Math.floor((index * size) / out);
      return Array.from({ length: Math.ceil(((index + 1) * size) / out) - first }, (_, step) => first + step);
    };
    const expected = Array.from({ length: 2 * out * out }, (_, index) => {
      const window = range(height, Math.floor(index / out) % out).flatMap((y) =>
        range(width, index % out).map(
          (x) => input[(Math.floor(index / out / out) * height + y) * width + x] ?? Number.NaN,
        ),
      );
      return window.reduce((sum, value) => sum + value, 0) / window.length;
    });
    const result = await runLayer({ kind: 'adaptiveAvgPool', out }, shape, input);
    expect(relativeError(result, expected)).toBeLessThan(1e-6);
  });

  it('pools overlapping windows and squashes with tanh', async () => {
    const input = values([1, 5, 5], 2);
    const pooled = [0, 2].flatMap((y) =>
      [0, 2].map((x) =>
        Math.max(...[0, 1, 2].flatMap((dy) => [0, 1, 2].map((dx) => input[(y + dy) * 5 + x + dx] ?? 0))),
      ),
    );
    expect([...(await runLayer({ kind: 'maxPool', kernel: 3, stride: 2 }, [1, 5, 5], input))]).toEqual(
      pooled,
    );
    expect(
      relativeError(await runLayer({ kind: 'tanh' }, [1, 5, 5], input), input.map(Math.tanh)),
    ).toBeLessThan(1e-6);
  });
});
