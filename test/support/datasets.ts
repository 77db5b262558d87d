import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  datasetDocument,
  datasetIndexDocument,
  SPLITS,
  type Dataset,
  type Split,
} from '../../src/contract/dataset.ts';
import { encodePng } from '../../src/pipeline/decode/encode-png.ts';

/** An image of a dataset in a folder, as its index describes it. */
export interface PreparedMember {
  readonly split: Split;
  /** Name of the tar, relative to the dataset. */
  readonly tar: string;
  readonly key: string;
  readonly className: string;
  /** Of the original. */
  readonly digest: string;
  readonly uri: string;
  readonly offset: number;
  readonly width: number;
  readonly height: number;
  /** Encoded: what the tar has where the index says. */
  readonly bytes: Buffer;
}

export function readDataset(folder: string): Dataset {
  return datasetDocument.decode(readFileSync(join(folder, 'dataset.json')), folder);
}

/** Every image of a dataset in a folder, by way of the indexes. */
export function readMembers(folder: string): PreparedMember[] {
  const { splits } = readDataset(folder);
  return SPLITS.flatMap((split) =>
    splits[split].shards.flatMap((shard) => {
      const tar = readFileSync(join(folder, shard.tar));
      const index = datasetIndexDocument.decode(readFileSync(join(folder, shard.index)), shard.index);
      return index.keys.map((key, at): PreparedMember => {
        const offset = index.offsets[at] ?? Number.NaN;
        return {
          split,
          tar: shard.tar,
          key,
          className: index.labels[index.classes[at] ?? Number.NaN] ?? '',
          digest: index.digests[at] ?? '',
          uri: index.uris[at] ?? '',
          offset,
          width: index.widths[at] ?? Number.NaN,
          height: index.heights[at] ?? Number.NaN,
          bytes: tar.subarray(offset, offset + (index.lengths[at] ?? Number.NaN)),
        };
      });
    }),
  );
}

/** Writes files below a folder. */
export function writeFiles(folder: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/**
 * A labelled collection: `<class>/<index>.png`, RGB, in the colour of the class with a gradient of its own, so that
 * images of a class are alike and no two are equal.
 */
export async function writeClasses(
  folder: string,
  classes: readonly string[],
  perClass: number,
  side = 16,
): Promise<void> {
  for (const [id, name] of classes.entries()) {
    for (let index = 0; index < perClass; index++) {
      const pixels = Uint8Array.from({ length: side * side * 3 }, (_, at) => {
        const [x, y, channel] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side), at % 3];
        return ((id + 1) * 61 * (channel + 1) + index * 3 + (channel === 0 ? x : y)) % 256;
      });
      const png = await encodePng(pixels, { width: side, height: side, channels: 3 });
      writeFiles(folder, { [`${name}/${String(index).padStart(3, '0')}.png`]: png });
    }
  }
}
