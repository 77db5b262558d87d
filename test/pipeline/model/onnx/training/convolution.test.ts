import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSession } from '../../../../../src/pipeline/engine/onnxruntime/session.ts';
import {
  outputShape,
  product,
  type ConvLayer,
  type PlacedLayer,
} from '../../../../../src/pipeline/model/architecture.ts';
import { encodeModel } from '../../../../../src/pipeline/model/onnx/encode-model.ts';
import {
  DATA_TYPE,
  encodeValueInfo,
  GraphBuilder,
} from '../../../../../src/pipeline/model/onnx/graph-builder.ts';
import type { ConvolutionForm } from '../../../../../src/pipeline/model/onnx/training/convolution-form.ts';
import { appendConvolution } from '../../../../../src/pipeline/model/onnx/training/convolution.ts';
import { titleNeeding } from '../../../../support/needs.ts';
import { CPU } from '../../../engine/support.ts';
import { distance, FORMS } from '../../../engine/training-support.ts';

const ROWS = 2;

interface Geometry {
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
  readonly groups: number;
  /** Channels of a group. */
  readonly channels: number;
  readonly out: number;
  readonly height: number;
  readonly width: number;
}

interface Tensors {
  readonly input: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  /** Of the output. */
  readonly gradient: Float32Array;
}

function placedOf({ kernel, stride, pad, groups, channels, out, height, width }: Geometry) {
  const layer: ConvLayer = {
    kind: 'conv',
    out: out * groups,
    kernel,
    stride,
    pad,
    groups,
    init: { weight: { kind: 'he-normal' }, bias: { kind: 'constant', value: 0 } },
  };
  const input = [channels * groups, height, width];
  return { layer, path: 'conv', input, output: outputShape(layer, input) } satisfies PlacedLayer;
}

function weightShape({ out, groups, channels, kernel }: Geometry): number[] {
  return [out * groups, channels, kernel, kernel];
}

/** Uniform in −0.5 … 0.5. */
function noise(size: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: size },
    (_, index) => (Math.imul(seed * 7_919 + index + 1, 0x9e3779b1) >>> 0) / 2 ** 32 - 0.5,
  );
}

function tensorsOf(geometry: Geometry): Tensors {
  const { input, output } = placedOf(geometry);
  return {
    input: noise(ROWS * product(input), 1),
    weight: noise(product(weightShape(geometry)), 2),
    bias: noise(output[0] ?? 0, 3),
    gradient: noise(ROWS * product(output), 4),
  };
}

/** Calls `visit` with the places of output, input and weight of every product that a convolution sums up. */
function eachProduct(
  geometry: Geometry,
  visit: (output: number, input: number, weight: number) => void,
): void {
  const { kernel, stride, pad, groups, channels, out, height, width } = geometry;
  const [, outHeight = 0, outWidth = 0] = placedOf(geometry).output;
  const taps = kernel * kernel;
  for (let output = 0; output < ROWS * groups * out * outHeight * outWidth; output++) {
    const column = output % outWidth;
    const row = Math.floor(output / outWidth) % outHeight;
    const filter = Math.floor(output / (outWidth * outHeight)) % (groups * out);
    const image = Math.floor(output / (outWidth * outHeight * groups * out));
    for (let weight = 0; weight < channels * taps; weight++) {
      const x = column * stride - pad + (weight % kernel);
      const y = row * stride - pad + (Math.floor(weight / kernel) % kernel);
      if (x < 0 || x >= width || y < 0 || y >= height) continue;
      const channel = Math.floor(filter / out) * channels + Math.floor(weight / taps);
      const input = ((image * groups * channels + channel) * height + y) * width + x;
      visit(output, input, filter * channels * taps + weight);
    }
  }
}

/** By definition, in float64: the output, then the gradients of input, weight and bias. */
function byDefinition(geometry: Geometry, { input, weight, bias, gradient }: Tensors): Float64Array[] {
  const positions = gradient.length / ROWS / bias.length;
  const filterOf = (output: number): number => Math.floor(output / positions) % bias.length;
  const result = Float64Array.from(gradient, (_, output) => bias[filterOf(output)] ?? Number.NaN);
  const inputGradient = new Float64Array(input.length);
  const weightGradient = new Float64Array(weight.length);
  const biasGradient = new Float64Array(bias.length);
  const add = (array: Float64Array, index: number, value: number): void => {
    array[index] = (array[index] ?? Number.NaN) + value;
  };
  eachProduct(geometry, (o, i, w) => {
    add(result, o, (input[i] ?? Number.NaN) * (weight[w] ?? Number.NaN));
    add(inputGradient, i, (gradient[o] ?? Number.NaN) * (weight[w] ?? Number.NaN));
    add(weightGradient, w, (gradient[o] ?? Number.NaN) * (input[i] ?? Number.NaN));
  });
  gradient.forEach((value, output) => add(biasGradient, filterOf(output), value));
  return [result, inputGradient, weightGradient, biasGradient];
}

