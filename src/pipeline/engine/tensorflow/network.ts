/** A network on the device: its parameters, and stages forwards and backwards. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { parametersOf, product, type Architecture, type Shape } from '../../model/architecture.ts';
import type { StateDict } from '../../model/weights/state-dict.ts';
import { ImagemillError } from '../../../contract/errors.ts';
import type { Kernels, Parameter, Tfjs } from './kernels.ts';
import { runStage, type Pass, type PassContext } from './passes.ts';
import { keeps, parameterOf, planStages, type Stage } from './stages.ts';

export interface Runtime {
  readonly tf: Tfjs;
  readonly kernels: Kernels;
}

/** Weights in the spec's layout, as files have them, → as TensorFlow wants them: conv (k, k, in, out). */
function toDevice(tf: Tfjs, data: Float32Array, shape: Shape): Tensor {
  return tf.tidy(() => {
    const tensor = tf.tensor(data, [...shape]);
    return shape.length === 4 ? tf.transpose(tensor, [2, 3, 1, 0]) : tensor;
  });
}

function fromDevice(tf: Tfjs, tensor: Tensor, shape: Shape): Float32Array {
  if (shape.length !== 4) return (tensor.dataSync() as Float32Array).slice();
  const straight = tf.transpose(tensor, [3, 2, 0, 1]);
  // Not from inside a `tidy`: it looks for tensors in what it returns, value by value.
  const values = (straight.dataSync() as Float32Array).slice();
  straight.dispose();
  return values;
}

export interface ForwardOptions {
  readonly rows: number;
  readonly mask: PassContext['mask'];
  /** Stages from this one on keep what their gradients need. */
  readonly gradientsFrom: number;
  /** Hears of the tensor before the last matrix: the embedding, (N, F). */
  readonly onEmbedding?: (embedding: Tensor2D) => void;
}

export class TensorflowNetwork {
  readonly stages: readonly Stage[];
  readonly #runtime: Runtime;
  readonly #shapes: ReadonlyMap<string, Shape>;
  readonly #parameters = new Map<string, Parameter>();

  /**
   * Puts the weights on the device. Blocks.
   * @param velocities by name; null where nothing is trained. Missing ones of trained parameters start at zero
   */
  constructor(
    runtime: Runtime,
    architecture: Architecture,
    weights: StateDict,
    training: { readonly trained: ReadonlySet<string>; readonly velocities: StateDict } | null,
  ) {
    const { tf, kernels } = runtime;
    this.#runtime = runtime;
    this.stages = planStages(architecture);
    const parameters = parametersOf(architecture);
    this.#shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
    for (const { name, shape } of parameters) {
      const size = product(shape);
      const values = weights.get(name)?.data;
      if (values?.length !== size) {
        throw new ImagemillError('INTERNAL', `expected ${size} values of ${name}`);
      }
      const velocity = training?.trained.has(name)
        ? toDevice(tf, training.velocities.get(name)?.data ?? new Float32Array(size), shape)
        : null;
      this.#parameters.set(name, kernels.parameter(toDevice(tf, values, shape), velocity));
    }
  }

  parameter(name: string): Parameter {
    const parameter = this.#parameters.get(name);
    if (parameter === undefined) throw new ImagemillError('INTERNAL', `expected a parameter ${name}`);
    return parameter;
  }

  /** Runs every stage inside the caller's `tidy`; what nothing needs any more is freed on the way. */
  forward(input: Tensor, options: ForwardOptions): { readonly logits: Tensor2D; readonly passes: Pass[] } {
    const { gradientsFrom, onEmbedding } = options;
    const lastProduct = this.stages.findLastIndex(({ kind }) => kind === 'product');
    const passes: Pass[] = [];
    let [tensor, isNeeded] = [input, false];
    this.stages.forEach((stage, index) => {
      if (index === lastProduct) onEmbedding?.(tensor as Tensor2D);
      const pass = runStage(this.#contextOf(stage, options), stage, tensor);
      const keptHere = index >= gradientsFrom;
      const isEmbedding = index === lastProduct && onEmbedding !== undefined;
      if (!isNeeded && !(keptHere && keeps(stage).input) && !isEmbedding) tensor.dispose();
      passes.push(pass);
      tensor = pass.output;
      isNeeded = keptHere && keeps(stage).output;
    });
    return { logits: tensor as Tensor2D, passes };
  }

  /**
   * Gradients of the parameters that are trained, from the last stage down.
   * @param gradient d(loss)/d(logits)
   * @param isTrained whether a parameter of this name needs its gradient
   */
  backward(
    passes: readonly Pass[],
    gradient: Tensor,
    lowest: number,
    isTrained: (name: string) => boolean,
  ): Map<string, Tensor> {
    const gradients = new Map<string, Tensor>();
    let current = gradient;
    for (let index = passes.length - 1; index >= lowest; index--) {
      const [pass, stage] = [passes[index], this.stages[index]];
      if (pass === undefined || stage === undefined) break;
      const name = parameterOf(stage);
      const needsParameter = name !== null && isTrained(name);
      const { input, parameter } = pass.backward(current, index > lowest, needsParameter);
      if (name !== null && parameter !== null) gradients.set(name, parameter);
      current.dispose();
      pass.output.dispose();
      if (input === null) break;
      current = input;
    }
    return gradients;
  }

  /** Weights, and velocities of what is trained, in the spec's layout. Blocks until the device is done. */
  download(): { readonly weights: StateDict; readonly velocities: StateDict } {
    const { tf } = this.#runtime;
    const [weights, velocities] = [new Map(), new Map()] as [
      Map<string, StateValue>,
      Map<string, StateValue>,
    ];
    for (const [name, parameter] of this.#parameters) {
      const shape = this.#shapes.get(name) ?? [];
      const take = (tensor: Tensor): StateValue => {
        const data = fromDevice(tf, tensor, shape);
        tensor.dispose();
        return { shape, data };
      };
      weights.set(name, take(parameter.read()));
      const velocity = parameter.readVelocity();
      if (velocity !== null) velocities.set(name, take(velocity));
    }
    return { weights, velocities };
  }

  dispose(): void {
    for (const parameter of this.#parameters.values()) parameter.dispose();
  }

  #contextOf(stage: Stage, { rows, mask }: ForwardOptions): PassContext {
    const name = parameterOf(stage);
    return { ...this.#runtime, rows, mask, parameter: () => this.parameter(name ?? '').read() };
  }
}

interface StateValue {
  readonly shape: Shape;
  readonly data: Float32Array;
}
