import { z } from 'zod';

export const BATCH_SIZE_TRAINING_MAX = 65_536;
export const EPOCHS_MAX = 100_000;

const positive = z.number().positive();
const share = z.number().min(0).max(1);
const range = z
  .tuple([positive, positive])
  .refine(([low, high]) => low <= high, 'expected the lower bound first');

/** How pixels of a prepared image become one input of the network. Strengths of 0 switch a step off. */
export const augmentationSchema = z.object({
  /**
   * `random-crop`: a square of the input's size at a random place of the image whose short side is `resizeTo`
   * (Krizhevsky et al. 2012, §4.1). `random-resized-crop`: a random part of the image, stretched to the input
   * (Szegedy et al. 2014, §6; torchvision's RandomResizedCrop). `center-crop`: no randomness.
   */
  crop: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('random-crop'), resizeTo: z.number().int().min(1).max(4096) }),
    z.object({ kind: z.literal('random-resized-crop'), area: range, aspectRatio: range }),
    z.object({ kind: z.literal('center-crop'), resizeTo: z.number().int().min(1).max(4096) }),
  ]),
  horizontalFlip: share,
  /** Largest rotation to either side; what lies outside the image becomes the mean pixel. */
  rotationDegrees: z.number().min(0).max(180),
  /** Standard deviation of the principal components' multipliers (0.1 in the paper, §4.1). */
  pcaNoise: z.number().min(0).max(10),
  /** Factors are drawn from 1 ± x, as torchvision's ColorJitter draws them. */
  brightness: share,
  contrast: share,
  saturation: share,
});
export type Augmentation = z.infer<typeof augmentationSchema>;

export const scheduleSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('constant') }),
  /** Times `factor` after `patience` epochs without a better validation error, `drops` times at most. */
  z.object({
    kind: z.literal('plateau'),
    factor: share,
    patience: z.number().int().min(1),
    drops: z.number().int().min(0),
  }),
  /** Times `factor` after every `epochs` epochs. */
  z.object({ kind: z.literal('steps'), factor: share, epochs: z.number().int().min(1) }),
  /** From the learning rate to `final` times it along half a cosine (Loshchilov & Hutter 2016). */
  z.object({ kind: z.literal('cosine'), final: share }),
]);
export type Schedule = z.infer<typeof scheduleSchema>;

/** Multipliers for one group of parameters. */
const parameterGroup = z.object({ learningRate: z.number().min(0), weightDecay: z.number().min(0) });

/** Everything that decides what training computes, apart from the data and the seed. */
export const recipeSchema = z.object({
  name: z.string().min(1),
  /** Where the values come from. */
  source: z.string().min(1),
  architecture: z.enum(['alexnet-2012', 'alexnet-caffe', 'alexnet-owt', 'alexnet-small']),
  activation: z.enum(['relu', 'tanh']),
  dropout: z.number().min(0).max(0.99),
  /** `mean-pixel`: 0..255 minus the dataset's mean pixel. `fixed`: the architecture's own scale, mean and std. */
  normalisation: z.enum(['mean-pixel', 'fixed']),
  epochs: z.number().int().min(1).max(EPOCHS_MAX),
  batchSize: z.number().int().min(1).max(BATCH_SIZE_TRAINING_MAX),
  /** Items that go through the network at a time; gradients add up to the batch. Must divide `batchSize`. */
  microBatchSize: z.number().int().min(1).max(4_096),
  learningRate: positive,
  momentum: z.number().min(0).max(0.9999),
  nesterov: z.boolean(),
  weightDecay: z.number().min(0),
  weights: parameterGroup,
  biases: parameterGroup,
  labelSmoothing: z.number().min(0).max(0.99),
  /** The learning rate rises linearly over so many epochs; may be a fraction. */
  warmupEpochs: z.number().min(0),
  schedule: scheduleSchema,
  /** Epochs without a better validation error after which training stops; 0: never. */
  earlyStopping: z.number().int().min(0),
  /** Blocks whose parameters stay as they are (`features`), or prefixes of parameter names. */
  freeze: z.array(z.string()),
  augmentation: augmentationSchema,
});
export type Recipe = z.infer<typeof recipeSchema>;
