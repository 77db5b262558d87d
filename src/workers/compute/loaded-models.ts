import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ImagemillError } from '../../contract/errors.ts';
import type { LabelRun } from '../../contract/run.ts';
import { SlabPool } from '../../pipeline/batch/slab-pool.ts';
import { SLABS_PER_SHARD, type ClassifyResources } from '../../pipeline/classify-resources.ts';
import type { UncompiledModel } from '../../pipeline/engine/device-protocol.ts';
import { DeviceThread } from '../../pipeline/engine/device-thread.ts';
import { ENGINES, type EngineName } from '../../pipeline/engine/engine.ts';
import { sha256Json } from '../../storage/digest.ts';
import type { StoreResolver } from '../../storage/object-store.ts';

/** Models whose sessions stay open; two let a run of higher priority come in between without a reload. */
const MODELS_KEPT = 2;
/** Shards that share a model's slabs. */
const SHARDS_SHARING = 2;

/** A model with an open session. */
export type OpenModel = Pick<ClassifyResources, 'graph' | 'device' | 'slabs' | 'preprocessing'>;

interface Entry {
  readonly opening: Promise<{ readonly model: OpenModel; readonly thread: DeviceThread }>;
  /** Everyone who waits for the model hears of its progress: to a watchdog a silent wait looks like a hang. */
  readonly waiting: Set<() => void>;
  users: number;
  usedAtMs: number;
}

export interface LoadedModelsOptions {
  readonly resolver: StoreResolver;
  readonly engine: string;
  readonly device: string;
  /** undefined: as many as there are cores */
  readonly engineThreads: number | undefined;
  readonly tensorflowDirectory: string | undefined;
  /** Hears in one line of what is done otherwise than asked. */
  readonly onNotice: (text: string) => void;
}

/** Opens sessions for runs and keeps the last few. */
export class LoadedModels {
  readonly #options: LoadedModelsOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: LoadedModelsOptions) {
    this.#options = options;
  }

  /**
   * Lends a run's model for the duration of `work`.
   * @param onStep called as the model's file arrives: large files take longer than a watchdog waits
   * @throws ImagemillError MODEL_DIGEST_CHANGED, MODEL_*, ENGINE_UNAVAILABLE, STORE_*
   */
  async use<R>(run: LabelRun, onStep: () => void, work: (model: OpenModel) => Promise<R>): Promise<R> {
    const { topK, batchSize, crops, embeddings } = run.spec;
    const key = sha256Json({ model: run.model, topK, batchSize, crops, embeddings });
    const entry = this.#entries.get(key) ?? this.#open(key, run);
    entry.users += 1;
    entry.waiting.add(onStep);
    try {
      const { model } = await entry.opening;
      entry.waiting.delete(onStep);
      return await work(model);
    } finally {
      entry.waiting.delete(onStep);
      entry.users -= 1;
      entry.usedAtMs = performance.now();
      this.#dropIdle();
    }
  }

  #open(key: string, run: LabelRun): Entry {
    const waiting = new Set<() => void>();
    const opening = this.#load(run, () => waiting.forEach((onStep) => onStep()));
    const entry: Entry = { opening, waiting, users: 0, usedAtMs: performance.now() };
    this.#entries.set(key, entry);
    opening.catch(() => this.#entries.delete(key));
    return entry;
  }

  async #load(run: LabelRun, onStep: () => void): Promise<Awaited<Entry['opening']>> {
    const { resolver, engine, engineThreads } = this.#options;
    const engineName = ENGINES.find((name) => name === engine);
    if (engineName === undefined) {
      throw new ImagemillError(
        'ENGINE_UNAVAILABLE',
        `expected an engine ${ENGINES.join(', ')}, got ${engine}`,
      );
    }
    const { topK, batchSize, crops, embeddings } = run.spec;
    const bytes = await readModel(resolver, run.model.uri, onStep);
    onStep();
    const thread = await this.#startThread({
      model: { bytes, card: run.model, compile: { topK, batchSize, crops, embeddings } },
      engine: engineName,
      threads: engineThreads ?? availableParallelism(),
    });
    onStep();
    const { graph } = thread;
    const slabBytes = graph.batchSize * graph.cropsPerItem * graph.height * graph.width * 3;
    const model: OpenModel = {
      graph,
      device: thread,
      slabs: new SlabPool(slabBytes, SLABS_PER_SHARD * SHARDS_SHARING),
      preprocessing: run.model.preprocessing,
    };
    return { model, thread };
  }

  async #startThread(start: {
    readonly model: UncompiledModel;
    readonly engine: EngineName;
    readonly threads: number;
  }): Promise<DeviceThread> {
    const { model, engine, threads } = start;
    const { device, tensorflowDirectory, onNotice } = this.#options;
    // TensorFlow takes a GPU by itself where it sees one.
    if (device !== 'auto' || engine === 'tensorflow') {
      return DeviceThread.start(model, { engine, device, threads, tensorflowDirectory }, onNotice);
    }
    if (existsSync('/proc/driver/nvidia/version')) {
      try {
        return await DeviceThread.start(
          { ...model, bytes: model.bytes.slice() },
          { engine, device: 'cuda:0', threads },
        );
      } catch (error) {
        // A driver without the CUDA provider is common; the processor still does the work.
        if (!(error instanceof ImagemillError) || error.code !== 'ENGINE_UNAVAILABLE') throw error;
      }
    }
    return DeviceThread.start(model, { engine, device: 'cpu', threads });
  }

  #dropIdle(): void {
    const idle = [...this.#entries].filter(([, entry]) => entry.users === 0);
    idle.sort(([, a], [, b]) => a.usedAtMs - b.usedAtMs);
    for (const [key, entry] of idle.slice(0, Math.max(0, this.#entries.size - MODELS_KEPT))) {
      this.#entries.delete(key);
      entry.opening.then(({ thread }) => thread.terminate()).catch(() => {});
    }
  }
}

/** Reads a model's file into one buffer, in pieces, so that progress shows. */
async function readModel(
  resolver: StoreResolver,
  uri: string,
  onStep: () => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const { store, key } = resolver.resolve(uri);
  const info = await store.head(key);
  if (info === null) {
    throw new ImagemillError('MODEL_NOT_FOUND', `expected a model file at ${uri}, found none`);
  }
  const bytes = new Uint8Array(info.bytes);
  let offset = 0;
  for await (const chunk of await store.getStream(key)) {
    if (offset + chunk.length > bytes.length) break;
    bytes.set(chunk, offset);
    offset += chunk.length;
    onStep();
  }
  if (offset !== bytes.length) {
    throw new ImagemillError('MODEL_DIGEST_CHANGED', `${uri}: expected ${bytes.length} bytes, got ${offset}`);
  }
  return bytes;
}
