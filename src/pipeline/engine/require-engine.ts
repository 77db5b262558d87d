import { ImagemillError } from '../../contract/errors.ts';
import { probeEngine, type ProbeOptions } from './doctor/probe-engine.ts';
import { findLibraries } from './tensorflow/find-library.ts';
import { HOW_TO_GET_IT } from './tensorflow/how-to-get-it.ts';

export interface WantedEngine {
  readonly engine: string;
  readonly device: string;
  readonly tensorflowDirectory: string;
}

/**
 * Tries an optional engine in a process of its own before any work is taken: a worker that cannot compute would fail
 * one job after another. ONNX Runtime is always there and is not tried.
 * @throws ImagemillError ENGINE_UNAVAILABLE; the signal's reason
 */
export async function requireEngine(wanted: WantedEngine, options: ProbeOptions): Promise<void> {
  const { engine, device, tensorflowDirectory } = wanted;
  if (engine !== 'tensorflow') return;
  const faults: string[] = [];
  for (const { fault, ...facts } of findLibraries(tensorflowDirectory)) {
    const name = `${facts.package} (${facts.origin})`;
    if (fault !== null) {
      faults.push(`${name}: ${fault}`);
      continue;
    }
    const outcome = await probeEngine({ engine, candidate: { ...facts, fault } }, options);
    const lacksGpu = device.startsWith('cuda') && outcome.usesGpu !== true;
    if (outcome.state === 'works' && !lacksGpu) return;
    faults.push(`${name}: ${outcome.detail ?? (lacksGpu ? `sees no GPU for ${device}` : outcome.state)}`);
  }
  throw new ImagemillError(
    'ENGINE_UNAVAILABLE',
    faults.length === 0
      ? `the engine tensorflow needs TensorFlow, and none is here: ${HOW_TO_GET_IT}`
      : `the engine tensorflow cannot compute here: ${faults.join('; ')}; imagemill doctor says what mends it`,
  );
}
