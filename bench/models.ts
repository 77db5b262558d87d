/** One model in the formats of everyone who is measured: the same weights as safetensors and as plain ONNX. */
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TORCHVISION_PREPROCESSING } from '../src/contract/model-card.ts';
import { placeLayers, type Architecture } from '../src/pipeline/model/architecture.ts';
import { createArchitecture, type ArchitectureName } from '../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../src/pipeline/model/init.ts';
import { METADATA_KEYS } from '../src/pipeline/model/model-metadata.ts';
import { appendLayer } from '../src/pipeline/model/onnx/compile-network.ts';
import {
  DATA_TYPE,
  encodeOpset,
  encodeValueInfo,
  GraphBuilder,
} from '../src/pipeline/model/onnx/graph-builder.ts';
import { ProtoWriter } from '../src/pipeline/model/onnx/protobuf.ts';
import { writeSafetensors } from '../src/pipeline/model/weights/safetensors.ts';
import type { StateDict } from '../src/pipeline/model/weights/state-dict.ts';

export const CLASSES = 1_000;
const SEED = 0;
/** Goes into the names of cached files: whoever changes how weights are made counts it up. */
const VERSION = 3;
/** In pixels of the input, out of the eleven of a filter. */
const FIRST_LAYER_BLUR_SIGMA = 6;

const IR_VERSION = 8;
const OPSET = 17;

/** Resampling filters as Pillow numbers them, which is what `preprocessor_config.json` holds. */
const BILINEAR = 2;

export interface BenchModel {
  /** Path of the weights with torchvision's names, for imagemill and for torchvision. */
  readonly safetensors: string;
  /** Folder that holds the model as transformers.js reads it. */
  readonly transformersFolder: string;
}

/** Writes the model in both formats, unless it is there already. */
export async function prepareModel(cache: string, name: ArchitectureName): Promise<BenchModel> {
  const folder = join(cache, `${name}-v${VERSION}`);
  const model = {
    safetensors: join(folder, `${name}.safetensors`),
    transformersFolder: join(folder, 'transformers'),
  };
  if (existsSync(folder)) return model;
  const architecture = createArchitecture(name, { classes: CLASSES });
  const weights = opinionatedWeights(architecture, initialiseWeights(architecture, SEED));
  // Built under another name, so that an interrupted run leaves nothing that looks complete.
  const draft = `${folder}.${process.pid}`;
  await writeFiles(draft, {
    [`${name}.safetensors`]: writeSafetensors(weights, { [METADATA_KEYS.architecture]: name }),
    'transformers/onnx/model.onnx': encodeLogitsModel(architecture, weights),
    'transformers/config.json': JSON.stringify(transformersConfig()),
    'transformers/preprocessor_config.json': JSON.stringify(preprocessorConfig()),
  });
  await rename(draft, folder);
  return model;
}

async function writeFiles(folder: string, files: Record<string, Uint8Array | string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

/**
 * Makes a net that has learnt nothing say different things of different images, and the same of one image whoever
 * resized it. As initialised it does neither: biases and the mean of every layer's input outweigh the rest, and noise
 * in a filter responds to the last bit of a pixel. So biases are dropped; filters of the first layer are blurred, and
 * those after it average their windows; and every unit's weights are centred, and scaled to keep the variance through
 * a ReLU (He et al. 2015). The cost of a forward pass does not depend on the values.
 */
export function opinionatedWeights(architecture: Architecture, weights: StateDict): StateDict {
  const windows = windowsOf(architecture);
  const [first] = weights.keys();
  return new Map(
    [...weights].map(([name, { shape, data }]) => {
      const window = windows.get(name);
      if (window === undefined) return [name, { shape, data: new Float32Array(data.length) }];
      const smooth = name === first ? blurKernels(data, Math.sqrt(window)) : averageWindows(data, window);
      const gain = name === first ? 1 : 1 / Math.sqrt(window);
      return [name, { shape, data: normaliseUnits(smooth, shape[0] ?? 1, gain) }];
    }),
  );
}

/** Positions of the input that a unit sees of each channel, by the name of the unit's weights. */
function windowsOf(architecture: Architecture): Map<string, number> {
  const windows = new Map<string, number>();
  let flattened = 1;
  for (const { layer, path, input } of placeLayers(architecture)) {
    if (layer.kind === 'conv') windows.set(`${path}.weight`, layer.kernel ** 2);
    if (layer.kind === 'flatten') flattened = (input[1] ?? 1) * (input[2] ?? 1);
    if (layer.kind === 'linear') {
      windows.set(`${path}.weight`, flattened);
      flattened = 1;
    }
  }
  return windows;
}

function averageWindows(data: Float32Array, window: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += window) {
    const values = data.subarray(start, start + window);
    result.fill(values.reduce((sum, value) => sum + value, 0) / window, start, start + window);
  }
  return result;
}

