/** The AlexNets that imagemill knows by name. */
import { TORCHVISION_PREPROCESSING, type Preprocessing } from '../../contract/model-card.ts';
import type { Architecture, ConvLayer, Init, Layer, LinearLayer } from './architecture.ts';

export const ARCHITECTURE_NAMES = ['alexnet-2012', 'alexnet-caffe', 'alexnet-owt', 'alexnet-small'] as const;
export type ArchitectureName = (typeof ARCHITECTURE_NAMES)[number];

type Activation = 'relu' | 'tanh';

export interface ArchitectureOptions {
  readonly classes: number;
  /** `tanh` exists to show what ReLU brings (Krizhevsky et al. 2012, figure 1). */
  readonly activation?: Activation;
}

/** Suffix of the name of a net whose activation is not ReLU: `alexnet-small+tanh`. */
const TANH_SUFFIX = '+tanh';

/**
 * Pixels as AlexNet took them: 0..255 minus the mean, short side 256, centre 227.
 * The mean is that of ImageNet's training set as the reference Caffe models use it, per channel
 * (VGG's "mean pixel", Simonyan & Zisserman 2014, model card: BGR 103.939, 116.779, 123.68).
 */
const MEAN_PIXEL_PREPROCESSING: Preprocessing = {
  resize: { kind: 'short-side', size: 256 },
  crop: { height: 227, width: 227 },
  interpolation: 'bilinear',
  channelOrder: 'rgb',
  scale: 1,
  mean: [123.68, 116.779, 103.939],
  std: [1, 1, 1],
};

