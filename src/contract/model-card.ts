import { z } from 'zod';
import { defineDocument } from './document.ts';

const triple = z.tuple([z.number(), z.number(), z.number()]);

/**
 * How pixels become the model's input. A property of the model, not of the run.
 * uint8 pixels are resized and centre-cropped by the decoder; `(pixel × scale − mean) / std` is part of the graph.
 */
export const preprocessingSchema = z.object({
  resize: z.discriminatedUnion('kind', [
    /** The shorter side becomes `size` pixels, the aspect ratio stays. */
    z.object({ kind: z.literal('short-side'), size: z.number().int().min(1).max(4096) }),
    /** Both sides are stretched to the crop's size. */
    z.object({ kind: z.literal('stretch') }),
  ]),
  /** Centre crop, in pixels: the model's input size. */
  crop: z.object({
    height: z.number().int().min(1).max(4096),
    width: z.number().int().min(1).max(4096),
  }),
  /** Antialiased in every case. */
  interpolation: z.enum(['bilinear', 'bicubic', 'lanczos', 'nearest']),
  channelOrder: z.enum(['rgb', 'bgr']),
  scale: z.number(),
  mean: triple,
  std: triple,
});

export type Preprocessing = z.infer<typeof preprocessingSchema>;

/** torchvision's evaluation transform for ImageNet models (torchvision/transforms/_presets.py, ImageClassification). */
export const TORCHVISION_PREPROCESSING: Preprocessing = {
  resize: { kind: 'short-side', size: 256 },
  crop: { height: 224, width: 224 },
  interpolation: 'bilinear',
  channelOrder: 'rgb',
  scale: 1 / 255,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

export const MODEL_FORMATS = ['safetensors', 'pytorch', 'onnx'] as const;

/** What a run knows about its model: part of `run.json`. */
export const modelCard = defineDocument('model', 1, {
  uri: z.string(),
  /** `sha256:<hex>` of the file's bytes. */
  digest: z.string(),
  format: z.enum(MODEL_FORMATS),
  /** `alexnet-owt`, `alexnet-2012`, …, or `onnx` for a graph that is not ours. */
  architecture: z.string(),
  classes: z.number().int().positive(),
  parameters: z.number().int().nonnegative(),
  /** One per class, in order of the class index. */
  labels: z.array(z.string()),
  /** Where the labels came from. */
  labelsFrom: z.enum(['file', 'model', 'imagenet', 'numbered']),
  preprocessing: preprocessingSchema,
  /** What the model's own output is; `logits` get a softmax in the graph. */
  scores: z.enum(['logits', 'probabilities']),
  /** Length of the penultimate activations, or null where the graph does not show them. */
  embeddingSize: z.number().int().positive().nullable(),
});

export type ModelCard = z.infer<typeof modelCard.schema>;
