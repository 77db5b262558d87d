import { createHash } from 'node:crypto';
import { datasetIndexDocument, type DatasetIndex, type Split } from '../../contract/dataset.ts';
import { shardName } from '../../contract/ids.ts';
import type { PreparedShard, WrittenObject } from '../../contract/ledger.ts';
import type { PrepareSpec } from '../../contract/run.ts';
import { sha256 } from '../../storage/digest.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { MAX_TAR_BYTES, TarWriter } from './tar-writer.ts';

const EXTENSIONS: Record<PrepareSpec['encoding'], string> = { jpeg: 'jpg', png: 'png' };

/** An image on its way into a tar. */
export interface PreparedItem {
  /** Among the items of the shard. */
  readonly position: number;
  readonly uri: string;
  readonly className: string;
  /** `sha256:<hex>` of the original bytes. */
  readonly digest: string;
  /** Encoded. */
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** One split's images of one shard: a WebDataset tar and its index. */
export class SplitShard {
  readonly #split: Split;
  readonly #shard: number;
  readonly #extension: string;
  readonly #tar: TarWriter;
  readonly #labels = new Map<string, number>();
  readonly #columns: Omit<DatasetIndex, 'schema' | 'tar' | 'digest' | 'bytes' | 'labels'> = {
    keys: [],
    classes: [],
    offsets: [],
    lengths: [],
    widths: [],
    heights: [],
    digests: [],
    uris: [],
  };

  constructor(split: Split, shard: number, encoding: PrepareSpec['encoding'], maxTarBytes = MAX_TAR_BYTES) {
    this.#split = split;
    this.#shard = shard;
    this.#extension = EXTENSIONS[encoding];
    this.#tar = new TarWriter(maxTarBytes);
  }

  get items(): number {
    return this.#columns.keys.length;
  }

  /**
   * Appends `<shard>-<position>.jpg` (or `.png`) and `.cls`, which holds the name of the class.
   * @throws ImagemillError USAGE where the tar would become too large
   */
  add(item: PreparedItem): void {
    const key = `${shardName(this.#shard)}-${String(item.position).padStart(8, '0')}`;
    const offset = this.#tar.add(`${key}.${this.#extension}`, item.bytes);
    this.#tar.add(`${key}.cls`, Buffer.from(item.className));
    const label = this.#labels.get(item.className) ?? this.#labels.size;
    this.#labels.set(item.className, label);
    const columns = this.#columns;
    columns.keys.push(key);
    columns.classes.push(label);
    columns.offsets.push(offset);
    columns.lengths.push(item.bytes.length);
    columns.widths.push(item.width);
    columns.heights.push(item.height);
    columns.digests.push(item.digest);
    columns.uris.push(item.uri);
  }

  /** Writes tar and index; call it once. @returns what was written, null where there is no image */
  async write(store: ObjectStore, token: string, signal: AbortSignal): Promise<PreparedShard[Split]> {
    const { items } = this;
    if (items === 0) return null;
    signal.throwIfAborted();
    const tar = await this.#writeTar(store, token, signal);
    const index: DatasetIndex = {
      schema: datasetIndexDocument.id,
      tar: tar.key,
      digest: tar.digest,
      bytes: tar.bytes,
      labels: [...this.#labels.keys()],
      ...this.#columns,
    };
    const bytes = datasetIndexDocument.encode(index);
    const key = ledgerKeys.datasetIndex(this.#split, this.#shard, token);
    await store.put(key, bytes);
    return { tar, index: { key, bytes: bytes.length, digest: sha256(bytes), rows: items }, items };
  }

  /**
   * A tar has a name without a token, since any attempt gives the same bytes. Where an earlier attempt left another
   * tar there (the source or the encoder has changed in between) it is not touched: a commit may name it.
   */
  async #writeTar(store: ObjectStore, token: string, signal: AbortSignal): Promise<WrittenObject> {
    const { bytes, digest } = this.#tar.finish();
    const written = { bytes: bytes.length, digest, rows: this.items };
    const key = ledgerKeys.datasetTar(this.#split, this.#shard);
    if (await store.putIfAbsent(key, bytes)) return { key, ...written };
    if (await holds(store, key, written, signal)) return { key, ...written };
    const ownKey = ledgerKeys.datasetTar(this.#split, this.#shard, token);
    await store.put(ownKey, bytes);
    return { key: ownKey, ...written };
  }
}

async function holds(
  store: ObjectStore,
  key: string,
  { bytes, digest }: { bytes: number; digest: string },
  signal: AbortSignal,
): Promise<boolean> {
  if ((await store.head(key))?.bytes !== bytes) return false;
  const hash = createHash('sha256');
  for await (const chunk of await store.getStream(key, { signal })) hash.update(chunk);
  return `sha256:${hash.digest('hex')}` === digest;
}