async function byGraph(geometry: Geometry, tensors: Tensors, form: ConvolutionForm): Promise<Float32Array[]> {
  const graph = new GraphBuilder();
  const placed = placedOf(geometry);
  const context = { graph, rows: ROWS, form, maskOf: () => '' };
  const differentiated = appendConvolution(context, placed, placed.layer, 'input');
  const gradients = differentiated.backward('gradient', true, true);
  const names = [differentiated.output, gradients.input ?? '', ...gradients.parameters.values()];
  const shapes = {
    input: [ROWS, ...placed.input],
    'conv.weight': weightShape(geometry),
    'conv.bias': [placed.layer.out],
    gradient: [ROWS, ...placed.output],
  };
  const valueOf = (name: string, shape: readonly number[]) => encodeValueInfo(name, DATA_TYPE.float, shape);
  const outputShapes = [shapes.gradient, shapes.input, shapes['conv.weight'], shapes['conv.bias']];
  const onnx = encodeModel({
    name: 'convolution',
    graph,
    inputs: Object.entries(shapes).map(([name, shape]) => valueOf(name, shape)),
    outputs: names.map((name, index) => valueOf(name, outputShapes[index] ?? [])),
    blocked: form.kind === 'blocked',
  });
  const { session, runtime } = await createSession(onnx, CPU);
  const values = [tensors.input, tensors.weight, tensors.bias, tensors.gradient];
  const feeds = Object.entries(shapes).map(
    ([name, shape], index) =>
      [name, new runtime.Tensor('float32', values[index] ?? new Float32Array(), shape)] as const,
  );
  const results = await session.run(Object.fromEntries(feeds));
  await session.release();
  return names.map((name) => results[name]?.data as Float32Array);
}

function normOf(values: Float64Array): number {
  return Math.hypot(...values);
}

async function expectRight(geometry: Geometry, form: ConvolutionForm): Promise<void> {
  const tensors = tensorsOf(geometry);
  const expected = byDefinition(geometry, tensors);
  const actual = await byGraph(geometry, tensors, form);
  // A sum whose terms cancel has few digits that are right, whoever adds them: errors are parts of the terms' own size.
  const absolute = byDefinition(geometry, {
    input: tensors.input.map(Math.abs),
    weight: tensors.weight.map(Math.abs),
    bias: tensors.bias.map(Math.abs),
    gradient: tensors.gradient.map(Math.abs),
  });
  const errors = expected.map(
    (tensor, index) =>
      (distance(actual[index] ?? [], tensor) * normOf(tensor)) /
      normOf(absolute[index] ?? new Float64Array()),
  );
  expect(errors.filter((error) => !(error <= 1e-6))).toEqual([]);
}

/** Shapes that fill blocks of 16 channels, and shapes that do not. */
const GEOMETRY = fc
  .record({
    kernel: fc.integer({ min: 1, max: 5 }),
    stride: fc.integer({ min: 1, max: 4 }),
    pad: fc.integer({ min: 0, max: 3 }),
    groups: fc.constantFrom(1, 2, 3),
    channels: fc.constantFrom(1, 3, 4, 8, 16),
    out: fc.constantFrom(1, 4, 16, 32),
    height: fc.integer({ min: 5, max: 11 }),
    width: fc.integer({ min: 5, max: 11 }),
  })
  .filter(({ kernel, pad, height, width }) => kernel <= Math.min(height, width) + 2 * pad);

describe.each(FORMS)('$title', ({ title, form, present }) => {
  const plain = { kernel: 3, stride: 1, pad: 1, groups: 1, channels: 16, out: 16, height: 7, width: 5 };
  const cases: [string, Geometry][] = [
    ['fill blocks', plain],
    ['have a padding wider than the kernel', { ...plain, kernel: 1, pad: 2 }],
    ['have an even kernel and groups', { ...plain, kernel: 4, pad: 2, groups: 2, out: 32 }],
    [
      'leave three rows and one column over',
      { ...plain, kernel: 2, stride: 4, pad: 0, height: 9, width: 11 },
    ],
    ['have a stride longer than the kernel', { ...plain, kernel: 2, stride: 4, pad: 1, groups: 3 }],
    [
      'are the first of AlexNet',
      { ...plain, kernel: 11, stride: 4, pad: 2, channels: 3, height: 24, width: 31 },
    ],
  ];

  it.skipIf(!present).each(cases)(
    titleNeeding('an x64 processor', present, `are right by definition where they %s`),
    (_, geometry) => expectRight(geometry, form),
  );

  it.skipIf(!present)(
    titleNeeding('an x64 processor', present, `${title} of any geometry are right by definition`),
    { timeout: 60_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(GEOMETRY, (geometry) => expectRight(geometry, form)),
        { numRuns: 40 },
      );
    },
  );
});
