/** Parameters as TensorFlow's resource variables: the update happens in place, on the device. */
import { randomUUID } from 'node:crypto';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Parameter, Tfjs } from './kernels.ts';
import type { Operators } from './native-backend.ts';

interface Variable {
  /** Number of the tensor that is its handle. */
  readonly handle: number;
  read(): Tensor;
  dispose(): void;
}

export function nativeParameter(
  tf: Tfjs,
  operators: Operators,
  value: Tensor,
  velocity: Tensor | null,
): Parameter {
  const weight = createVariable(operators, value);
  const moving = velocity === null ? null : createVariable(operators, velocity);
  const { flag } = operators.attributes;
  return {
    read: () => weight.read(),
    readVelocity: () => moving && moving.read(),
    update({ gradient, rate, weightDecay, momentum, nesterov }) {
      if (moving === null) return;
      const decayed = weightDecay === 0 ? gradient : withDecay(tf, gradient, weight, weightDecay);
      const scalars = [tf.scalar(rate), decayed, tf.scalar(momentum)];
      const [rateId = 0, gradientId = 0, momentumId = 0] = operators.ids(scalars);
      operators.runRaw(
        'ResourceApplyMomentum',
        [operators.float, flag('use_locking', false), flag('use_nesterov', nesterov)],
        [weight.handle, moving.handle, rateId, gradientId, momentumId],
        0,
      );
    },
    dispose() {
      weight.dispose();
      moving?.dispose();
    },
  };
}

/** The value that was read is let go before the update: TensorFlow would copy the variable otherwise. */
function withDecay(tf: Tfjs, gradient: Tensor, weight: Variable, weightDecay: number): Tensor {
  return tf.tidy(() => tf.add(gradient, tf.mul(weight.read(), weightDecay)));
}

/** Takes the value over. */
function createVariable(operators: Operators, value: Tensor): Variable {
  const { binding, attributes } = operators;
  const dtype = attributes.type('dtype', binding.TF_FLOAT);

  const [created] = operators.runRaw(
    'VarHandleOp',
    [
      dtype,
      attributes.shape('shape', value.shape),
      attributes.text('container', ''),
      attributes.text('shared_name', randomUUID()),
    ],
    [],
    1,
  );
  if (created === undefined) throw new Error('expected the output of VarHandleOp');
  const handle = created.id;
  operators.runRaw('AssignVariableOp', [dtype], [handle, ...operators.ids([value])], 0);
  value.dispose();
  return {
    handle,
    read() {
      const [read] = operators.runRaw('ReadVariableOp', [dtype], [handle], 1);
      if (read === undefined) throw new Error('expected the output of ReadVariableOp');
      return operators.wrap(read);
    },
    dispose() {
      operators.runRaw('DestroyResourceOp', [attributes.flag('ignore_lookup_error', true)], [handle], 0);
      binding.deleteTensor(handle);
    },
  };
}
