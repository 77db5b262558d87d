import { ImagemillError } from '../../contract/errors.ts';
import { describeShape, parametersOf, type Architecture } from './architecture.ts';
import { plainNames } from './match-architecture.ts';
import { detectModelFormat } from './weights/detect.ts';
import { readPyTorch } from './weights/pytorch.ts';
import { readSafetensors } from './weights/safetensors.ts';
import type { StateDict } from './weights/state-dict.ts';

/**
 * Weights to fine-tune from: those of the file, except that the last layer stays random where it has another number
 * of classes.
 * @param random initial weights of the architecture
 * @throws ImagemillError MODEL_FORMAT_UNKNOWN, MODEL_CORRUPT, MODEL_UNSAFE; MODEL_SHAPE_MISMATCH where the file is of
 *   another architecture
 */
export function startFromModel(
  bytes: Uint8Array,
  where: string,
  architecture: Architecture,
  random: StateDict,
): StateDict {
  const found = readWeightsFile(bytes, where);
  const parameters = parametersOf(architecture);
  const head = new Set(parameters.slice(-2).map(({ name }) => name));
  return new Map(
    parameters.map(({ name, shape }) => {
      const tensor = found.get(name);
      if (tensor !== undefined && describeShape(tensor.shape) === describeShape(shape)) return [name, tensor];
      const initial = random.get(name);
      if (initial !== undefined && head.has(name) && tensor !== undefined) return [name, initial];
      throw new ImagemillError(
        'MODEL_SHAPE_MISMATCH',
        `${where}: expected ${name} ${describeShape(shape)} of ${architecture.name} to start from, got ${tensor === undefined ? 'none' : describeShape(tensor.shape)}`,
      );
    }),
  );
}

/** @throws ImagemillError as {@link startFromModel} */
function readWeightsFile(bytes: Uint8Array, where: string): StateDict {
  const format = detectModelFormat(bytes, where);
  if (format === 'safetensors') return plainNames(readSafetensors(bytes, where).tensors);
  if (format === 'pytorch') return plainNames(readPyTorch(bytes, where));
  throw new ImagemillError(
    'MODEL_FORMAT_UNKNOWN',
    `${where}: expected weights as safetensors or PyTorch to start from, got ${format ?? 'another file'}`,
  );
}
