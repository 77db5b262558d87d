/**
 * Evaluates what is written as TensorFlow.js' layers format by Keras' definitions, in plain loops over (H, W, C): a
 * witness that shares nothing with the exporter.
 */

export interface LayerConfig {
  readonly name: string;
  readonly activation?: string;
  readonly batch_input_shape?: readonly (number | null)[];
  readonly filters?: number;
  readonly kernel_size?: readonly [number, number];
  readonly padding?: 'same' | 'valid' | readonly (readonly [number, number])[];
  readonly pool_size?: readonly [number, number];
  readonly rate?: number;
  readonly strides?: readonly [number, number];
  readonly units?: number;
}

export interface ModelJson {
  readonly format: string;
  readonly modelTopology: {
    readonly model_config: {
      readonly class_name: string;
      readonly config: { readonly layers: readonly { class_name: string; config: LayerConfig }[] };
    };
  };
  readonly weightsManifest: readonly {
    readonly paths: readonly string[];
    readonly weights: readonly { name: string; shape: readonly number[]; dtype: string }[];
  }[];
  readonly userDefinedMetadata: Readonly<Record<string, unknown>>;
}

interface Tensor {
  readonly shape: readonly number[];
  readonly at: (...place: number[]) => number;
}

export function readModelJson(files: ReadonlyMap<string, Uint8Array>): ModelJson {
  return JSON.parse(new TextDecoder().decode(files.get('model.json'))) as ModelJson;
}

/** The shards of a model joined, in the order of its manifest. */
export function readWeightData(files: ReadonlyMap<string, Uint8Array>): ArrayBuffer {
  const paths = readModelJson(files).weightsManifest.flatMap((group) => group.paths);
  return Uint8Array.from(Buffer.concat(paths.map((path) => files.get(path) ?? Buffer.of()))).buffer;
}

/** Logits of one image, (H, W, 3). */
export function evaluateLayers(files: ReadonlyMap<string, Uint8Array>, image: Float32Array): number[] {
  const model = readModelJson(files);
  const weights = readWeights(files);
  let value: Tensor = tensor([image.length], image);
  for (const { class_name: kind, config } of model.modelTopology.model_config.config.layers) {
    value = evaluate(kind, config, value, weights);
  }
  return values(value);
}

function readWeights(files: ReadonlyMap<string, Uint8Array>): Map<string, Tensor> {
  const data = new Float32Array(readWeightData(files));
  let offset = 0;
  return new Map(
    readModelJson(files).weightsManifest.flatMap((group) =>
      group.weights.map(({ name, shape }): [string, Tensor] => {
        const size = shape.reduce((product, side) => product * side, 1);
        offset += size;
        return [name, tensor(shape, data.subarray(offset - size, offset))];
      }),
    ),
  );
}

function evaluate(
  kind: string,
  config: LayerConfig,
  input: Tensor,
  weights: ReadonlyMap<string, Tensor>,
): Tensor {
  const weight = (name: string): Tensor => {
    const found = weights.get(`${config.name}/${name}`);
    if (found === undefined) throw new Error(`no weight ${config.name}/${name}`);
    return found;
  };
  switch (kind) {
    case 'InputLayer':
      return tensor((config.batch_input_shape ?? []).slice(1).map(Number), values(input));
    case 'ZeroPadding2D':
      return zeroPadding(config.padding as [[number, number], [number, number]], input);
    case 'Conv2D':
      return convolution(config, input, weight('kernel'), weight('bias'));
    case 'Activation':
      return tensor(
        input.shape,
        values(input).map((x) => (config.activation === 'tanh' ? Math.tanh(x) : Math.max(0, x))),
      );
    case 'MaxPooling2D':
      return pooling(config, input, (window) => Math.max(...window));
    case 'AveragePooling2D':
      return pooling(config, input, (window) => window.reduce((sum, x) => sum + x, 0) / window.length);
    case 'Flatten':
      return tensor([values(input).length], values(input));
    case 'Dropout':
      return input;
    case 'Dense': {
      const [kernel, bias] = [weight('kernel'), weight('bias')];
      const inputs = values(input);
      return build([config.units ?? 0], (unit) =>
        inputs.reduce((sum, x, index) => sum + x * kernel.at(index, unit), bias.at(unit)),
      );
    }
    default:
      throw new Error(`no layer ${kind}`);
  }
}

