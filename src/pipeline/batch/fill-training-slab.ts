import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { ItemAugmentation } from '../augment/draw-augmentation.ts';
import { decodeAugmented } from '../decode/decode-augmented.ts';
import type { AugmentedDecodeOptions } from '../decode/decode-augmented.ts';
import { enlargeSmall, isEnlargement } from '../decode/enlarge-small.ts';
import type { SmallImage } from '../decode/enlarge-small.ts';
import type { Size } from '../decode/orientation.ts';
import { CHANNELS } from '../decode/pixels.ts';
import { readSmallPng } from '../decode/small-png.ts';
import type { Semaphore } from './semaphore.ts';

/** The prepared images of one split. */
export interface TrainingItems {
  /** Reads one encoded image; the bytes must not be changed afterwards. */
  readonly readItem: (item: number, signal: AbortSignal) => Promise<Uint8Array>;
  /** Size of the encoded image. */
  readonly sizeOf: (item: number) => Size;
  readonly classOf: (item: number) => number;
}

export interface TrainingSlabOptions extends AugmentedDecodeOptions {
  /** What happens to an item: `drawAugmentation` or `centreAugmentation` with all else filled in. */
  readonly augment: (item: number, stored: Size) => ItemAugmentation;
  /** Of the network. */
  readonly input: Size;
  /** Leaves images as they are where they would be mirrored; the batch says which. */
  readonly mirrorsLater: boolean;
  /** Items that are read or decoded at a time; shared by the batches in progress. */
  readonly slots: Semaphore;
  readonly signal: AbortSignal;
}

/** What belongs to the pixels of a micro-batch of N. */
export interface TrainingMicroBatch {
  /** (N) class indices */
  readonly labels: Int32Array;
  /** (N, 3, 3), (N) and (N, 3): the colour transform of each image, see `ColourTransform` */
  readonly matrices: Float32Array;
  readonly greyShifts: Float32Array;
  readonly shifts: Float32Array;
  /** (N) 1 for images that are still to be mirrored left to right; null where none is */
  readonly mirrored: Uint8Array | null;
}

/**
 * Reads, decodes and augments the items of one micro-batch. Small PNGs are enlarged together once all are read; every
 * other image is decoded by itself. Pixels depend on the item and its augmentation only. When the promise settles,
 * nothing writes to the slab any more.
 * @param slab (N, input.height, input.width, 3) uint8, or longer: receives RGB, item i in slot i
 * @throws ImagemillError DATASET_CHANGED where an image cannot be decoded; what `readItem` throws; the signal's reason
 */
export async function fillTrainingSlab(
  items: Uint32Array,
  { readItem, sizeOf, classOf }: TrainingItems,
  slab: Uint8Array,
  options: TrainingSlabOptions,
): Promise<TrainingMicroBatch> {
  const { augment, input, slots, mirrorsLater } = options;
  const slotBytes = input.width * input.height * CHANNELS;
  if (slab.byteLength < items.length * slotBytes) {
    throw new ImagemillError(
      'INTERNAL',
      `expected a slab of ${items.length} × ${slotBytes} bytes, got ${slab.byteLength}`,
    );
  }
  const batch = createMicroBatch(items.length, mirrorsLater);
  const small: SmallImage[] = [];
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);

  async function fillSlot(item: number, slot: number): Promise<void> {
    signal.throwIfAborted();
    const drawn = augment(item, sizeOf(item));
    setSlot(batch, slot, classOf(item), drawn);
    const augmentation = mirrorsLater ? { ...drawn, mirrored: false } : drawn;
    const bytes = await readItem(item, signal);
    const target = slab.subarray(slot * slotBytes, (slot + 1) * slotBytes);
    const { stored } = augmentation;
    const image = isEnlargement(augmentation) ? readSmallPng(bytes) : undefined;
    if (image?.width === stored.width && image.height === stored.height) {
      small.push({ image, geometry: augmentation, target });
    } else {
      await decodeItem(item, bytes, augmentation, target, options);
    }
  }

  const settled = await Promise.allSettled(
    Array.from(items, async (item, slot) => {
      try {
        await slots.run(() => fillSlot(item, slot));
      } catch (error) {
        // The first reason stays: what else is under way stops because of it.
        failure.abort(error);
        throw error;
      }
    }),
  );
  if (settled.some(({ status }) => status === 'rejected')) throw signal.reason;
  await enlargeSmall(small, slots);
  return batch;
}

async function decodeItem(
  item: number,
  bytes: Uint8Array,
  augmentation: ItemAugmentation,
  target: Uint8Array,
  options: AugmentedDecodeOptions,
): Promise<void> {
  try {
    await decodeAugmented(bytes, augmentation, target, options);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    // It could be decoded when it was prepared; only time is no matter of the dataset.
    const code = error.code === 'IMAGE_TIMEOUT' ? 'INTERNAL' : 'DATASET_CHANGED';
    throw new ImagemillError(code, `item ${item} of the dataset: ${error.message}`, { cause: error });
  }
}

function createMicroBatch(count: number, mirrorsLater: boolean): TrainingMicroBatch {
  return {
    labels: new Int32Array(count),
    matrices: new Float32Array(count * CHANNELS * CHANNELS),
    greyShifts: new Float32Array(count),
    shifts: new Float32Array(count * CHANNELS),
    mirrored: mirrorsLater ? new Uint8Array(count) : null,
  };
}

function setSlot(
  { labels, matrices, greyShifts, shifts, mirrored: flags }: TrainingMicroBatch,
  slot: number,
  label: number,
  { colour, mirrored }: ItemAugmentation,
): void {
  labels[slot] = label;
  matrices.set(colour.matrix, slot * CHANNELS * CHANNELS);
  greyShifts[slot] = colour.greyShift;
  shifts.set(colour.shift, slot * CHANNELS);
  if (flags !== null) flags[slot] = Number(mirrored);
}
