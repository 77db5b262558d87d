import { describeModel } from '../model/model-metadata.ts';
import { withMetadata } from '../model/onnx/onnx-model.ts';
import { writeSafetensors } from '../model/weights/safetensors.ts';
import type { LoadedModel } from './load-model.ts';

/**
 * The model as one self-describing file: weights as safetensors, ONNX as it came, both with architecture, labels and
 * preprocessing in their metadata. Copies the weights once.
 */
export function exportModel(model: LoadedModel): Uint8Array {
  const metadata = describeModel(model.card);
  return model.source.kind === 'weights'
    ? writeSafetensors(model.source.weights, metadata)
    : withMetadata(model.source.model, metadata);
}
