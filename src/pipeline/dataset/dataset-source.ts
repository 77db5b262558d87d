import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { Split } from '../../contract/dataset.ts';
import type { Item } from '../../contract/item.ts';
import type { Source, SourceCursor, SourceEntry } from '../source/source.ts';
import { tarsOf } from './dataset-facts.ts';
import type { OpenedDataset } from './open-dataset.ts';
import { readIndex } from './read-index.ts';

/** The tar, and how many of its images were listed. */
const cursorSchema = z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]);

/** Lists a split of a dataset with its labels, from the indexes: only tars that the dataset names count. */
export function datasetSource({ dataset, store }: OpenedDataset, split: Split): Source {
  const tars = tarsOf(dataset, split);
  const extension = dataset.encoding === 'jpeg' ? 'jpg' : 'png';
  return {
    async *list(cursor, signal) {
      const [firstTar, listed] = cursor === undefined ? [0, 0] : parseCursor(cursor);
      for (let tar = firstTar; tar < tars.length; tar++) {
        const indexed = tars[tar];
        if (indexed === undefined) return;
        const index = await readIndex(store, indexed, signal);
        const uri = store.uriOf(indexed.tar);
        const page: SourceEntry[] = [];
        for (let item = tar === firstTar ? listed : 0; item < index.keys.length; item++) {
          const bytes = index.lengths[item] ?? 0;
          const label = index.labels[index.classes[item] ?? 0];
          const listedItem: Item = {
            uri: `${uri}#${index.keys[item]}.${extension}`,
            bytes,
            within: { uri, offset: index.offsets[item] ?? 0, bytes },
            ...(label === undefined ? {} : { label }),
          };
          page.push({ item: listedItem, cursor: JSON.stringify([tar, item + 1]) });
        }
        if (page.length > 0) yield page;
      }
    },
  };
}

function parseCursor(cursor: SourceCursor): [number, number] {
  const parsed = cursorSchema.safeParse(parseJson(cursor));
  if (parsed.success) return parsed.data;
  throw new ImagemillError('CONTRACT_INVALID', `expected a cursor of a dataset's split, got ${cursor}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
