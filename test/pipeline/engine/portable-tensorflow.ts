/** The engine tensorflow without a native library: the same code on the backend of TensorFlow.js in plain JavaScript. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import type { Runtime } from '../../../src/pipeline/engine/tensorflow/network.ts';
import { portableKernels } from '../../../src/pipeline/engine/tensorflow/portable-kernels.ts';

export async function portableRuntime(): Promise<Runtime> {
  // It advertises tfjs-node otherwise.
  tf.env().set('IS_TEST', true);
  await tf.setBackend('cpu');
  return { tf, kernels: portableKernels(tf) };
}
