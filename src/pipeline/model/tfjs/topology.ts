/** Layer specs → layers of a Keras Sequential model, as TensorFlow.js reads them. */
import { ImagemillError } from '../../../contract/errors.ts';
import { placeLayers, unreachable, type Architecture, type PlacedLayer } from '../architecture.ts';

/** One layer as `model.json` holds it; the keys of `config` are Keras'. */
export interface TfjsLayer {
  readonly class_name: string;
  readonly config: { readonly name: string } & Readonly<Record<string, unknown>>;
}

/** The way out for what TensorFlow.js lacks. */
const ONNX_INSTEAD = 'export the model to ONNX instead';

/**
 * The layers from an InputLayer (batch, H, W, 3) to the logits. Layers with parameters have the names of their weights'
 * prefix: `features.0`. Groups of convolutions are not part of it: their kernels are dense.
 * @param where names the model in messages
 * @throws ImagemillError USAGE for layers that TensorFlow.js does not have
 */
export function describeLayers(architecture: Architecture, where: string): TfjsLayer[] {
  const { channels, height, width } = architecture.input;
  const input = { batch_input_shape: [null, height, width, channels], dtype: 'float32', name: 'input' };
  return [
    { class_name: 'InputLayer', config: input },
    ...placeLayers(architecture).flatMap((placed) => describeLayer(placed, architecture.name, where)),
  ];
}

function describeLayer(placed: PlacedLayer, architecture: string, where: string): TfjsLayer[] {
  const { layer, path } = placed;
  switch (layer.kind) {
    case 'conv':
      return convolution(placed, layer);
    case 'relu':
    case 'tanh':
      return [named('Activation', path, { activation: layer.kind })];
    case 'lrn':
      throw new ImagemillError(
        'USAGE',
        `${where}: expected a model of layers that TensorFlow.js has, got ${architecture} with local response ` +
          `normalisation; ${ONNX_INSTEAD}`,
      );
    case 'maxPool':
      return [pooling('MaxPooling2D', path, [layer.kernel, layer.kernel], [layer.stride, layer.stride])];
    case 'adaptiveAvgPool':
      return averagePooling(placed, layer.out, where);
    case 'flatten':
      return placed.input.length === 1 ? [] : [named('Flatten', path, { data_format: 'channels_last' })];
    case 'dropout':
      return [named('Dropout', path, { rate: layer.probability })];
    case 'linear':
      return [named('Dense', path, { units: layer.out, activation: 'linear', use_bias: true })];
    default:
      return unreachable(layer);
  }
}

/**
 * Where the stride is 1 and the padding half the kernel, `same` means what torch means. Otherwise it would put the
 * surplus at the bottom and right, where torch's is on every side, so the padding becomes a layer of its own.
 */
function convolution(
  { path }: PlacedLayer,
  { out, kernel, stride, pad }: { out: number; kernel: number; stride: number; pad: number },
): TfjsLayer[] {
  const isSame = pad > 0 && stride === 1 && kernel === 2 * pad + 1;
  const border = [
    [pad, pad],
    [pad, pad],
  ];
  const padding = named('ZeroPadding2D', `${path}.pad`, { padding: border, data_format: 'channels_last' });
  const conv = named('Conv2D', path, {
    filters: out,
    kernel_size: [kernel, kernel],
    strides: [stride, stride],
    padding: isSame ? 'same' : 'valid',
    data_format: 'channels_last',
    dilation_rate: [1, 1],
    activation: 'linear',
    use_bias: true,
  });
  return pad === 0 || isSame ? [conv] : [padding, conv];
}

function averagePooling({ path, input }: PlacedLayer, out: number, where: string): TfjsLayer[] {
  const [, height = 0, width = 0] = input;
  if (height === out && width === out) return [];
  if (height % out !== 0 || width % out !== 0) {
    throw new ImagemillError(
      'USAGE',
      `${where}: TensorFlow.js pools to ${out}×${out} only where the features divide evenly, expected multiples of ` +
        `${out}, got ${height}×${width}; choose another crop, or ${ONNX_INSTEAD}`,
    );
  }
  const window = [height / out, width / out] as const;
  return [pooling('AveragePooling2D', path, window, window)];
}

function pooling(
  className: string,
  path: string,
  window: readonly [number, number],
  strides: readonly [number, number],
): TfjsLayer {
  return named(className, path, {
    pool_size: window,
    strides,
    padding: 'valid',
    data_format: 'channels_last',
  });
}

function named(className: string, name: string, config: Readonly<Record<string, unknown>>): TfjsLayer {
  return { class_name: className, config: { name, ...config } };
}