const SMALL_PREPROCESSING: Preprocessing = {
  resize: { kind: 'short-side', size: 64 },
  crop: { height: 64, width: 64 },
  interpolation: 'bilinear',
  channelOrder: 'rgb',
  scale: 1 / 255,
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

const gaussian = (std: number, bias: number): Init => ({
  weight: { kind: 'normal', std },
  bias: { kind: 'constant', value: bias },
});
const TORCH_DEFAULT: Init = { weight: { kind: 'uniform-fan-in' }, bias: { kind: 'uniform-fan-in' } };
const HE: Init = { weight: { kind: 'he-normal' }, bias: { kind: 'constant', value: 0 } };

const POOL: Layer = { kind: 'maxPool', kernel: 3, stride: 2 };
const FLATTEN: Layer = { kind: 'flatten' };
const DROPOUT: Layer = { kind: 'dropout', probability: 0.5 };
/** Krizhevsky et al. 2012, section 3.3; alpha is divided by the window size, as the original code does. */
const LRN: Layer = { kind: 'lrn', size: 5, alpha: 1e-4, beta: 0.75, k: 2 };

interface ConvOptions {
  readonly stride?: number;
  readonly pad?: number;
  readonly groups?: number;
}

const conv = (out: number, kernel: number, init: Init, options: ConvOptions = {}): ConvLayer => ({
  kind: 'conv',
  out,
  kernel,
  stride: options.stride ?? 1,
  pad: options.pad ?? 0,
  groups: options.groups ?? 1,
  init,
});

const linear = (out: number, init: Init): LinearLayer => ({ kind: 'linear', out, init });

interface TowerInit {
  /** Bias of conv2, conv4, conv5 and the hidden linear layers. */
  readonly positiveBias: number;
  /** Standard deviation of the hidden linear layers' weights. */
  readonly hiddenStd: number;
}

/** Krizhevsky et al. 2012, section 5. */
const INIT_2012: TowerInit = { positiveBias: 1, hiddenStd: 0.01 };
/** caffe/models/bvlc_alexnet/train_val.prototxt; its readme says that a bias of 0.1 trains where 1 stays flat. */
const INIT_CAFFE: TowerInit = { positiveBias: 0.1, hiddenStd: 0.005 };

/** Two towers joined at conv3, LRN, overlapping pooling, 227×227 input: 60,965,224 parameters with 1000 classes. */
function alexnetWithTowers(name: string, init: TowerInit, options: ArchitectureOptions): Architecture {
  const act: Layer = { kind: options.activation ?? 'relu' };
  const zero = gaussian(0.01, 0);
  const positive = gaussian(0.01, init.positiveBias);
  const hidden = gaussian(init.hiddenStd, init.positiveBias);
  return {
    name,
    classes: options.classes,
    input: { channels: 3, height: 227, width: 227 },
    preprocessing: MEAN_PIXEL_PREPROCESSING,
    blocks: [
      {
        name: 'features',
        layers: [
          [conv(96, 11, zero, { stride: 4 }), act, LRN, POOL],
          [conv(256, 5, positive, { pad: 2, groups: 2 }), act, LRN, POOL],
          [conv(384, 3, zero, { pad: 1 }), act],
          [conv(384, 3, positive, { pad: 1, groups: 2 }), act],
          [conv(256, 3, positive, { pad: 1, groups: 2 }), act, POOL],
        ].flat(),
      },
      { name: 'flatten', layers: [FLATTEN] },
      {
        name: 'classifier',
        layers: [
          [linear(4096, hidden), act, DROPOUT],
          [linear(4096, hidden), act, DROPOUT],
          [linear(options.classes, zero)],
        ].flat(),
      },
    ],
  };
}

/**
 * torchvision's AlexNet (torchvision/models/alexnet.py, after Krizhevsky 2014, arXiv 1404.5997) with its parameter
 * names: 61,100,840 parameters with 1000 classes.
 */
function alexnetOneWeirdTrick(options: ArchitectureOptions): Architecture {
  const act: Layer = { kind: options.activation ?? 'relu' };
  return {
    name: 'alexnet-owt',
    classes: options.classes,
    input: { channels: 3, height: 224, width: 224 },
    preprocessing: TORCHVISION_PREPROCESSING,
    blocks: [
      {
        name: 'features',
        layers: [
          [conv(64, 11, TORCH_DEFAULT, { stride: 4, pad: 2 }), act, POOL],
          [conv(192, 5, TORCH_DEFAULT, { pad: 2 }), act, POOL],
          [conv(384, 3, TORCH_DEFAULT, { pad: 1 }), act],
          [conv(256, 3, TORCH_DEFAULT, { pad: 1 }), act],
          [conv(256, 3, TORCH_DEFAULT, { pad: 1 }), act, POOL],
        ].flat(),
      },
      { name: 'avgpool', layers: [{ kind: 'adaptiveAvgPool', out: 6 }, FLATTEN] },
      {
        name: 'classifier',
        layers: [
          [DROPOUT, linear(4096, TORCH_DEFAULT), act],
          [DROPOUT, linear(4096, TORCH_DEFAULT), act],
          [linear(options.classes, TORCH_DEFAULT)],
        ].flat(),
      },
    ],
  };
}

/**
 * The same five convolutions and three linear layers for 64×64 pixels and small machines: a quarter of
 * `alexnet-owt`'s width, a first kernel of 5×5/2 (11×11/4 would leave a single pixel before the linear layers).
 */
function alexnetSmall(options: ArchitectureOptions): Architecture {
  const act: Layer = { kind: options.activation ?? 'relu' };
  return {
    name: 'alexnet-small',
    classes: options.classes,
    input: { channels: 3, height: 64, width: 64 },
    preprocessing: SMALL_PREPROCESSING,
    blocks: [
      {
        name: 'features',
        layers: [
          [conv(16, 5, HE, { stride: 2, pad: 2 }), act, POOL],
          [conv(48, 5, HE, { pad: 2 }), act, POOL],
          [conv(96, 3, HE, { pad: 1 }), act],
          [conv(64, 3, HE, { pad: 1 }), act],
          [conv(64, 3, HE, { pad: 1 }), act, POOL],
        ].flat(),
      },
      { name: 'flatten', layers: [FLATTEN] },
      {
        name: 'classifier',
        layers: [
          [DROPOUT, linear(1024, HE), act],
          [DROPOUT, linear(1024, HE), act],
          [linear(options.classes, HE)],
        ].flat(),
      },
    ],
  };
}

const BUILDERS: Record<ArchitectureName, (options: ArchitectureOptions) => Architecture> = {
  'alexnet-2012': (options) => alexnetWithTowers('alexnet-2012', INIT_2012, options),
  'alexnet-caffe': (options) => alexnetWithTowers('alexnet-caffe', INIT_CAFFE, options),
  'alexnet-owt': alexnetOneWeirdTrick,
  'alexnet-small': alexnetSmall,
};

/** The architecture of this name; a net with tanh is called `<name>+tanh`. */
export function createArchitecture(name: ArchitectureName, options: ArchitectureOptions): Architecture {
  const architecture = BUILDERS[name](options);
  return options.activation === 'tanh' ? { ...architecture, name: `${name}${TANH_SUFFIX}` } : architecture;
}

/** Reads back an {@link Architecture}'s name (`alexnet-2012`, `alexnet-small+tanh`); undefined where it is none of ours. */
export function architectureByName(name: string, classes: number): Architecture | undefined {
  const tanh = name.endsWith(TANH_SUFFIX);
  const base = tanh ? name.slice(0, -TANH_SUFFIX.length) : name;
  const known = ARCHITECTURE_NAMES.find((candidate) => candidate === base);
  if (known === undefined) return undefined;
  return createArchitecture(known, { classes, ...(tanh ? { activation: 'tanh' } : {}) });
}
