/** Runs training graphs directly, with buffers of their own, and compares tensors with references. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Tensor } from 'onnxruntime-node';
import { ModelProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import type {
  MicroBatch,
  TrainerSpec,
  TrainingPosition,
  TrainingState,
} from '../../../src/pipeline/engine/trainer.ts';
import { createSession } from '../../../src/pipeline/engine/onnxruntime/session.ts';
import { probeConvolutionForm } from '../../../src/pipeline/engine/onnxruntime/probe-convolutions.ts';
import { parametersOf, product } from '../../../src/pipeline/model/architecture.ts';
import { fillDropoutMask } from '../../../src/pipeline/model/dropout-mask.ts';
import {
  STANDARD_FORM,
  type ConvolutionForm,
} from '../../../src/pipeline/model/onnx/training/convolution-form.ts';
import { compileStep } from '../../../src/pipeline/model/onnx/training/compile-training.ts';
import { masksOf, TENSOR } from '../../../src/pipeline/model/onnx/training/training-network.ts';
import { trainedParameters } from '../../../src/pipeline/model/training-network.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { CPU } from './support.ts';

export interface NamedForm {
  readonly title: string;
  readonly form: ConvolutionForm;
  readonly present: boolean;
}

const probed = await probeConvolutionForm(CPU);

/** Both ways of writing convolutions; the blocked one of this machine, which may have none. */
export const FORMS: readonly NamedForm[] = [
  { title: 'standard convolutions', form: STANDARD_FORM, present: true },
  { title: 'blocked convolutions', form: probed, present: probed.kind === 'blocked' },
];

/** ‖actual − expected‖ / ‖expected‖; 0 where both are zero. */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length || actual.length === 0) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    const value = expected[index] ?? Number.NaN;
    difference += ((actual[index] ?? Number.NaN) - value) ** 2;
    size += value ** 2;
  }
  if (Number.isNaN(difference) || Number.isNaN(size)) return Number.POSITIVE_INFINITY;
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

/** The same network without weight decay: its first velocities, from zero, are its gradients. */
export function withoutDecay(spec: TrainerSpec): TrainerSpec {
  const parameters = [...spec.parameters].map(
    ([name, training]) => [name, { ...training, weightDecay: 0 }] as const,
  );
  return { ...spec, parameters: new Map(parameters) };
}

export type Outputs = ReadonlyMap<string, Float32Array>;

export const LOGITS = 'logits';

/** A step graph whose every output is a new buffer; besides its own outputs it gives {@link LOGITS}. */
export interface StepGraph {
  run(batch: MicroBatch, position: TrainingPosition, state: StepState): Promise<Outputs>;
  close(): Promise<void>;
}

export interface StepState extends TrainingState {
  readonly learningRate: number;
  /** Gradient sums so far; those that are missing are zero. */
  readonly sums?: Outputs;
}

export async function openStep(spec: TrainerSpec, form: ConvolutionForm): Promise<StepGraph> {
  const { session, runtime } = await createSession(withLogits(compileStep({ ...spec, form })), CPU);
  const float = (data: Float32Array, shape: readonly number[]): Tensor =>
    new runtime.Tensor('float32', data, shape);
  const rows = spec.microBatchSize;
  return {
    async run({ images, labels, colour }, position, state) {
      const { height, width } = spec.architecture.input;
      const feeds: Record<string, Tensor> = {
        [TENSOR.images]: new runtime.Tensor('uint8', images, [rows, height, width, 3]),
        [TENSOR.labels]: new runtime.Tensor('int64', BigInt64Array.from(labels, BigInt), [rows]),
        [TENSOR.learningRate]: float(Float32Array.of(state.learningRate), [1]),
      };
      if (colour !== null) {
        feeds[TENSOR.matrices] = float(colour.matrices, [rows, 3, 3]);
        feeds[TENSOR.greyShifts] = float(colour.greyShifts, [rows]);
        feeds[TENSOR.shifts] = float(colour.shifts, [rows, 3]);
      }
      for (const { name, shape, values } of maskTensors(spec, position)) feeds[name] = float(values, shape);
      for (const [name, { data, shape }] of state.weights) feeds[name] = float(data, shape);
      for (const { name, shape } of trainedParameters(spec)) {
        const zeros = (): Float32Array => new Float32Array(product(shape));
        feeds[TENSOR.velocity(name)] = float(state.velocities.get(name)?.data ?? zeros(), shape);
        feeds[TENSOR.sum(name)] = float(state.sums?.get(TENSOR.next(TENSOR.sum(name))) ?? zeros(), shape);
      }
      const wanted = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
      const results = await session.run(Object.fromEntries(wanted));
      const named = session.outputNames.map((name, index) => {
        const isLogits = index === session.outputNames.length - 1;
        return [isLogits ? LOGITS : name, results[name]?.data as Float32Array] as const;
      });
      return new Map(named);
    },
    close: () => session.release(),
  };
}

/** The state after a step, from the graph's outputs. */
export function stateAfter(
  { architecture }: TrainerSpec,
  outputs: Outputs,
  before: StateDict,
): TrainingState {
  const parameters = parametersOf(architecture);
  return {
    weights: new Map(
      parameters.map(({ name, shape }) => {
        const data = outputs.get(TENSOR.next(name)) ?? before.get(name)?.data ?? new Float32Array();
        return [name, { shape, data }];
      }),
    ),
    velocities: new Map(
      parameters.flatMap(({ name, shape }) => {
        const data = outputs.get(TENSOR.next(TENSOR.velocity(name)));
        return data === undefined ? [] : [[name, { shape, data }] as const];
      }),
    ),
  };
}

function maskTensors(spec: TrainerSpec, { epoch, step, micro }: TrainingPosition) {
  const { microBatchSize: rows, batchSize, seed } = spec;
  return masksOf(spec.architecture).map(({ name, shape, probability }, layer) => {
    const values = new Float32Array(rows * product(shape));
    const batch = step * (batchSize / rows) + micro;
    fillDropoutMask(values, probability, { seed, epoch, batch, layer });
    return { name, shape: [rows, ...shape], values };
  });
}

/** The same graph with what its softmax takes as another output. */
function withLogits(onnx: Uint8Array): Uint8Array {
  const model = fromBinary(ModelProtoSchema, onnx);
  const softmax = model.graph?.node.find(({ opType }) => opType === 'LogSoftmax');
  const [logits] = softmax?.input ?? [];
  if (logits === undefined) throw new Error('expected a graph with a LogSoftmax');
  model.graph?.output.push(create(ValueInfoProtoSchema, { name: logits }));
  return toBinary(ModelProtoSchema, model);
}
