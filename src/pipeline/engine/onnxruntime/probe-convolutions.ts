/** Finds out how convolutions can be written on this machine. */
import { TORCHVISION_PREPROCESSING } from '../../../contract/model-card.ts';
import { ImagemillError } from '../../../contract/errors.ts';
import { parametersOf, type Architecture, type ConvLayer, type Init } from '../../model/architecture.ts';
import { initialiseWeights } from '../../model/init.ts';
import {
  CONVOLUTION_FORMS,
  STANDARD_FORM,
  type ConvolutionForm,
} from '../../model/onnx/training/convolution-form.ts';
import type { MicroBatch, TrainerSpec, TrainingState } from '../trainer.ts';
import type { SessionOptions } from './session.ts';
import { OnnxruntimeTrainer } from './trainer.ts';

/** Of the largest value of a tensor. Other orders of summation differ by 1e-6, a wrong block by about 1. */
const TOLERANCE = 1e-4;
const ROWS = 2;
const SIDE = 9;

const INIT: Init = { weight: { kind: 'he-normal' }, bias: { kind: 'uniform-fan-in' } };

const conv = (out: number, kernel: number, stride: number): ConvLayer => ({
  kind: 'conv',
  out,
  kernel,
  stride,
  pad: 1,
  groups: 1,
  init: INIT,
});

/**
 * Every way in which blocked operators are used. All channels fill blocks of 16 as well as of 8: kernels that were
 * reordered for the wrong block then still have the size that the operator reads, so that it gives wrong numbers but
 * never leaves its buffers.
 */
const PROBE: Architecture = {
  name: 'convolution probe',
  classes: 2,
  input: { channels: 3, height: SIDE, width: SIDE },
  preprocessing: TORCHVISION_PREPROCESSING,
  blocks: [
    { name: 'features', layers: [conv(16, 3, 1), conv(32, 3, 1), conv(16, 3, 2), { kind: 'flatten' }] },
    { name: 'classifier', layers: [{ kind: 'linear', out: 2, init: INIT }] },
  ],
};

/**
 * The first of {@link CONVOLUTION_FORMS} with which a small network has the gradients that standard operators give.
 * Takes some 50 ms and blocks the thread. Blocked operators are tried on x64 only, where ONNX Runtime always has a
 * kernel for them, of block 8 (SSE, AVX) or 16 (AVX-512); elsewhere they may end the process.
 * @throws ImagemillError ENGINE_UNAVAILABLE where the library is missing
 */
export async function probeConvolutionForm({ device }: SessionOptions): Promise<ConvolutionForm> {
  if (device !== 'cpu' || process.arch !== 'x64') return STANDARD_FORM;
  const state = { weights: initialiseWeights(PROBE, 0), velocities: new Map() };
  const expected = await gradientsOf(STANDARD_FORM, state);
  for (const form of CONVOLUTION_FORMS) {
    if (form.kind === 'standard' || (await givesGradients(form, state, expected))) return form;
  }
  return STANDARD_FORM;
}

async function givesGradients(
  form: ConvolutionForm,
  state: TrainingState,
  expected: readonly Float32Array[],
): Promise<boolean> {
  try {
    const gradients = await gradientsOf(form, state);
    return expected.every((tensor, index) => isClose(gradients[index] ?? new Float32Array(), tensor));
  } catch (error) {
    // A version of ONNX Runtime that lacks the operators, or refuses these shapes.
    if (error instanceof ImagemillError && error.code === 'ENGINE_FAILED') return false;
    throw error;
  }
}

/** Every gradient of one batch: the velocities after a first step. */
async function gradientsOf(form: ConvolutionForm, state: TrainingState): Promise<Float32Array[]> {
  const spec: TrainerSpec = {
    architecture: PROBE,
    preprocessing: PROBE.preprocessing,
    parameters: new Map(
      parametersOf(PROBE).map(({ name }) => [name, { learningRateFactor: 1, weightDecay: 0, trained: true }]),
    ),
    sgd: { momentum: 0, nesterov: false },
    labelSmoothing: 0,
    colour: false,
    batchSize: ROWS,
    microBatchSize: ROWS,
    seed: 0,
  };
  const trainer = await OnnxruntimeTrainer.create(spec, form, state, { device: 'cpu', threads: 1 });
  try {
    await trainer.train(probeBatch(), { epoch: 1, step: 0, micro: 0 }, 0);
    return [...trainer.state().velocities.values()].map(({ data }) => data);
  } finally {
    await trainer.close();
  }
}

/** The high bytes of multiples of the golden ratio: no two pixels look alike. */
function probeBatch(): MicroBatch {
  const images = Uint8Array.from(
    { length: ROWS * SIDE * SIDE * 3 },
    (_, index) => Math.imul(index, 0x9e3779b1) >>> 24,
  );
  return { images, labels: Int32Array.of(0, 1), colour: null, mirrored: null };
}

function isClose(actual: Float32Array, expected: Float32Array): boolean {
  const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return (
    actual.length === expected.length &&
    expected.every((value, index) => Math.abs(value - (actual[index] ?? 0)) <= TOLERANCE * scale)
  );
}
