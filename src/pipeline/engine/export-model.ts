import { ImagemillError } from '../../contract/errors.ts';
import { matchArchitecture } from '../model/match-architecture.ts';
import { describeModel } from '../model/model-metadata.ts';
import { exportOnnx } from '../model/onnx/export-network.ts';
import { withMetadata } from '../model/onnx/onnx-model.ts';
import { exportTfjs } from '../model/tfjs/export-tfjs.ts';
import { writeSafetensors } from '../model/weights/safetensors.ts';
import type { LoadedModel } from './load-model.ts';

export const EXPORT_FORMATS = ['safetensors', 'onnx', 'tfjs'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export type ExportedModel =
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  /** By name, in the order in which they have to be written: the file that refers to the others comes last. */
  | { readonly kind: 'folder'; readonly files: ReadonlyMap<string, Uint8Array> };

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

/**
 * The model in the format of another tool, with labels and preprocessing in its metadata. Copies the weights once;
 * blocks the thread for about a second with 244 MB.
 * @throws ImagemillError USAGE where the format cannot hold the model: graphs stay ONNX, and TensorFlow.js lacks layers
 */
export function exportModelAs(model: LoadedModel, format: ExportFormat): ExportedModel {
  const { card, source } = model;
  if (source.kind === 'onnx') {
    if (format === 'onnx') return { kind: 'file', bytes: exportModel(model) };
    throw new ImagemillError(
      'USAGE',
      `${card.uri}: expected AlexNet weights to export as ${format}, got an ONNX graph, which can be exported as onnx only`,
    );
  }
  if (format === 'safetensors') return { kind: 'file', bytes: exportModel(model) };
  const { weights } = source;
  const input = { architecture: matchArchitecture(weights, card.architecture, card.uri), weights, card };
  return format === 'onnx'
    ? { kind: 'file', bytes: exportOnnx(input) }
    : { kind: 'folder', files: exportTfjs(input) };
}
