/** The native TensorFlow of this machine, for tests that need it. */
import { readSettings } from '../../../src/config/environment.ts';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { loadLibrary, type LoadedLibrary } from '../../../src/pipeline/engine/tensorflow/load-library.ts';
import { tensorflowEnvironment } from '../../../src/pipeline/engine/tensorflow/process-environment.ts';

export const NATIVE_TENSORFLOW = 'native TensorFlow (npm run setup:tensorflow)';

export const { tensorflowDirectory } = readSettings(process.env).worker;

/** null where there is none. A process has one device: the first that is asked for. */
export function nativeTensorflow(device: 'cpu' | 'cuda:0'): LoadedLibrary | null {
  // Full float32, so that results can be compared.
  Object.assign(process.env, tensorflowEnvironment(device, process.env), { NVIDIA_TF32_OVERRIDE: '0' });
  try {
    return loadLibrary({ device, tensorflowDirectory });
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'ENGINE_UNAVAILABLE') return null;
    throw error;
  }
}
