import type { Tensor } from '@tensorflow/tfjs-core';
import type { OperatorAttribute, Operators } from './native-backend.ts';

type TypedValues = Parameters<Operators['binding']['createTensor']>[2];

/**
 * Operators on numbered tensors of types that TensorFlow.js does not know, so that its `tidy` cannot free them. All of
 * them are freed when the scope ends.
 */
export class RawScope {
  readonly #operators: Operators;
  readonly #owned: number[] = [];

  private constructor(operators: Operators) {
    this.#operators = operators;
  }

  static use<R>(operators: Operators, work: (scope: RawScope) => R): R {
    const scope = new RawScope(operators);
    try {
      return work(scope);
    } finally {
      for (const id of scope.#owned) operators.binding.deleteTensor(id);
    }
  }

  /** A tensor of a type that JavaScript has. */
  tensor(dtype: number, shape: readonly number[], values: TypedValues): number {
    return this.adopt(this.#operators.binding.createTensor(shape, dtype, values));
  }

  /** Takes over a tensor that was made elsewhere. */
  adopt(id: number): number {
    this.#owned.push(id);
    return id;
  }

  /** An operator with one output. */
  run(name: string, attributes: readonly OperatorAttribute[], inputs: readonly number[]): number {
    return this.adopt(this.#outputOf(name, attributes, inputs).id);
  }

  /** The last operator: its output outlives the scope, as float32. @param from the type of the input */
  castToFloat(input: number, from: number): Tensor {
    const { binding, attributes } = this.#operators;
    const cast = [
      attributes.type('SrcT', from),
      attributes.type('DstT', binding.TF_FLOAT),
      attributes.flag('Truncate', false),
    ];
    return this.#operators.wrap(this.#outputOf('Cast', cast, [input]));
  }

  #outputOf(name: string, attributes: readonly OperatorAttribute[], inputs: readonly number[]) {
    const [output] = this.#operators.runRaw(name, attributes, inputs, 1);
    if (output === undefined) throw new Error(`expected the output of ${name}`);
    return output;
  }
}
