/** Model files → a card that describes them and graphs that run them. */
import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import {
  modelCard,
  preprocessingSchema,
  type ModelCard,
  type Preprocessing,
} from '../../contract/model-card.ts';
import { embeddingSize, parameterCount, type Architecture } from '../model/architecture.ts';
import { withoutVelocities } from '../model/checkpoint.ts';
import { matchArchitecture, plainNames, withInputSize } from '../model/match-architecture.ts';
import { chooseLabels, METADATA_KEYS, readPreprocessing, type Metadata } from '../model/model-metadata.ts';
import type { CompileOptions } from '../model/onnx/classifier-ends.ts';
import { compileClassifier } from '../model/onnx/compile-classifier.ts';
import { detectModelFormat } from '../model/weights/detect.ts';
import { readPyTorch } from '../model/weights/pytorch.ts';
import { readSafetensors } from '../model/weights/safetensors.ts';
import type { StateDict } from '../model/weights/state-dict.ts';
import { sha256 } from '../../storage/digest.ts';
import type { ClassifierGraph } from './engine.ts';
import { loadOnnx, openOnnx, type OnnxSource } from './load-onnx.ts';

export interface LoadOptions {
  /** Where the bytes come from: names the file in messages and in the card. */
  readonly uri: string;
  /** Overrides what the file says; needed where two architectures have the same tensors (`alexnet-caffe`). */
  readonly architecture?: string;
  /** One per class; override those of the file. */
  readonly labels?: readonly string[];
  /** Replaces parts of what the file or the architecture says. */
  readonly preprocessing?: Partial<Preprocessing>;
}

interface WeightsSource {
  readonly kind: 'weights';
  readonly architecture: Architecture;
  readonly weights: StateDict;
}

export interface LoadedModel {
  readonly card: ModelCard;
  readonly source: WeightsSource | OnnxSource;
  /** @throws ImagemillError MODEL_NOT_A_CLASSIFIER where the graph has no embeddings or cannot take the crops */
  compile(options: CompileOptions): ClassifierGraph;
}

/**
 * Reads a model file, checks it and describes it. Blocks the thread: about a second for 244 MB of weights; a few
 * for a foreign ONNX file, which is run once on noise to see that it runs and what comes out.
 * @throws ImagemillError MODEL_FORMAT_UNKNOWN, MODEL_CORRUPT, MODEL_UNSAFE, MODEL_SHAPE_MISMATCH,
 *   MODEL_NOT_A_CLASSIFIER, MODEL_LABELS_MISMATCH; USAGE for an unknown architecture or impossible preprocessing;
 *   ENGINE_UNAVAILABLE
 */
export async function loadModel(bytes: Uint8Array, options: LoadOptions): Promise<LoadedModel> {
  const { uri } = options;
  const format = detectModelFormat(bytes, uri);
  if (format === null) {
    throw new ImagemillError(
      'MODEL_FORMAT_UNKNOWN',
      `${uri}: expected a safetensors, PyTorch or ONNX file, got ${bytes.length} bytes of something else`,
    );
  }
  if (format === 'onnx') {
    const found = await loadOnnx(bytes, { ...options, preprocessing: checked(options) });
    const card = modelCard.schema.parse({
      schema: modelCard.id,
      uri,
      digest: sha256(bytes),
      format,
      ...found.card,
    });
    return { card, source: found.source, compile: (compile) => found.source.compile(card, compile) };
  }
  const { weights, metadata } = readWeights(bytes, format, uri);
  const known = options.architecture ?? metadata.get(METADATA_KEYS.architecture);
  const architecture = matchArchitecture(weights, known, uri);
  const preprocessing = mergePreprocessing(
    readPreprocessing(metadata, uri) ?? architecture.preprocessing,
    options,
  );
  withInputSize(architecture, preprocessing.crop, weights, uri);
  const card = modelCard.schema.parse({
    schema: modelCard.id,
    uri,
    digest: sha256(bytes),
    format,
    architecture: architecture.name,
    classes: architecture.classes,
    parameters: parameterCount(architecture),
    ...chooseLabels(options.labels, metadata, architecture.classes, uri),
    preprocessing,
    scores: 'logits',
    embeddingSize: embeddingSize(architecture),
  });
  return fromWeights(card, architecture, weights);
}

/**
 * A model that {@link loadModel} has described before, without trying anything again: the card decides. Blocks the
 * thread for up to a second with 244 MB of weights.
 * @throws ImagemillError MODEL_DIGEST_CHANGED where the bytes are not those of the card; MODEL_*
 */
export function openFromCard(bytes: Uint8Array, card: ModelCard): LoadedModel {
  const digest = sha256(bytes);
  if (digest !== card.digest) {
    throw new ImagemillError('MODEL_DIGEST_CHANGED', `${card.uri}: expected ${card.digest}, got ${digest}`);
  }
  if (card.format === 'onnx') {
    const source = openOnnx(bytes, card.uri);
    return { card, source, compile: (options) => source.compile(card, options) };
  }
  const { weights } = readWeights(bytes, card.format, card.uri);
  const architecture = matchArchitecture(weights, card.architecture, card.uri);
  return fromWeights(card, architecture, weights);
}

function fromWeights(card: ModelCard, architecture: Architecture, weights: StateDict): LoadedModel {
  const { preprocessing } = card;
  return {
    card,
    source: { kind: 'weights', architecture, weights },
    compile: (options) => compileClassifier({ architecture, weights, preprocessing, options }),
  };
}

function readWeights(
  bytes: Uint8Array,
  format: 'safetensors' | 'pytorch',
  where: string,
): { readonly weights: StateDict; readonly metadata: Metadata } {
  if (format === 'pytorch') return { weights: plainNames(readPyTorch(bytes, where)), metadata: new Map() };
  const { tensors, metadata } = readSafetensors(bytes, where);
  return { weights: plainNames(withoutVelocities(tensors)), metadata: new Map(Object.entries(metadata)) };
}

function checked(options: LoadOptions): (base: Preprocessing) => Preprocessing {
  return (base) => mergePreprocessing(base, options);
}

function mergePreprocessing(base: Preprocessing, options: LoadOptions): Preprocessing {
  const result = preprocessingSchema.safeParse({ ...base, ...options.preprocessing });
  if (!result.success) {
    throw new ImagemillError('USAGE', `${options.uri}: preprocessing: ${describeIssues(result.error)}`);
  }
  if (result.data.std.includes(0)) {
    throw new ImagemillError(
      'USAGE',
      `${options.uri}: preprocessing: expected std other than 0, got ${result.data.std.join(', ')}`,
    );
  }
  return result.data;
}
