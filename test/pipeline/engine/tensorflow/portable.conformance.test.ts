/**
 * The engine's code on the backend of TensorFlow.js in plain JavaScript, on a tiny network: machines without a native
 * TensorFlow test it as well. What TensorFlow's own operators give is tested in trainer.conformance.test.ts.
 */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { initialWeights, trainingCase } from '../../../reference/training/cases.ts';
import { tensorflow } from '../conformance-engine.ts';
import { expectSame } from '../expect-reference.ts';
import { portableRuntime } from '../portable-tensorflow.ts';
import { readTrainingReference, runCase } from '../training-reference.ts';

const REFERENCES = new URL('../../../reference/training/', import.meta.url).pathname;

it('gives what PyTorch gives on the network odd-sizes, to 1e-4', { timeout: 120_000 }, async () => {
  const training = trainingCase('odd-sizes');
  const runtime = await portableRuntime();
  const before = runtime.tf.memory().numTensors;
  const engine = tensorflow('plain JavaScript', runtime, 'nothing');
  const reference = readTrainingReference(join(REFERENCES, `${training.name}.json`));
  const weights = initialWeights(training);
  expectSame(training, await runCase(training, engine, weights, reference), reference, weights);
  expect(runtime.tf.memory().numTensors).toBe(before);
});
