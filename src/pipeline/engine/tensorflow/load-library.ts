/** Loads TensorFlow: the only place that does. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ImagemillError } from '../../../contract/errors.ts';
import { asEngineError } from './errors.ts';
import { findLibraries, type Candidate } from './find-library.ts';
import { HOW_TO_GET_IT } from './how-to-get-it.ts';
import type { Tfjs } from './kernels.ts';
import { nodeBackend } from './native-backend.ts';
import { nativeKernels } from './native-kernels.ts';
import type { Runtime } from './network.ts';

/** What a process was told to compute on; where GPUs are concerned its environment decides which: see gpuEnvironment. */
export interface LibraryOptions {
  /** `auto`, `cpu` or `cuda:N`. */
  readonly device: string;
  readonly tensorflowDirectory: string | undefined;
}

export interface LoadedLibrary extends Runtime {
  readonly candidate: Candidate;
  /** Of TensorFlow itself: `2.18.1`. */
  readonly tensorflowVersion: string;
  readonly usesGpu: boolean;
}

/**
 * The first TensorFlow that loads and has the device.
 * @throws ImagemillError ENGINE_UNAVAILABLE, with what was found and how to get what is missing
 */
export function loadLibrary({ device, tensorflowDirectory }: LibraryOptions): LoadedLibrary {
  if (!/^(auto|cpu|cuda:\d+)$/.test(device)) {
    throw unavailable(`expected a device cpu or cuda:N for the engine tensorflow, got "${device}"`);
  }
  const candidates = findLibraries(tensorflowDirectory);
  const faults: string[] = [];
  for (const candidate of candidates) {
    const found = candidate.fault === null ? loadCandidate(candidate) : candidate.fault;
    if (typeof found === 'string') faults.push(`${candidate.package} (${candidate.origin}): ${found}`);
    else if (!device.startsWith('cuda') || found.usesGpu) return found;
    else faults.push(`${candidate.package} (${candidate.origin}): ${whyNoGpu(found)}`);
  }
  if (faults.length === 0) {
    throw unavailable(`the engine tensorflow needs TensorFlow, and none is here: ${HOW_TO_GET_IT}`);
  }
  const what = device.startsWith('cuda')
    ? `the device ${device} cannot be used by TensorFlow`
    : 'TensorFlow cannot be loaded';
  throw unavailable(`${what}: ${faults.join('; ')}`);
}

/** @returns the library, or why it does not load */
export function loadCandidate(candidate: Candidate): LoadedLibrary | string {
  replaceRemovedUtilities();
  try {
    const load = createRequire(join(candidate.directory, 'package.json'));
    const tf = load(candidate.directory) as Tfjs;
    const backend = nodeBackend(tf);
    if (backend === null) return `its backend is "${tf.getBackend()}", not TensorFlow`;
    return {
      tf,
      kernels: nativeKernels(tf, backend),
      candidate,
      tensorflowVersion: backend.binding.TF_Version,
      usesGpu: backend.isUsingGpuDevice,
    };
  } catch (error) {
    return asEngineError(error).message.replace(/^TensorFlow: /, '');
  }
}

/** tfjs-node 4.22 calls what Node 23 has removed, and what warns of its removal in others. */
function replaceRemovedUtilities(): void {
  const util = createRequire(import.meta.url)('node:util') as Record<string, unknown>;
  util['isNullOrUndefined'] = (value: unknown): boolean => value === null || value === undefined;
  util['isArray'] = Array.isArray;
}

export const DRIVER_FILE = '/proc/driver/nvidia/version';
/** For the CUDA 12 that TensorFlow's wheels are built with: NVIDIA's table of minor version compatibility. */
const OLDEST_DRIVER = 525;

/**
 * What keeps a TensorFlow that has loaded from using a GPU.
 * @param driver version of the driver; null: none is loaded
 */
export function whyNoGpu(
  { candidate, tensorflowVersion }: Pick<LoadedLibrary, 'candidate' | 'tensorflowVersion'>,
  driver: string | null = driverVersion(),
): string {
  if (driver === null) return `no NVIDIA driver is loaded (${DRIVER_FILE} is missing)`;
  if (candidate.package === '@tensorflow/tfjs-node') {
    return 'it computes on the processor only; npm run setup:tensorflow -- --cuda builds one for the GPU';
  }
  if (Number.parseInt(driver, 10) < OLDEST_DRIVER) {
    return `the NVIDIA driver ${driver} is too old: expected ${OLDEST_DRIVER} or newer`;
  }
  return `TensorFlow ${tensorflowVersion} sees no GPU with the NVIDIA driver ${driver}; with TF_CPP_MIN_LOG_LEVEL=0 it says why`;
}

/** `550.54.15`; null without a driver. */
export function driverVersion(): string | null {
  try {
    return /\s(\d+\.\d+(\.\d+)?)\s/.exec(readFileSync(DRIVER_FILE, 'utf8'))?.[1] ?? 'of unknown version';
  } catch {
    return null;
  }
}

function unavailable(message: string): ImagemillError {
  return new ImagemillError('ENGINE_UNAVAILABLE', message);
}
