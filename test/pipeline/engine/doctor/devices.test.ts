import { expect, it } from 'vitest';
import { devicesToTry } from '../../../../src/pipeline/engine/doctor/devices.ts';

it.each([
  [null, null, null, 0],
  [null, null, '0,1', 0],
  ['550.54.15', null, null, 1],
  ['550.54.15', 0, null, 1],
  ['550.54.15', 2, null, 2],
  ['550.54.15', 8, '3,5', 2],
  ['550.54.15', 8, '-1', 1],
  ['550.54.15', 64, null, 16],
])('driver %s, %s devices, CUDA_VISIBLE_DEVICES %s: %i GPUs', (driver, listed, visible, gpus) => {
  const devices = devicesToTry({ driver, listed, visible });
  expect(devices).toHaveLength(gpus + 2);
  expect(devices[0]).toBe('cpu');
  expect(devices.at(-1)).toBe('webgpu');
  if (gpus > 0) expect(devices[gpus]).toBe(`cuda:${gpus - 1}`);
});
