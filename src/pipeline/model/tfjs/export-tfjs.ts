/** Architecture + weights → TensorFlow.js' layers format: what `tf.loadLayersModel` reads. */
import { VERSION } from '../../../config/version.ts';
import { atCropSize, type ExportInput } from '../export-input.ts';
import { packWeights } from './pack-weights.ts';
import { describeLayers } from './topology.ts';

/** As the TensorFlow.js converter cuts them, so that browsers can cache every piece. */
const SHARD_BYTES = 4 * 1024 * 1024;

/** Name of the file that refers to the others. */
export const MODEL_FILE = 'model.json';

/**
 * File names → bytes, {@link MODEL_FILE} last. The model takes (batch, H, W, 3) float32, normalised as the card's
 * preprocessing says, and gives logits (batch, classes); its `userDefinedMetadata` hold architecture, labels and
 * preprocessing. Copies the weights once, into a buffer that the shards share; blocks the thread for about a second
 * with 244 MB.
 * @throws ImagemillError USAGE for layers that TensorFlow.js does not have
 * @throws RangeError where the crop does not fit the architecture or a tensor is missing
 */
export function exportTfjs({ architecture, weights, card }: ExportInput): Map<string, Uint8Array> {
  const sized = atCropSize(architecture, card.preprocessing);
  const layers = describeLayers(sized, card.uri);
  const packed = packWeights(sized, weights);
  const shards = Math.ceil(packed.bytes.length / SHARD_BYTES);
  const files = new Map<string, Uint8Array>();
  for (let index = 0; index < shards; index++) {
    const shard = packed.bytes.subarray(index * SHARD_BYTES, (index + 1) * SHARD_BYTES);
    files.set(`group1-shard${index + 1}of${shards}.bin`, shard);
  }
  const model = {
    format: 'layers-model',
    generatedBy: `imagemill v${VERSION}`,
    convertedBy: null,
    modelTopology: {
      keras_version: '2.12.0',
      backend: 'tensorflow',
      model_config: { class_name: 'Sequential', config: { name: sized.name, layers } },
    },
    weightsManifest: [{ paths: [...files.keys()], weights: packed.weights }],
    userDefinedMetadata: {
      architecture: card.architecture,
      scores: 'logits',
      labels: card.labels,
      preprocessing: card.preprocessing,
    },
  };
  return files.set(MODEL_FILE, Buffer.from(JSON.stringify(model)));
}
