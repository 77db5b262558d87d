/** Architecture + weights → a plain ONNX file that any runtime takes: normalised pixels in, logits out. */
import { atCropSize, type ExportInput } from '../export-input.ts';
import { describeModel } from '../model-metadata.ts';
import { BATCH_DIMENSION } from './classifier-ends.ts';
import { encodeModel } from './encode-model.ts';
import { DATA_TYPE, encodeValueInfo, GraphBuilder } from './graph-builder.ts';
import { appendInferenceNetwork } from './inference-network.ts';

/**
 * ONNX, opset 17, default operator set only. Input `input`: (batch, 3, H, W) float32, normalised as the card's
 * preprocessing says. Output `logits`: (batch, classes) float32. Weights keep torchvision's names; `metadata_props` hold
 * architecture, labels and preprocessing. Copies the weights once.
 * @throws RangeError where the crop does not fit the architecture or a tensor is missing
 */
export function exportOnnx({ architecture, weights, card }: ExportInput): Uint8Array {
  const sized = atCropSize(architecture, card.preprocessing);
  const { channels, height, width } = sized.input;
  const graph = new GraphBuilder();
  const { logits } = appendInferenceNetwork(graph, sized, weights, 'input');
  graph.node('Identity', [logits], {}, 'logits');
  return encodeModel({
    name: sized.name,
    graph,
    inputs: [encodeValueInfo('input', DATA_TYPE.float, [BATCH_DIMENSION, channels, height, width])],
    outputs: [encodeValueInfo('logits', DATA_TYPE.float, [BATCH_DIMENSION, sized.classes])],
    metadata: describeModel(card),
  });
}
