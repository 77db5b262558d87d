import { ImageError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import type { ErrorRow } from '../../contract/rows.ts';
import { sha256 } from '../../storage/digest.ts';
import type { ClassifyResources } from '../classify-resources.ts';
import type { StageClock } from './stage-clock.ts';

/** What is known of an image whose pixels lie in a slot. */
export interface SlottedImage {
  readonly uri: string;
  readonly digest: string;
  readonly width: number;
  readonly height: number;
}

/** A batch whose pixels are in its slab: slot i belongs to item i, and is zero where the item is an error. */
export interface FilledBatch {
  readonly items: readonly Item[];
  readonly images: readonly (SlottedImage | null)[];
  readonly errors: readonly ErrorRow[];
  readonly slab: ArrayBuffer;
}

/** Fetches and decodes the items of one batch, each into its slot of a slab from the pool. */
export async function fillSlab(
  items: readonly Item[],
  resources: Pick<ClassifyResources, 'graph' | 'reader' | 'decoder' | 'slabs' | 'fetches' | 'preprocessing'>,
  { clock, signal, onStep }: { clock: StageClock; signal: AbortSignal; onStep: () => void },
): Promise<FilledBatch> {
  const { graph, reader, decoder, slabs, fetches, preprocessing } = resources;
  const slab = await slabs.acquire();
  const slotBytes = graph.cropsPerItem * graph.height * graph.width * 3;
  const errors: ErrorRow[] = [];

  async function fillSlot(item: Item, slot: number): Promise<SlottedImage | null> {
    const target = new Uint8Array(slab, slot * slotBytes, slotBytes);
    try {
      signal.throwIfAborted();
      const bytes = await fetches.run(() => clock.time('fetch', () => reader.read(item, signal)));
      clock.bytesRead += bytes.length;
      onStep();
      const size = await clock.time('decode', (restart) =>
        decoder.decode(bytes, preprocessing, target, restart),
      );
      return { uri: item.uri, digest: sha256(bytes), width: size.width, height: size.height };
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      target.fill(0);
      errors.push({ uri: item.uri, code: error.code, message: error.message });
      return null;
    } finally {
      // A batch of images that each take as long as they may must not look like one that hangs.
      onStep();
    }
  }

  // Every slot must be at rest before the slab can be given away, also when one of them failed.
  const settled = await Promise.allSettled(items.map(fillSlot));
  const images: (SlottedImage | null)[] = [];
  for (const result of settled) {
    if (result.status === 'rejected') {
      slabs.release(slab);
      throw result.reason;
    }
    images.push(result.value);
  }
  errors.sort((a, b) => (a.uri < b.uri ? -1 : 1));
  return { items, images, errors, slab };
}
