/** What the tests of the exporters share. */
import { modelCard, type ModelCard, type Preprocessing } from '../../../src/contract/model-card.ts';
import {
  embeddingSize,
  parameterCount,
  parametersOf,
  product,
  type Architecture,
} from '../../../src/pipeline/model/architecture.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';

/** The card of a model that was never a file. */
export function cardOf(architecture: Architecture): ModelCard {
  return {
    schema: modelCard.id,
    uri: `${architecture.name}.safetensors`,
    digest: 'sha256:0',
    format: 'safetensors',
    architecture: architecture.name,
    classes: architecture.classes,
    parameters: parameterCount(architecture),
    labels: Array.from({ length: architecture.classes }, (_, index) => `class ${index}`),
    labelsFrom: 'file',
    preprocessing: architecture.preprocessing,
    scores: 'logits',
    embeddingSize: embeddingSize(architecture),
  };
}

/** The same architecture with hidden linear layers of 64 values: nearly all of the weights, and of a test's time. */
export function narrow(architecture: Architecture): Architecture {
  const blocks = architecture.blocks.map((block) => ({
    ...block,
    layers: block.layers.map((layer, index) =>
      layer.kind === 'linear' && index < block.layers.length - 1 ? { ...layer, out: 64 } : layer,
    ),
  }));
  return { ...architecture, blocks };
}

/** Uniform values with the variance that keeps activations alive, from a generator far faster than initialisation. */
export function cheapWeights(architecture: Architecture): StateDict {
  let state = 1;
  return new Map(
    parametersOf(architecture).map(({ name, shape, fanIn }) => {
      const data = new Float32Array(product(shape));
      const scale = Math.sqrt(6 / fanIn);
      for (let index = 0; index < data.length; index++) {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        data[index] = (state / 2 ** 31 - 1) * scale;
      }
      return [name, { shape, data }];
    }),
  );
}

/** (count, size, size, 3) uint8 → float32 as the preprocessing says, in either layout. */
export function normalise(
  pixels: Uint8Array,
  { crop, scale, mean, std, channelOrder }: Preprocessing,
  layout: 'nchw' | 'nhwc',
): Float32Array {
  const area = crop.height * crop.width;
  const result = new Float32Array(pixels.length);
  pixels.forEach((value, index) => {
    const source = index % 3;
    const channel = channelOrder === 'bgr' ? 2 - source : source;
    const pixel = Math.floor(index / 3);
    const [image, place] = [Math.floor(pixel / area), pixel % area];
    const at = layout === 'nhwc' ? pixel * 3 + channel : (image * 3 + channel) * area + place;
    result[at] = (value * scale - (mean[channel] ?? 0)) / (std[channel] ?? 1);
  });
  return result;
}
