import type { Preprocessing } from '../contract/model-card.ts';
import type { Semaphore } from './batch/semaphore.ts';
import type { SlabPool } from './batch/slab-pool.ts';
import type { Decoder } from './decode/decoder.ts';
import type { Classification, ClassifierGraph } from './engine/engine.ts';
import type { ItemReader } from './source/item-reader.ts';

/** Batches of one shard that are fetched and decoded before the device asks for them. */
export const BATCHES_AHEAD = 2;

/** Slabs one shard can hold: those filled ahead, the one on the device, and the one about to follow it. */
export const SLABS_PER_SHARD = BATCHES_AHEAD + 2;

/** The device, as this composition sees it: slabs go there and come back without being copied. */
export interface BatchDevice {
  classify(
    slab: ArrayBuffer,
    count: number,
  ): Promise<{
    readonly classification: Classification;
    readonly slab: ArrayBuffer;
    /** Of this batch alone, without its wait for others. */
    readonly computeMs: number;
  }>;
}

/** What a compute process shares between its shards. */
export interface ClassifyResources {
  readonly graph: Pick<
    ClassifierGraph,
    'batchSize' | 'height' | 'width' | 'cropsPerItem' | 'topK' | 'embeddingSize'
  >;
  readonly reader: ItemReader;
  readonly decoder: Decoder;
  readonly device: BatchDevice;
  readonly slabs: SlabPool;
  /** Bounds the downloads in progress. */
  readonly fetches: Semaphore;
  readonly preprocessing: Preprocessing;
}
