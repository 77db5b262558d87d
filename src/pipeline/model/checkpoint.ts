/**
 * Checkpoints: everything needed to go on, as one safetensors file. The weights have torchvision's names; the
 * velocities are beside them with a prefix. Nothing of the run, the worker or the time goes in: equal states give
 * equal bytes.
 */
import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { ModelCard } from '../../contract/model-card.ts';
import { sha256Json } from '../../storage/digest.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { TrainingState } from '../engine/trainer.ts';
import { describeModel } from './model-metadata.ts';
import { readSafetensors, writeSafetensors } from './weights/safetensors.ts';
import type { StateDict } from './weights/state-dict.ts';

/** torch.optim.SGD calls it the momentum buffer. */
export const VELOCITY_PREFIX = 'momentum_buffer.';
const METADATA_KEY = 'imagemill.checkpoint';
const CHECKPOINT_VERSION = 1;

const headerSchema = z.object({
  version: z.literal(CHECKPOINT_VERSION),
  /** The epoch that is in progress, or done. */
  epoch: z.number().int().min(1),
  /** Steps of that epoch that are done. */
  step: z.number().int().nonnegative(),
  seed: z.number().int().nonnegative(),
  recipeDigest: z.string(),
  datasetDigest: z.string(),
});

/** Where training stands, and what it belongs to. */
export interface CheckpointHeader {
  readonly epoch: number;
  readonly step: number;
  readonly seed: number;
  readonly recipe: Recipe;
  readonly datasetDigest: string;
}

/** What a model file says about itself. */
export type ModelFacts = Pick<ModelCard, 'architecture' | 'labels' | 'preprocessing'>;

/** Copies the state once, into the result. */
export function encodeCheckpoint(
  { weights, velocities }: TrainingState,
  header: CheckpointHeader,
  facts: ModelFacts,
): Uint8Array {
  const renamed = [...velocities].map(([name, tensor]) => [`${VELOCITY_PREFIX}${name}`, tensor] as const);
  const { recipe, ...rest } = header;
  const fields = { version: CHECKPOINT_VERSION, ...rest, recipeDigest: digestOfRecipe(recipe) };
  return writeSafetensors(new Map([...weights, ...renamed]), {
    ...describeModel(facts),
    [METADATA_KEY]: JSON.stringify(headerSchema.parse(fields)),
  });
}

/** The model file of a checkpoint file: its weights and what it says of the model. Copies the weights once. */
export function modelOfCheckpoint(bytes: Uint8Array, where: string): Uint8Array {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const { [METADATA_KEY]: _, ...facts } = metadata;
  return writeSafetensors(splitState(tensors).weights, facts);
}

/** The weights of a file that may be a checkpoint: its velocities are no part of the model. */
export function withoutVelocities(tensors: StateDict): StateDict {
  return splitState(tensors).weights;
}

/**
 * The state of a checkpoint; tensors are views of `bytes`.
 * @param expected what the checkpoint must belong to
 * @throws ImagemillError CHECKPOINT_INVALID, MODEL_CORRUPT
 */
export function decodeCheckpoint(
  bytes: Uint8Array,
  expected: CheckpointHeader,
  where: string,
): TrainingState {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const parsed = headerSchema.safeParse(parseJson(metadata[METADATA_KEY]));
  if (!parsed.success) throw invalid(where, 'a checkpoint of this version', 'a file that is none');
  const { recipe, ...rest } = expected;
  const wanted = { ...rest, recipeDigest: digestOfRecipe(recipe) };
  for (const [name, value] of Object.entries(wanted)) {
    const found = parsed.data[name as keyof typeof wanted];
    if (found !== value) throw invalid(where, `${name} ${value}`, String(found));
  }
  return splitState(tensors);
}

export function digestOfRecipe(recipe: Recipe): string {
  return sha256Json(recipe);
}

function splitState(tensors: StateDict): TrainingState {
  const entries = [...tensors];
  const isVelocity = ([name]: readonly [string, unknown]): boolean => name.startsWith(VELOCITY_PREFIX);
  return {
    weights: new Map(entries.filter((entry) => !isVelocity(entry))),
    velocities: new Map(
      entries.filter(isVelocity).map(([name, tensor]) => [name.slice(VELOCITY_PREFIX.length), tensor]),
    ),
  };
}

function invalid(where: string, expected: string, got: string): ImagemillError {
  return new ImagemillError('CHECKPOINT_INVALID', `${where}: expected ${expected}, got ${got}`);
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