/** Each (side, side) kernel convolved with a Gaussian, zeros around it. */
function blurKernels(data: Float32Array, side: number): Float32Array {
  const bell = Array.from({ length: side }, (_, distance) =>
    Math.exp(-(distance ** 2) / (2 * FIRST_LAYER_BLUR_SIGMA ** 2)),
  );
  const alongRows = blurLines(data, side, { line: side, step: 1 }, bell);
  return blurLines(alongRows, side, { line: 1, step: side }, bell);
}

function blurLines(
  data: Float32Array,
  side: number,
  { line, step }: { line: number; step: number },
  bell: readonly number[],
): Float32Array {
  return data.map((_, index) => {
    const kernel = index - (index % side ** 2);
    const start = kernel + line * (Math.floor((index % side ** 2) / line) % side);
    const at = Math.floor((index % side ** 2) / step) % side;
    let sum = 0;
    for (let other = 0; other < side; other++) {
      sum += (data[start + other * step] ?? 0) * (bell[Math.abs(other - at)] ?? 0);
    }
    return sum;
  });
}

/** Mean 0 and variance gain² × 2 ÷ fan-in for every unit. */
function normaliseUnits(data: Float32Array, units: number, gain: number): Float32Array {
  const fanIn = data.length / units;
  const result = new Float32Array(data.length);
  for (let unit = 0; unit < units; unit++) {
    const own = data.subarray(unit * fanIn, (unit + 1) * fanIn);
    const mean = own.reduce((sum, value) => sum + value, 0) / fanIn;
    const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / fanIn;
    const scale = gain * Math.sqrt(2 / fanIn / variance);
    for (let index = 0; index < fanIn; index++) {
      result[unit * fanIn + index] = ((own[index] ?? 0) - mean) * scale;
    }
  }
  return result;
}

/** `pixel_values` (batch, 3, H, W) float32, normalised → `logits` (batch, classes): what exporters write. */
function encodeLogitsModel(architecture: Architecture, weights: StateDict): Uint8Array {
  const graph = new GraphBuilder();
  for (const [name, { shape, data }] of weights) graph.floats(name, shape, data, name);
  const last = placeLayers(architecture).reduce(
    (tensor, layer) =>
      appendLayer(graph, layer, tensor, (path) => ({ weight: `${path}.weight`, bias: `${path}.bias` })),
    'pixel_values',
  );
  graph.node('Identity', [last], {}, 'logits');
  const { channels, height, width } = architecture.input;
  const body = new ProtoWriter();
  for (const node of graph.nodes) body.message(1, node);
  body.string(2, architecture.name);
  for (const tensor of graph.initializers) body.message(5, tensor);
  body.message(11, encodeValueInfo('pixel_values', DATA_TYPE.float, ['batch', channels, height, width]));
  body.message(12, encodeValueInfo('logits', DATA_TYPE.float, ['batch', architecture.classes]));
  return new ProtoWriter()
    .int(1, IR_VERSION)
    .string(2, 'imagemill-bench')
    .message(7, body)
    .message(8, encodeOpset(OPSET))
    .finish();
}

/** transformers.js knows no AlexNet; what it needs to know of an image classifier is the same for a ResNet. */
function transformersConfig(): Record<string, unknown> {
  const names = Array.from({ length: CLASSES }, (_, index) => String(index));
  return {
    model_type: 'resnet',
    architectures: ['ResNetForImageClassification'],
    id2label: Object.fromEntries(names.map((name) => [name, name])),
    label2id: Object.fromEntries(names.map((name) => [name, Number(name)])),
  };
}

function preprocessorConfig(): Record<string, unknown> {
  const { resize, crop, scale, mean, std } = TORCHVISION_PREPROCESSING;
  return {
    image_processor_type: 'ViTImageProcessor',
    do_resize: true,
    size: { shortest_edge: resize.kind === 'short-side' ? resize.size : crop.height },
    resample: BILINEAR,
    do_center_crop: true,
    crop_size: crop,
    do_rescale: true,
    rescale_factor: scale,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  };
}