function zeroPadding(
  [[top, bottom], [left, right]]: [[number, number], [number, number]],
  input: Tensor,
): Tensor {
  const [height = 0, width = 0, channels = 0] = input.shape;
  return build([height + top + bottom, width + left + right, channels], (y, x, channel) =>
    pixel(input, y - top, x - left, channel),
  );
}

function convolution(config: LayerConfig, input: Tensor, kernel: Tensor, bias: Tensor): Tensor {
  const [height = 0, width = 0, channels = 0] = input.shape;
  const [rows, columns] = config.kernel_size ?? [0, 0];
  const [down, right] = config.strides ?? [1, 1];
  if (kernel.shape.join() !== [rows, columns, channels, config.filters].join()) {
    throw new Error(`a kernel of ${kernel.shape.join()} for ${channels} channels`);
  }
  const [outHeight, top] = extent(height, rows, down, config.padding);
  const [outWidth, left] = extent(width, columns, right, config.padding);
  return build([outHeight, outWidth, config.filters ?? 0], (y, x, filter) => {
    let sum = bias.at(filter);
    for (let dy = 0; dy < rows; dy++)
      for (let dx = 0; dx < columns; dx++)
        for (let channel = 0; channel < channels; channel++)
          sum +=
            pixel(input, y * down + dy - top, x * right + dx - left, channel) *
            kernel.at(dy, dx, channel, filter);
    return sum;
  });
}

/** Windows along one side, and the zeros before the first pixel: TensorFlow's definition of `same` and `valid`. */
function extent(size: number, kernel: number, stride: number, padding: unknown): [number, number] {
  if (padding === 'valid') return [Math.floor((size - kernel) / stride) + 1, 0];
  const windows = Math.ceil(size / stride);
  return [windows, Math.floor(Math.max((windows - 1) * stride + kernel - size, 0) / 2)];
}

function pooling(config: LayerConfig, input: Tensor, reduce: (window: number[]) => number): Tensor {
  const [height = 0, width = 0, channels = 0] = input.shape;
  const [rows, columns] = config.pool_size ?? [0, 0];
  const [down, right] = config.strides ?? [1, 1];
  const shape = [
    extent(height, rows, down, config.padding)[0],
    extent(width, columns, right, config.padding)[0],
    channels,
  ];
  return build(shape, (y, x, channel) =>
    reduce(
      Array.from({ length: rows * columns }, (_, index) =>
        input.at(y * down + Math.floor(index / columns), x * right + (index % columns), channel),
      ),
    ),
  );
}

function pixel(input: Tensor, y: number, x: number, channel: number): number {
  const [height = 0, width = 0] = input.shape;
  return y < 0 || x < 0 || y >= height || x >= width ? 0 : input.at(y, x, channel);
}

function tensor(shape: readonly number[], data: ArrayLike<number>): Tensor {
  const at = (...place: number[]): number => {
    const index = place.reduce((sum, step, axis) => sum * (shape[axis] ?? 1) + step, 0);
    const value = data[index];
    if (value === undefined) throw new Error(`no element ${place.join()} in ${shape.join()}`);
    return value;
  };
  return { shape, at };
}

/** A tensor whose elements are computed once each, in row-major order. */
function build(shape: readonly number[], element: (...place: number[]) => number): Tensor {
  return tensor(
    shape,
    places(shape).map((place) => element(...place)),
  );
}

function values(input: Tensor): number[] {
  return places(input.shape).map((place) => input.at(...place));
}

function places(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (prefixes, side) =>
      prefixes.flatMap((prefix) => Array.from({ length: side }, (_, step) => [...prefix, step])),
    [[]],
  );
}
