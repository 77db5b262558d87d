/** Layer spec → the steps that TensorFlow executes. A pure plan: tensors are NHWC in the steps, (C, H, W) in the spec. */
import {
  placeLayers,
  unreachable,
  type Architecture,
  type ConvLayer,
  type LrnLayer,
  type PlacedLayer,
  type Shape,
} from '../../model/architecture.ts';

/** What a step does; shapes are those of the spec, without the batch. */
export type Stage = {
  /** Of the layer that it belongs to: the prefix of its parameters. */
  readonly path: string;
  readonly input: Shape;
} & StageKind;

type StageKind =
  | { readonly kind: 'convolution'; readonly layer: ConvLayer }
  /** x·Wᵀ. */
  | { readonly kind: 'product' }
  /** Adds a value per channel, or per feature. */
  | { readonly kind: 'bias' }
  | { readonly kind: 'relu' }
  | { readonly kind: 'tanh' }
  | { readonly kind: 'lrn'; readonly layer: LrnLayer }
  | { readonly kind: 'maxPool'; readonly kernel: number; readonly stride: number }
  | { readonly kind: 'averagePool'; readonly out: number }
  /** In the order (C, H, W), that of the weights which follow. */
  | { readonly kind: 'flatten' }
  /** `mask`: its number among the layers that drop something. */
  | { readonly kind: 'dropout'; readonly mask: number; readonly probability: number };

/**
 * The steps from pixels to logits, without those that change nothing.
 *
 * A maximum and what grows with its input can change places, exactly: pooling before bias and activation leaves a
 * quarter of their work.
 */
export function planStages(architecture: Architecture): Stage[] {
  let masks = 0;
  const stages = placeLayers(architecture).flatMap((placed): Stage[] => {
    const { layer } = placed;
    if (layer.kind !== 'dropout') return stagesOf(placed);
    if (layer.probability === 0) return [];
    return [{ ...at(placed), kind: 'dropout', mask: masks++, probability: layer.probability }];
  });
  return stages.reduce<Stage[]>(poolEarly, []);
}

function at({ path, input }: PlacedLayer): Pick<Stage, 'path' | 'input'> {
  return { path, input };
}

function stagesOf(placed: PlacedLayer): Stage[] {
  const { layer, output, input } = placed;
  const place = at(placed);
  switch (layer.kind) {
    case 'conv':
      return [
        { ...place, kind: 'convolution', layer },
        { ...place, input: output, kind: 'bias' },
      ];
    case 'linear':
      return [
        { ...place, kind: 'product' },
        { ...place, input: output, kind: 'bias' },
      ];
    case 'relu':
    case 'tanh':
    case 'flatten':
      return [{ ...place, kind: layer.kind }];
    case 'lrn':
      return [{ ...place, kind: 'lrn', layer }];
    case 'maxPool':
      return [{ ...place, kind: 'maxPool', kernel: layer.kernel, stride: layer.stride }];
    case 'adaptiveAvgPool':
      return input[1] === layer.out && input[2] === layer.out
        ? []
        : [{ ...place, kind: 'averagePool', out: layer.out }];
    case 'dropout':
      return [];
    default:
      return unreachable(layer);
  }
}

/** Appends a stage; a pooling one moves before the bias and the activation that end the list. */
function poolEarly(stages: readonly Stage[], stage: Stage): Stage[] {
  const first = stages.findLastIndex(({ kind }) => kind !== 'relu' && kind !== 'tanh' && kind !== 'bias') + 1;
  if (stage.kind !== 'maxPool' || first === stages.length) return [...stages, stage];
  const { kernel, stride } = stage;
  const pooled = (size: number): number => Math.floor((size - kernel) / stride) + 1;
  const [channels = 0, height = 0, width = 0] = stage.input;
  const moved = stages
    .slice(first)
    .map((moving) => ({ ...moving, input: [channels, pooled(height), pooled(width)] }));
  return [...stages.slice(0, first), stage, ...moved];
}

/** Names of the parameters that a stage reads. */
export function parameterOf({ kind, path }: Stage): string | null {
  if (kind === 'bias') return `${path}.bias`;
  return kind === 'convolution' || kind === 'product' ? `${path}.weight` : null;
}

/** Which of its ends a stage needs again for its gradients. */
export function keeps({ kind }: Stage): { readonly input: boolean; readonly output: boolean } {
  switch (kind) {
    case 'convolution':
    case 'product':
      return { input: true, output: false };
    case 'relu':
    case 'tanh':
      return { input: false, output: true };
    case 'lrn':
    case 'maxPool':
      return { input: true, output: true };
    case 'bias':
    case 'averagePool':
    case 'flatten':
    case 'dropout':
      return { input: false, output: false };
    default:
      return unreachable(kind);
  }
}
