import { createSession, imageTensor, runSession } from './session.ts';
import { ImagemillError } from '../../../contract/errors.ts';

export interface ProbeResult {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Runs a graph once on the CPU with noise, to see what its output is like. Blocks the thread for seconds.
 * @param onnx one input (rows, height, width, 3) uint8, one output float32
 * @throws ImagemillError ENGINE_UNAVAILABLE, ENGINE_FAILED
 */
export async function probeGraph(
  onnx: Uint8Array,
  shape: readonly [rows: number, height: number, width: number, channels: 3],
): Promise<ProbeResult> {
  const { session, runtime } = await createSession(onnx, { device: 'cpu', threads: 1 });
  try {
    const [output] = await runSession(session, imageTensor(runtime, noise(shape), shape));
    if (output === undefined || !(output.data instanceof Float32Array)) {
      throw new ImagemillError('ENGINE_FAILED', `expected a float output, got ${output?.type ?? 'none'}`);
    }
    return { shape: output.dims, data: output.data };
  } finally {
    await session.release();
  }
}

/** The same bytes every time: the high byte of a linear congruential sequence (Numerical Recipes' constants). */
function noise(shape: readonly number[]): Uint8Array {
  const pixels = new Uint8Array(shape.reduce((size, dimension) => size * dimension, 1));
  let state = 1;
  for (let index = 0; index < pixels.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pixels[index] = state >>> 24;
  }
  return pixels;
}
