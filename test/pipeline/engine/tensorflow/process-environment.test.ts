import { describe, expect, it } from 'vitest';
import {
  isGreeting,
  tensorflowEnvironment,
} from '../../../../src/pipeline/engine/tensorflow/process-environment.ts';

describe('tensorflowEnvironment', () => {
  it.each([
    ['cpu', undefined, '-1'],
    ['cpu', '0,1', '-1'],
    ['auto', undefined, '0'],
    ['auto', '3,1', '3'],
    ['cuda:1', undefined, '1'],
    ['cuda:1', '3, GPU-5d5ba0d6', 'GPU-5d5ba0d6'],
    ['cuda:2', '3,1', '-1'],
    ['auto', '', '-1'],
  ])('shows a process for %s one GPU at most, of %s', (device, visible, expected) => {
    const { CUDA_VISIBLE_DEVICES } = tensorflowEnvironment(device, { CUDA_VISIBLE_DEVICES: visible });
    expect(CUDA_VISIBLE_DEVICES).toBe(expected);
  });

  it('lets memory grow and is quiet, unless it was told otherwise', () => {
    const standard = { TF_FORCE_GPU_ALLOW_GROWTH: 'true', TF_CPP_MIN_LOG_LEVEL: '2' };
    expect(tensorflowEnvironment('cpu', {})).toMatchObject(standard);
    expect(tensorflowEnvironment('cpu', { TF_CPP_MIN_LOG_LEVEL: '0' })).toMatchObject({
      ...standard,
      TF_CPP_MIN_LOG_LEVEL: '0',
    });
    expect(tensorflowEnvironment('cpu', { IMAGEMILL_ENGINE_THREADS: '3' })['TF_NUM_INTRAOP_THREADS']).toBe(
      '3',
    );
  });
});

describe('isGreeting', () => {
  it.each([
    ['WARNING: All log messages before absl::InitializeLog() is called are written to STDERR', true],
    ['I0000 00:00:1795894217.916908   30147 port.cc:153] oneDNN custom operations are on.', true],
    ['W0000 00:00:1795894217.916908   30147 gpu_device.cc:2433] Cannot dlopen some GPU libraries.', false],
    ['terminate called after throwing an instance of std::bad_alloc', false],
  ])('knows what nobody needs to see: %s', (line, expected) => {
    expect(isGreeting(line, {})).toBe(expected);
    expect(isGreeting(line, { TF_CPP_MIN_LOG_LEVEL: '0' })).toBe(false);
  });
});
