/** ONNX classifiers that imagemill did not write: what they say of themselves, and what a trial run shows. */
import { ImagemillError } from '../../contract/errors.ts';
import { TORCHVISION_PREPROCESSING, type ModelCard, type Preprocessing } from '../../contract/model-card.ts';
import { chooseLabels, readPreprocessing } from '../model/model-metadata.ts';
import type { CompileOptions } from '../model/onnx/classifier-ends.ts';
import { findClassifier, type FoundClassifier } from '../model/onnx/find-classifier.ts';
import { readOnnxModel, type OnnxModel } from '../model/onnx/onnx-model.ts';
import {
  buildProbe,
  checkPreprocessing,
  wrapClassifier,
  type WrapCard,
} from '../model/onnx/wrap-classifier.ts';
import type { ClassifierGraph } from './engine.ts';
import { probeGraph, type ProbeResult } from './onnxruntime/probe.ts';

/** Name of the architecture of a graph that is not ours. */
const ARCHITECTURE = 'onnx';

/** Probabilities add up to 1 within this; float16 models need it. */
const SUM_TOLERANCE = 0.01;

export interface OnnxSource {
  readonly kind: 'onnx';
  readonly model: OnnxModel;
  readonly found: FoundClassifier;
  compile(card: WrapCard, options: CompileOptions): ClassifierGraph;
}

interface LoadOnnxOptions {
  readonly uri: string;
  readonly labels?: readonly string[];
  /** What was asked for, over what the file says. */
  readonly preprocessing: (base: Preprocessing) => Preprocessing;
}

/**
 * Parses the file and finds its ends, without running it.
 * @throws ImagemillError MODEL_CORRUPT, MODEL_FORMAT_UNKNOWN, MODEL_NOT_A_CLASSIFIER
 */
export function openOnnx(bytes: Uint8Array, where: string): OnnxSource {
  const model = readOnnxModel(bytes, where);
  const found = findClassifier(model, where);
  return {
    kind: 'onnx',
    model,
    found,
    compile: (card, options) => wrapClassifier(model, found, card, options, where),
  };
}

/** Opens the file and runs it once on noise: the number of classes and the kind of scores are what comes out. */
export async function loadOnnx(
  bytes: Uint8Array,
  options: LoadOnnxOptions,
): Promise<{
  readonly source: OnnxSource;
  readonly card: Omit<ModelCard, 'schema' | 'uri' | 'digest' | 'format'>;
}> {
  const { uri } = options;
  const source = openOnnx(bytes, uri);
  const { model, found } = source;
  const preprocessing = options.preprocessing(
    readPreprocessing(model.metadata, uri) ?? defaultPreprocessing(found),
  );
  checkPreprocessing(found, preprocessing, uri);
  const result = await runProbe(source, preprocessing, uri);
  const classes = classesOf(result, uri);
  const card = {
    architecture: ARCHITECTURE,
    classes,
    parameters: model.parameters,
    ...chooseLabels(options.labels, model.metadata, classes, uri),
    preprocessing,
    scores: found.scores ?? kindOf(result.data, classes),
    embeddingSize: found.embedding?.size ?? null,
  };
  return { source, card };
}

/** ImageNet's habits, at the size the graph wants; uint8 inputs normalise by themselves. */
function defaultPreprocessing(found: FoundClassifier): Preprocessing {
  const { crop, resize } = TORCHVISION_PREPROCESSING;
  const height = found.height ?? found.width ?? crop.height;
  const width = found.width ?? found.height ?? crop.width;
  const margin = (resize.kind === 'short-side' ? resize.size : crop.height) / crop.height;
  const values =
    found.type === 'uint8' ? { scale: 1, mean: [0, 0, 0] as const, std: [1, 1, 1] as const } : {};
  return {
    ...TORCHVISION_PREPROCESSING,
    resize: { kind: 'short-side', size: Math.round(Math.max(height, width) * margin) },
    crop: { height, width },
    ...structuredClone(values),
  } as Preprocessing;
}

async function runProbe(
  source: OnnxSource,
  preprocessing: Preprocessing,
  where: string,
): Promise<ProbeResult> {
  const { onnx, rows } = buildProbe(source.model, source.found, preprocessing);
  const { height, width } = preprocessing.crop;
  try {
    return await probeGraph(onnx, [rows, height, width, 3]);
  } catch (error) {
    if (!(error instanceof ImagemillError) || error.code !== 'ENGINE_FAILED') throw error;
    throw new ImagemillError(
      'MODEL_CORRUPT',
      `${where}: expected a graph that runs on a batch of images; ${error.message}`,
      {
        cause: error,
      },
    );
  }
}

function classesOf({ shape }: ProbeResult, where: string): number {
  const [, classes = 0, ...trailing] = shape;
  if (shape.length >= 2 && classes >= 2 && trailing.every((size) => size === 1)) return classes;
  throw new ImagemillError(
    'MODEL_NOT_A_CLASSIFIER',
    `${where}: expected an output (batch, classes), got (${shape.join(', ')})`,
  );
}

/** Rows of numbers between 0 and 1 that add up to 1 are probabilities; noise as logits never looks like that. */
function kindOf(data: Float32Array, classes: number): ModelCard['scores'] {
  for (let start = 0; start < data.length; start += classes) {
    const row = data.subarray(start, start + classes);
    const sum = row.reduce((total, value) => total + value, 0);
    if (Math.abs(sum - 1) > SUM_TOLERANCE || row.some((value) => value < 0 || value > 1)) return 'logits';
  }
  return 'probabilities';
}
