import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { probeConvolutionForm } from '../../../../src/pipeline/engine/onnxruntime/probe-convolutions.ts';
import { OnnxruntimeTrainer } from '../../../../src/pipeline/engine/onnxruntime/trainer.ts';
import {
  CONVOLUTION_FORMS,
  STANDARD_FORM,
  type ConvolutionForm,
} from '../../../../src/pipeline/model/onnx/training/convolution-form.ts';
import { batchOf, initialWeights, trainingCase } from '../../../reference/training/cases.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { CPU } from '../support.ts';
import { distance, withoutDecay } from '../training-support.ts';

const isX64 = process.arch === 'x64';
const isX64Linux = isX64 && process.platform === 'linux';

it.each(['cuda:0', 'webgpu', 'cpux'])('writes standard convolutions for the device %s', async (device) => {
  expect(await probeConvolutionForm({ device, threads: 1 })).toBe(STANDARD_FORM);
});

it.skipIf(!isX64Linux)(
  titleNeeding(
    'x64 Linux',
    isX64Linux,
    'finds the block that is as wide as the vectors of the processor, every time',
  ),
  async () => {
    const hasAvx512 = /\bavx512f\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
    const expected = { kind: 'blocked', block: hasAvx512 ? 16 : 8 };
    expect(await probeConvolutionForm(CPU)).toEqual(expected);
    expect(await probeConvolutionForm({ device: 'cpu', threads: 1 })).toEqual(expected);
  },
);

it.skipIf(isX64)(
  titleNeeding(
    'another processor than x64',
    !isX64,
    'writes standard convolutions where blocked ones are unknown',
  ),
  async () => {
    expect(await probeConvolutionForm(CPU)).toBe(STANDARD_FORM);
  },
);

it.skipIf(!isX64)(
  titleNeeding(
    'an x64 processor',
    isX64,
    'is needed: the other block gives wrong gradients without a complaint',
  ),
  async () => {
    const small = trainingCase('alexnet-small');
    const weights = initialWeights(small);
    // So many images fill blocks of either size.
    const spec = { ...withoutDecay(small.spec), batchSize: 16, microBatchSize: 16 };
    const training = { ...small, spec };
    const gradientsOf = async (form: ConvolutionForm): Promise<number[]> => {
      const state = { weights, velocities: new Map() };
      const trainer = await OnnxruntimeTrainer.create(spec, form, state, CPU);
      await trainer.train(batchOf(training, 0, 0), { epoch: 1, step: 0, micro: 0 }, 0);
      const gradients = ['features.0', 'features.3', 'features.6'].flatMap((layer) => [
        ...(trainer.state().velocities.get(`${layer}.weight`)?.data ?? []),
      ]);
      await trainer.close();
      return gradients;
    };
    const probed = await probeConvolutionForm(CPU);
    const other = CONVOLUTION_FORMS.find(
      (form) => form.kind === 'blocked' && probed.kind === 'blocked' && form.block !== probed.block,
    );
    const expected = await gradientsOf(STANDARD_FORM);
    expect(distance(await gradientsOf(probed), expected)).toBeLessThan(1e-4);
    expect(distance(await gradientsOf(other ?? STANDARD_FORM), expected)).toBeGreaterThan(0.1);
  },
);
