import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import { isShardedRun, isTrainRun, type Run } from '../../contract/run.ts';
import {
  FILTER_GAP_PIXELS,
  FILTER_UPSCALE,
  FIRST_KERNELS,
  firstLayerImages,
} from '../../pipeline/charts/first-layer.ts';
import { layOutImages } from '../../pipeline/charts/image-grid.ts';
import { encodePng } from '../../pipeline/decode/encode-png.ts';
import type { Thumbnailer } from '../../pipeline/decode/thumbnail.ts';
import { readPreprocessing } from '../../pipeline/model/model-metadata.ts';
import { readTensor, type ReadTensor } from '../../pipeline/model/weights/read-tensor.ts';
import { createRunReader } from '../../pipeline/source/item-reader.ts';
import type { TrainingSetup } from '../../pipeline/training/training-setup.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import { RunLedger } from '../../storage/run-ledger.ts';
import { TrainingLedger } from '../../storage/training-ledger.ts';
import type { PatienceMs } from './picture-limits.ts';
import type { Picture, PictureTask } from './protocol.ts';
import { Recent } from './recent.ts';

/** Documents that never change; a page of thumbnails is of a few shards. */
const RUNS_KEPT = 16;
const SHARDS_KEPT = 16;
/** One takes 22 bytes for each image of its dataset. */
const SETUPS_KEPT = 1;

export interface PictureResources {
  readonly resolver: StoreResolver;
  readonly thumbnailer: Thumbnailer;
  /** Bytes of an encoded image. */
  readonly maxImageBytes: number;
  readonly patience: PatienceMs;
}

/** Makes pictures of what runs read and learned, in the process that is there for it. */
export class PictureTasks {
  readonly #resources: PictureResources;
  readonly #runs = new Recent<Run>(RUNS_KEPT);
  readonly #shards = new Recent<readonly Item[]>(SHARDS_KEPT);
  readonly #setups = new Recent<TrainingSetup>(SETUPS_KEPT);

  constructor(resources: PictureResources) {
    this.#resources = resources;
  }

  /**
   * @throws ImageError as the decoder and the reader of items; ImagemillError RUN_NOT_FOUND, USAGE, OBJECT_NOT_FOUND,
   *   CONTRACT_*, DATASET_*, MODEL_*, STORE_*
   */
  run(task: PictureTask): Promise<Picture> {
    const { thumbnailFetchMs, minibatchFetchMs } = this.#resources.patience;
    switch (task.kind) {
      case 'thumbnail':
        return this.#thumbnail(task, patience(thumbnailFetchMs));
      case 'filters':
        return this.#filters(task, patience(thumbnailFetchMs));
      default:
        return this.#minibatch(task, patience(minibatchFetchMs));
    }
  }

  /** Only what the run's own planner listed can be read, and only as the run itself reads it. */
  async #thumbnail(
    { out, shard, index, sidePx }: PictureTask & { kind: 'thumbnail' },
    signal: AbortSignal,
  ): Promise<Picture> {
    const { resolver, thumbnailer, maxImageBytes } = this.#resources;
    const ledger = new RunLedger(resolver.open(out));
    const run = await this.#runs.get(out, () => ledger.readRun());
    if (!isShardedRun(run)) throw wrongRun(run, 'that reads images');
    const items = await this.#shards.get(
      `${shard} ${out}`,
      async () => (await ledger.readShard(shard)).items,
    );
    const item = items[index];
    if (item === undefined) {
      throw new ImageError(
        'ITEM_NOT_FOUND',
        `${ledger.out}: expected an item from 0 to ${items.length - 1} of shard ${shard}, got ${index}`,
      );
    }
    const bytes = await createRunReader(run, resolver, { maxBytes: maxImageBytes }).read(item, signal);
    return { bytes: await thumbnailer.thumbnail(bytes, sidePx), contentType: 'image/webp' };
  }

  async #filters({ out }: PictureTask & { kind: 'filters' }, signal: AbortSignal): Promise<Picture> {
    const { store } = await this.#trainRun(out);
    const { tensor, metadata, where } = await newestKernels(new TrainingLedger(store), signal);
    const { channelOrder = 'rgb' } = readPreprocessing(metadata, where) ?? {};
    const { pixels, width, height } = layOutImages(firstLayerImages(tensor, { channelOrder }), {
      gap: FILTER_GAP_PIXELS,
      upscale: FILTER_UPSCALE,
    });
    return { bytes: await encodePng(pixels, { width, height, channels: 3 }), contentType: 'image/png' };
  }

  async #minibatch(
    { out, epoch, step }: PictureTask & { kind: 'minibatch' },
    signal: AbortSignal,
  ): Promise<Picture> {
    const { run } = await this.#trainRun(out);
    // With the engine, which takes its time to load and which most dashboards never need.
    const [{ drawBatch }, { setUpTraining }] = await Promise.all([
      import('../../pipeline/training/draw-batch.ts'),
      import('../../pipeline/training/training-setup.ts'),
    ]);
    const setup = await this.#setups.get(out, () =>
      setUpTraining(run, this.#resources.resolver, signal, { maxHeldTarBytes: 0 }),
    );
    const { picture, labels } = await drawBatch(setup, epoch, step, signal);
    return { bytes: picture, contentType: 'image/png', labels };
  }

  async #trainRun(out: string) {
    const ledger = new RunLedger(this.#resources.resolver.open(out));
    const run = await this.#runs.get(out, () => ledger.readRun());
    if (!isTrainRun(run)) throw wrongRun(run, 'that trains a model');
    return { run, store: ledger.store };
  }
}

/** Of the newest epoch; of the best model where that one's checkpoint was removed, as in a run that was tidied up. */
async function newestKernels(
  ledger: TrainingLedger,
  signal: AbortSignal,
): Promise<ReadTensor & { readonly where: string }> {
  const { store } = ledger;
  const newest = await ledger.newestEpoch();
  const keys = [...(newest === null ? [] : [newest.checkpoint.key]), ledgerKeys.best];
  for (const key of keys) {
    try {
      return { ...(await readTensor(store, key, FIRST_KERNELS, signal)), where: store.uriOf(key) };
    } catch (error) {
      if (!(error instanceof ImagemillError) || error.code !== 'OBJECT_NOT_FOUND') throw error;
    }
  }
  throw new ImagemillError(
    'OBJECT_NOT_FOUND',
    `${store.rootUri}: expected an epoch that is done, found none`,
  );
}

/** Aborts what takes longer. */
function patience(limitMs: number): AbortSignal {
  const controller = new AbortController();
  const reason = new ImagemillError(
    'STORE_UNREACHABLE',
    `expected what the picture needs within ${limitMs} ms, got less`,
  );
  setTimeout(() => controller.abort(reason), limitMs).unref();
  return controller.signal;
}

function wrongRun({ run, spec }: Run, expected: string): ImagemillError {
  return new ImagemillError('USAGE', `run ${run}: expected a run ${expected}, got a ${spec.kind} run`);
}
