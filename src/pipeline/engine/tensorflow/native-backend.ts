/** The part of tfjs-node that takes any operator of TensorFlow by name: its binding, and tensors by number. */
import type { Tensor, Tensor4D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Tfjs } from './kernels.ts';

export interface OperatorAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

export interface TensorMetadata {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

/** What tfjs_binding.node exports and this engine uses. */
export interface Binding {
  createTensor(
    shape: readonly number[],
    dtype: number,
    values: Uint8Array | Int32Array | Float32Array,
  ): number;
  deleteTensor(id: number): void;
  executeOp(
    name: string,
    attributes: readonly OperatorAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): TensorMetadata[];
  isUsingGpuDevice(): boolean;
  /** Alive in TensorFlow: what is not freed stays until the process ends. */
  getNumOfTensors(): number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_UINT8: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  /** Of the library under it: `2.18.1`. */
  readonly TF_Version: string;
}

/** tfjs-node's backend, as far as it is used. */
export interface NodeBackend {
  readonly binding: Binding;
  readonly isUsingGpuDevice: boolean;
  createOutputTensor(metadata: TensorMetadata): Tensor;
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
}

/** null where the library's backend is another one. */
export function nodeBackend(tf: Tfjs): NodeBackend | null {
  const backend = tf.backend() as unknown as Partial<NodeBackend>;
  return tf.getBackend() === 'tensorflow' && backend.binding !== undefined ? (backend as NodeBackend) : null;
}

/** Attributes of operators, in the form of the binding. */
export function attributesFor(binding: Binding) {
  return {
    integer: (name: string, value: number | readonly number[]) => ({
      name,
      type: binding.TF_ATTR_INT,
      value,
    }),
    text: (name: string, value: string) => ({ name, type: binding.TF_ATTR_STRING, value }),
    flag: (name: string, value: boolean) => ({ name, type: binding.TF_ATTR_BOOL, value }),
    type: (name: string, value: number) => ({ name, type: binding.TF_ATTR_TYPE, value }),
    shape: (name: string, value: readonly number[]) => ({ name, type: binding.TF_ATTR_SHAPE, value }),
  };
}

/** Runs operators on tensors of TensorFlow.js. */
export class Operators {
  readonly binding: Binding;
  readonly attributes: ReturnType<typeof attributesFor>;
  readonly float: OperatorAttribute;
  readonly #backend: NodeBackend;

  constructor(backend: NodeBackend) {
    this.#backend = backend;
    this.binding = backend.binding;
    this.attributes = attributesFor(backend.binding);
    this.float = this.attributes.type('T', backend.binding.TF_FLOAT);
  }

  /** An operator with one output. */
  run(name: string, attributes: readonly OperatorAttribute[], inputs: readonly Tensor[]): Tensor {
    return this.#wrap(this.binding.executeOp(name, attributes, this.ids(inputs), 1));
  }

  /** An operator with one output, (N, H, W, C). */
  run4d(name: string, attributes: readonly OperatorAttribute[], inputs: readonly Tensor[]): Tensor4D {
    return this.run(name, attributes, inputs) as Tensor4D;
  }

  /** An operator on numbered tensors. */
  runRaw(name: string, attributes: readonly OperatorAttribute[], inputs: readonly number[], outputs: number) {
    return this.binding.executeOp(name, attributes, inputs, outputs);
  }

  /** Takes the tensor over: it is freed with the one that is returned. */
  wrap(metadata: TensorMetadata): Tensor {
    return this.#backend.createOutputTensor(metadata);
  }

  ids(tensors: readonly Tensor[]): number[] {
    return this.#backend.getInputTensorIds(tensors);
  }

  #wrap([output]: TensorMetadata[]): Tensor {
    if (output === undefined) throw new Error('expected an output');
    return this.wrap(output);
  }
}
