import { differenceOf, FILTER, IMAGE, MATRIX } from '../doctor/known-sum.ts';
import type { ProbeAnswer } from '../doctor/protocol.ts';
import { asEngineError } from './errors.ts';
import type { Candidate } from './find-library.ts';
import { driverVersion, loadCandidate, whyNoGpu, type LoadedLibrary } from './load-library.ts';

/**
 * Loads one TensorFlow and computes a known sum with it. Belongs in a process of its own: a binding that was built for
 * another library ends it. What is computed on is for the environment to say, see tensorflowEnvironment.
 */
export function tryLibrary(candidate: Candidate): ProbeAnswer {
  const library = loadCandidate(candidate);
  if (typeof library === 'string') {
    return { state: 'missing', detail: library, tensorflow: null, usesGpu: null };
  }
  const { tensorflowVersion: tensorflow, usesGpu } = library;
  const facts = { tensorflow, usesGpu };
  try {
    const difference = differenceOf(knownSum(library));
    if (difference !== null) return { state: 'wrong', detail: difference, ...facts };
    const hasDriver = driverVersion() !== null;
    return { state: 'works', detail: hasDriver && !usesGpu ? whyNoGpu(library) : null, ...facts };
  } catch (error) {
    return { state: 'fails', detail: asEngineError(error).message.replace(/^TensorFlow: /, ''), ...facts };
  }
}

/** By the operators that the engine uses. */
function knownSum({ tf, kernels }: LoadedLibrary): ArrayLike<number> {
  return tf.tidy(() => {
    const convolved = kernels.convolve(
      tf.tensor4d([...IMAGE], [1, 3, 3, 1]),
      tf.tensor4d([...FILTER], [2, 2, 1, 1]),
      { kernel: 2, stride: 1, pad: 0 },
    );
    return tf.matMul(tf.reshape(convolved, [2, 2]), tf.tensor2d([...MATRIX], [2, 2])).dataSync();
  });
}
