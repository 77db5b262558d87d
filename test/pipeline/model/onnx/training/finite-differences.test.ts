/** A second witness beside PyTorch: the loss itself, at weights a little to either side. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TORCHVISION_PREPROCESSING } from '../../../../../src/contract/model-card.ts';
import type { MicroBatch, TrainerSpec } from '../../../../../src/pipeline/engine/trainer.ts';
import {
  parametersOf,
  type Architecture,
  type Init,
  type Layer,
} from '../../../../../src/pipeline/model/architecture.ts';
import { initialiseWeights } from '../../../../../src/pipeline/model/init.ts';
import { TENSOR } from '../../../../../src/pipeline/model/onnx/training/training-network.ts';
import type { StateDict } from '../../../../../src/pipeline/model/weights/state-dict.ts';
import { titleNeeding } from '../../../../support/needs.ts';
import { FORMS, openStep, type Outputs, type StepGraph } from '../../../engine/training-support.ts';

const ROWS = 4;
/** As long as rounding allows, as short as kinks of ReLU and max-pool demand. */
const STEP = 7e-4;
const POSITION = { epoch: 1, step: 0, micro: 0 };
const INIT: Init = { weight: { kind: 'he-normal' }, bias: { kind: 'uniform-fan-in' } };

/** Every kind of layer; channels that fill blocks of 16, in two groups; LRN strong enough to be seen. */
function tinyNet(activation: 'tanh' | 'relu'): Architecture {
  const act: Layer = { kind: activation };
  const conv = (out: number, kernel: number, stride: number, groups: number): Layer => ({
    kind: 'conv',
    out,
    kernel,
    stride,
    pad: 1,
    groups,
    init: INIT,
  });
  return {
    name: `tiny ${activation}`,
    classes: 3,
    input: { channels: 3, height: 19, width: 17 },
    preprocessing: TORCHVISION_PREPROCESSING,
    blocks: [
      {
        name: 'features',
        layers: [
          [conv(32, 4, 1, 1), act, { kind: 'lrn', size: 5, alpha: 2, beta: 0.75, k: 1 } as const],
          [{ kind: 'maxPool', kernel: 3, stride: 2 } as const, conv(32, 3, 1, 2), act],
          [
            conv(32, 3, 2, 2),
            act,
            { kind: 'adaptiveAvgPool', out: 3 } as const,
            { kind: 'flatten' } as const,
          ],
        ].flat(),
      },
      {
        name: 'classifier',
        layers: [
          [{ kind: 'dropout', probability: 0.4 } as const, { kind: 'linear', out: 12, init: INIT } as const],
          [act, { kind: 'linear', out: 3, init: INIT } as const],
        ].flat(),
      },
    ],
  };
}

function specOf(architecture: Architecture): TrainerSpec {
  const training = { learningRateFactor: 1, weightDecay: 0, trained: true };
  return {
    architecture,
    preprocessing: architecture.preprocessing,
    parameters: new Map(parametersOf(architecture).map(({ name }) => [name, training])),
    sgd: { momentum: 0.9, nesterov: false },
    labelSmoothing: 0.1,
    colour: false,
    batchSize: ROWS,
    microBatchSize: ROWS,
    seed: 3,
  };
}

function batchFor({ input, classes }: Architecture): MicroBatch {
  const size = ROWS * input.height * input.width * 3;
  return {
    images: Uint8Array.from(
      { length: size },
      (_, index) => Math.imul(index ^ (index >>> 5), 0x9e3779b1) >>> 24,
    ),
    labels: Int32Array.from({ length: ROWS }, (_, item) => item % classes),
    colour: null,
    mirrored: null,
  };
}

/** The same weights but for one tensor, which moves along a direction. */
function moved(weights: StateDict, name: string, direction: Float32Array, distance: number): StateDict {
  return new Map(
    [...weights].map(([key, { shape, data }]) => [
      key,
      key === name
        ? { shape, data: data.map((value, index) => value + distance * (direction[index] ?? 0)) }
        : { shape, data },
    ]),
  );
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}

/** Half of the elements with a sign of their own each, of length 1. */
function anyDirection(size: number, seed: number): Float32Array {
  const word = (index: number): number => Math.imul((index + 1) * 31 + seed, 0x85ebca6b) >>> 27;
  const signs = Float32Array.from({ length: size }, (_, index) =>
    word(index) % 2 === 0 ? 0 : word(index) % 4 === 1 ? 1 : -1,
  );
  return unit(signs);
}

function unit(direction: Float32Array): Float32Array {
  const length = Math.sqrt(dot(direction, direction));
  return direction.map((value) => value / length);
}

const NETS = [tinyNet('tanh'), tinyNet('relu')].flatMap((architecture) =>
  FORMS.map((form) => ({ ...form, name: architecture.name, architecture })),
);

describe.each(NETS)('$name, $title', ({ architecture, form, present }) => {
  const weights = initialiseWeights(architecture, 11);
  const batch = batchFor(architecture);
  let graph: StepGraph | undefined;
  let gradients: Outputs = new Map();

  async function run(changed: StateDict): Promise<Outputs> {
    const state = { weights: changed, velocities: new Map(), learningRate: 0 };
    return (await graph?.run(batch, POSITION, state)) ?? new Map<string, Float32Array>();
  }

  async function slope(name: string, direction: Float32Array, step: number): Promise<number> {
    const [above, below] = [
      await run(moved(weights, name, direction, step)),
      await run(moved(weights, name, direction, -step)),
    ].map((outputs) => outputs.get(TENSOR.lossSum)?.[0] ?? Number.NaN);
    return ((above ?? Number.NaN) - (below ?? Number.NaN)) / (2 * step * ROWS);
  }

  beforeAll(async () => {
    graph = await openStep(specOf(architecture), form);
    gradients = await run(weights);
  });
  afterAll(() => graph?.close());

  it.skipIf(!present).each(parametersOf(architecture).map((parameter) => parameter.name))(
    titleNeeding('an x64 processor', present, 'the loss falls as fast as the gradient of %s says'),
    async (name) => {
      const gradient = gradients.get(TENSOR.next(TENSOR.velocity(name))) ?? new Float32Array();
      const steepness = Math.sqrt(dot(gradient, gradient));
      expect(steepness).toBeGreaterThan(1e-3);
      const directions = [1, 2, 3].map((seed) => anyDirection(gradient.length, seed));
      for (const direction of [unit(gradient), ...directions]) {
        const measured = await slope(name, direction, STEP);
        expect(Math.abs(measured - dot(gradient, direction)) / steepness).toBeLessThan(3e-3);
      }
    },
  );
});
