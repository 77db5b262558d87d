/** Finds which architecture a set of weights belongs to. */
import { ImagemillError } from '../../contract/errors.ts';
import { describeShape, parametersOf, type Architecture } from './architecture.ts';
import {
  ARCHITECTURE_NAMES,
  architectureByName,
  createArchitecture,
  type ArchitectureName,
} from './architectures.ts';
import type { StateDict } from './weights/state-dict.ts';

/** `alexnet-caffe` has the tensors of `alexnet-2012`, so it is never found by shape. */
const CANDIDATES: readonly ArchitectureName[] = ['alexnet-owt', 'alexnet-2012', 'alexnet-small'];

/** Tensors named in a message at most. */
const MAX_NAMED = 3;

/** What torch.nn.DataParallel puts before every name. */
const PARALLEL_PREFIX = 'module.';

/** The weights under the names of a plain model. */
export function plainNames(weights: StateDict): StateDict {
  const names = [...weights.keys()];
  if (names.length === 0 || !names.every((name) => name.startsWith(PARALLEL_PREFIX))) return weights;
  return new Map(Array.from(weights, ([name, tensor]) => [name.slice(PARALLEL_PREFIX.length), tensor]));
}

/**
 * The architecture whose parameters are exactly these weights; the number of classes is the last layer's.
 * @param name where it is known already: from the command line or from the file's metadata
 * @throws ImagemillError MODEL_SHAPE_MISMATCH with the first tensors that differ; USAGE for an unknown name
 */
export function matchArchitecture(weights: StateDict, name: string | undefined, where: string): Architecture {
  const candidates = (name === undefined ? CANDIDATES : [name]).map((candidate) =>
    sized(candidate, weights, where),
  );
  const compared = candidates.map((architecture) => ({
    architecture,
    faults: compareWeights(architecture, weights),
  }));
  const [best] = compared.toSorted((a, b) => a.faults.length - b.faults.length);
  if (best === undefined || best.faults.length > 0) {
    throw mismatch(best?.architecture.name ?? '', best?.faults ?? [], where);
  }
  return best.architecture;
}

/**
 * The architecture for pixels of another size than its own.
 * @throws ImagemillError MODEL_SHAPE_MISMATCH where the weights fit one size only
 */
export function withInputSize(
  architecture: Architecture,
  size: { readonly height: number; readonly width: number },
  weights: StateDict,
  where: string,
): Architecture {
  const resized = {
    ...architecture,
    input: { channels: 3 as const, height: size.height, width: size.width },
  };
  const crop = `${architecture.name} with a crop of ${size.width}×${size.height}`;
  let faults: string[];
  try {
    faults = compareWeights(resized, weights);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    faults = [error.message];
  }
  if (faults.length > 0) throw mismatch(crop, faults, where);
  return resized;
}

function sized(name: string, weights: StateDict, where: string): Architecture {
  const template = architectureByName(name, 1);
  if (template === undefined) {
    throw new ImagemillError(
      'USAGE',
      `${where}: expected one of the architectures ${ARCHITECTURE_NAMES.join(', ')}, got "${name}"`,
    );
  }
  const lastWeight = parametersOf(template).findLast(({ init }) => init.role === 'weight');
  const classes = weights.get(lastWeight?.name ?? '')?.shape[0];
  return architectureByName(name, classes ?? 1000) ?? createArchitecture('alexnet-owt', { classes: 1000 });
}

/** One phrase per tensor that is missing, too many, or of another shape. */
function compareWeights(architecture: Architecture, weights: StateDict): string[] {
  const parameters = parametersOf(architecture);
  const expected = new Set(parameters.map(({ name }) => name));
  const faults = parameters.flatMap(({ name, shape }) => {
    const got = weights.get(name);
    if (got !== undefined && describeShape(got.shape) === describeShape(shape)) return [];
    return [
      `${name} expected ${describeShape(shape)}, got ${got === undefined ? 'none' : describeShape(got.shape)}`,
    ];
  });
  const surplus = Array.from(weights).filter(([name]) => !expected.has(name));
  return [
    ...faults,
    ...surplus.map(([name, { shape }]) => `${name} expected none, got ${describeShape(shape)}`),
  ];
}

function mismatch(name: string, faults: readonly string[], where: string): ImagemillError {
  const more = faults.length > MAX_NAMED ? `; and ${faults.length - MAX_NAMED} more` : '';
  return new ImagemillError(
    'MODEL_SHAPE_MISMATCH',
    `${where}: the weights do not fit ${name}: ${faults.slice(0, MAX_NAMED).join('; ')}${more}`,
  );
}
