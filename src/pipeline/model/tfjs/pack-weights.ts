/** torch's layouts → TensorFlow's, in one buffer. */
import {
  placeLayers,
  product,
  type Architecture,
  type ConvLayer,
  type PlacedLayer,
} from '../architecture.ts';
import { weightOf } from '../export-input.ts';
import type { StateDict } from '../weights/state-dict.ts';

/** Outputs that are transposed together: as many float32 as a cache line holds. */
const TILE = 16;

/** An entry of the weights manifest. */
export interface TfjsWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'float32';
}

export interface PackedWeights {
  readonly weights: readonly TfjsWeight[];
  /** The values of all weights, one after the other, little-endian. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One weight tensor as (outputs, inputs, positions): OIHW, or a linear layer behind a flattened (C, H, W). */
interface Kernel {
  readonly outputs: number;
  /** Inputs of every output, before groups are spread out. */
  readonly inputs: number;
  /** Pixels of the kernel or of the flattened image. */
  readonly positions: number;
  readonly groups: number;
}

interface Parameters {
  readonly path: string;
  readonly kernel: Kernel;
  /** In torch's layout. */
  readonly source: readonly number[];
  /** In TensorFlow's layout. */
  readonly target: readonly number[];
}

/**
 * Kernels and biases in order of the layers: conv OIHW → HWIO, linear (out, in) → (in, out), whose inputs after a
 * flattening change from (C, H, W) to (H, W, C). TensorFlow.js ignores the groups of a convolution in silence, so
 * grouped kernels become dense ones with zeros between the groups. Makes one copy of the weights; blocks the thread for
 * about a second with 244 MB.
 * @throws RangeError where a tensor is missing
 */
export function packWeights(architecture: Architecture, weights: StateDict): PackedWeights {
  const layers = parametersByLayer(architecture);
  const sizes = layers.map(({ kernel, target }) => product(target) + kernel.outputs);
  const values = new Float32Array(sizes.reduce((sum, size) => sum + size, 0));
  const packed: TfjsWeight[] = [];
  let offset = 0;
  for (const { path, kernel, source, target } of layers) {
    const size = product(target);
    moveOutputsLast(
      weightOf(weights, `${path}.weight`, source),
      kernel,
      values.subarray(offset, offset + size),
    );
    values.set(weightOf(weights, `${path}.bias`, [kernel.outputs]), offset + size);
    offset += size + kernel.outputs;
    packed.push({ name: `${path}/kernel`, shape: target, dtype: 'float32' });
    packed.push({ name: `${path}/bias`, shape: [kernel.outputs], dtype: 'float32' });
  }
  return { weights: packed, bytes: new Uint8Array(values.buffer) };
}

function parametersByLayer(architecture: Architecture): Parameters[] {
  let flattened: readonly number[] = [];
  return placeLayers(architecture).flatMap((placed): Parameters[] => {
    const { layer, path, input } = placed;
    if (layer.kind === 'flatten' && input.length === 3) flattened = input;
    if (layer.kind === 'conv') return [convolution(placed, layer)];
    if (layer.kind !== 'linear') return [];
    const [features = 0] = input;
    const [channels = features, height = 1, width = 1] = flattened;
    flattened = [];
    return [
      {
        path,
        kernel: { outputs: layer.out, inputs: channels, positions: height * width, groups: 1 },
        source: [layer.out, features],
        target: [features, layer.out],
      },
    ];
  });
}

function convolution({ path, input }: PlacedLayer, { out, kernel, groups }: ConvLayer): Parameters {
  const [channels = 0] = input;
  const inputs = channels / groups;
  return {
    path,
    kernel: { outputs: out, inputs, positions: kernel * kernel, groups },
    source: [out, inputs, kernel, kernel],
    target: [kernel, kernel, channels, out],
  };
}

/** (outputs, inputs, positions) → (positions, groups × inputs, outputs); `target` holds zeros. */
function moveOutputsLast(source: Float32Array, kernel: Kernel, target: Float32Array): void {
  const { outputs, inputs, positions, groups } = kernel;
  const perGroup = outputs / groups;
  for (let group = 0; group < groups; group++) {
    const groupEnd = (group + 1) * perGroup;
    for (let tile = group * perGroup; tile < groupEnd; tile += TILE) {
      const end = Math.min(tile + TILE, groupEnd);
      for (let input = 0; input < inputs; input++) {
        for (let position = 0; position < positions; position++) {
          const from = input * positions + position;
          const to = (position * groups * inputs + group * inputs + input) * outputs;
          for (let output = tile; output < end; output++) {
            target[to + output] = source[output * inputs * positions + from] ?? 0;
          }
        }
      }
    }
  }
}
