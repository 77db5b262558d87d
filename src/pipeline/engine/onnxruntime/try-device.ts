import { createRequire } from 'node:module';
import { z } from 'zod';
import { asImagemillError, ImagemillError } from '../../../contract/errors.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder } from '../../model/onnx/graph-builder.ts';
import { encodeModel } from '../../model/onnx/encode-model.ts';
import { differenceOf, FILTER, IMAGE, MATRIX } from '../doctor/known-sum.ts';
import type { ProbeAnswer } from '../doctor/protocol.ts';
import { createSession, runSession, type OnnxSession } from './session.ts';

/**
 * Computes a known sum on a device and on nothing else. Belongs in a process of its own, which a missing or broken
 * driver can end.
 * @param device `cpu`, `cuda:N` or `webgpu`
 */
export async function tryDevice(device: string): Promise<ProbeAnswer> {
  const answer = (state: ProbeAnswer['state'], detail: string | null): ProbeAnswer => ({
    state,
    detail,
    tensorflow: null,
    usesGpu: null,
  });
  let opened: OnnxSession;
  try {
    opened = await createSession(knownSumGraph(), { device, threads: 1, diagnosing: true });
  } catch (error) {
    return answer('missing', causeOf(error));
  }
  try {
    const image = new opened.runtime.Tensor('float32', Float32Array.from(IMAGE), [1, 1, 3, 3]);
    const [output] = await runSession(opened.session, image);
    const difference = differenceOf(output?.data instanceof Float32Array ? output.data : []);
    return difference === null ? answer('works', null) : answer('wrong', difference);
  } catch (error) {
    return answer('fails', causeOf(error));
  }
}

/** Input (1, 1, 3, 3) float32, output (1, 1, 2, 2) float32. */
function knownSumGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const filter = graph.floats('filter', [1, 1, 2, 2], Float32Array.from(FILTER));
  const matrix = graph.floats('matrix', [2, 2], Float32Array.from(MATRIX));
  const convolved = graph.node('Conv', ['image', filter], { kernel_shape: [2, 2] });
  graph.node('MatMul', [convolved, matrix], {}, 'sum');
  return encodeModel({
    name: 'known sum',
    graph,
    inputs: [encodeValueInfo('image', DATA_TYPE.float, [1, 1, 3, 3])],
    outputs: [encodeValueInfo('sum', DATA_TYPE.float, [1, 1, 2, 2])],
  });
}

/** What the library says, without what this engine says before it. */
function causeOf(error: unknown): string {
  const { message } = asImagemillError(error);
  return error instanceof ImagemillError ? message.replace(/^.*?: /, '') : message;
}

const manifestSchema = z.object({ version: z.string() });

/** Of the package onnxruntime-node, which is not loaded; null where it is not there. */
export function onnxruntimeVersion(): string | null {
  try {
    const manifest: unknown = createRequire(import.meta.url)('onnxruntime-node/package.json');
    return manifestSchema.parse(manifest).version;
  } catch {
    return null;
  }
}
