import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findLibraries, type Candidate } from '../../../../src/pipeline/engine/tensorflow/find-library.ts';
import { loadLibrary, whyNoGpu } from '../../../../src/pipeline/engine/tensorflow/load-library.ts';
import { writeFakeTensorflow } from '../../../support/fake-tensorflow.ts';
import { titleNeeding } from '../../../support/needs.ts';

const GPU = '@tensorflow/tfjs-node-gpu';
const CPU = '@tensorflow/tfjs-node';
/** As much of tfjs-node as loading looks at. */
const loads = (usesGpu: boolean): string => `
  const backend = { binding: { TF_Version: '2.99.0' }, isUsingGpuDevice: ${usesGpu} };
  module.exports = { getBackend: () => 'tensorflow', backend: () => backend };`;

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'imagemill-load-'))));
afterEach(() => rmSync(root, { recursive: true }));

const load = (device: string) => loadLibrary({ device, tensorflowDirectory: root });
/** Would be tried after what is built, and be found where nothing was. */
const isInstalled = findLibraries(undefined).length > 0;
const alone = (title: string): string => titleNeeding('a machine without TensorFlow', !isInstalled, title);

describe('loadLibrary', () => {
  it.each(['auto', 'cpu'])('takes what is built, on the device %s', (device) => {
    writeFakeTensorflow(root, loads(false));
    expect(load(device)).toMatchObject({ tensorflowVersion: '2.99.0', usesGpu: false });
  });

  it('takes one for a GPU where it sees one', () => {
    writeFakeTensorflow(root, loads(true), true, GPU);
    expect(load('cuda:0')).toMatchObject({ candidate: { package: GPU }, usesGpu: true });
  });

  it.each(['webgpu', 'gpu', 'cuda', 'cuda:x'])('refuses the device %s', (device) => {
    writeFakeTensorflow(root, loads(false));
    expect(() => load(device)).toThrow(
      `expected a device cpu or cuda:N for the engine tensorflow, got "${device}"`,
    );
  });

  it.skipIf(isInstalled)(alone('says how to get one where there is none'), () => {
    expect(() => load('auto')).toThrow(
      'the engine tensorflow needs TensorFlow, and none is here: npm run setup:tensorflow',
    );
  });

  it.skipIf(isInstalled).each([
    [
      'auto',
      "throw new Error('libtensorflow.so.2: cannot open\\nshared object file')",
      'TensorFlow cannot be loaded: @tensorflow/tfjs-node (built): libtensorflow.so.2: cannot open shared object file',
    ],
    [
      'cpu',
      "module.exports = { getBackend: () => 'cpu', backend: () => ({}) }",
      'TensorFlow cannot be loaded: @tensorflow/tfjs-node (built): its backend is "cpu", not TensorFlow',
    ],
    [
      'cuda:0',
      loads(false),
      'the device cuda:0 cannot be used by TensorFlow: @tensorflow/tfjs-node (built): ',
    ],
  ])(alone('says in one line why the device %s cannot be had'), (device, script, message) => {
    writeFakeTensorflow(root, script);
    expect(() => load(device)).toThrow(expect.objectContaining({ code: 'ENGINE_UNAVAILABLE' }));
    expect(() => load(device)).toThrow(message);
  });
});

describe('whyNoGpu', () => {
  const library = (name: Candidate['package']) => ({
    candidate: { package: name, origin: 'built', directory: root, version: '4.22.0', fault: null } as const,
    tensorflowVersion: '2.21.0',
  });

  it.each([
    [GPU, null, /^no NVIDIA driver is loaded \(.* is missing\)$/],
    [CPU, '550.54.15', /^it computes on the processor only; npm run setup:tensorflow -- --cuda builds one/],
    [GPU, '470.256.02', /^the NVIDIA driver 470\.256\.02 is too old: expected 525 or newer$/],
    [
      GPU,
      '550.54.15',
      /^TensorFlow 2\.21\.0 sees no GPU with the NVIDIA driver 550\.54\.15; with TF_CPP_MIN_LOG_LEVEL=0/,
    ],
    [GPU, 'of unknown version', /^TensorFlow 2\.21\.0 sees no GPU/],
  ] as const)('%s with the driver %s', (name, driver, expected) => {
    expect(whyNoGpu(library(name), driver)).toMatch(expected);
  });
});
