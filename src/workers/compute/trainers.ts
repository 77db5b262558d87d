import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ImagemillError } from '../../contract/errors.ts';
import type { TrainRun } from '../../contract/run.ts';
import type { EngineName } from '../../pipeline/engine/engine.ts';
import { TrainerThread } from '../../pipeline/engine/trainer-thread.ts';
import type { InitialState } from '../../pipeline/engine/trainer-protocol.ts';
import { setUpTraining, type TrainingSetup } from '../../pipeline/training/training-setup.ts';
import type { ObjectStore, StoreResolver } from '../../storage/object-store.ts';
import type { EpochStart } from './find-start.ts';

/** A trainer that nobody has used for so long is let go, with its gigabytes. */
const IDLE_MS = 30_000;
/** Bytes that are hashed between two turns of the event loop. */
const PIECE_BYTES = 8 * 1024 * 1024;

export interface TrainersOptions {
  readonly resolver: StoreResolver;
  readonly engine: EngineName;
  readonly device: string;
  readonly threads: number;
  readonly tensorflowDirectory: string | undefined;
  /** Hears in one line of what is done otherwise than asked. */
  readonly onNotice: (text: string) => void;
}

interface Held {
  readonly run: string;
  readonly setup: TrainingSetup;
  readonly device: TrainerThread;
  /** Digest of the checkpoint whose state the trainer holds; null while it trains. */
  readonly standsAt: string | null;
}

/** Keeps the trainer of the last epoch: the next one most often goes on with it. */
export class Trainers {
  readonly #options: TrainersOptions;
  #held: Held | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor(options: TrainersOptions) {
    this.#options = options;
  }

  /**
   * A trainer that stands where an epoch starts. It belongs to the caller until {@link rest} or {@link drop}.
   * @param signal ends the reading of the dataset and of the checkpoint
   * @throws ImagemillError CHECKPOINT_INVALID, DATASET_*, MODEL_*, ENGINE_*, STORE_*
   */
  async use(
    run: TrainRun,
    start: EpochStart,
    out: ObjectStore,
    signal: AbortSignal,
  ): Promise<Pick<Held, 'setup' | 'device'>> {
    if (this.#idle !== null) clearTimeout(this.#idle);
    const held = this.#held;
    this.#held = null;
    // Only its own digest tells a checkpoint: of an epoch that two workers trained, the other's may count.
    if (held?.run === run.run && held.standsAt === start.checkpoint?.object.digest) {
      this.#held = { ...held, standsAt: null };
      return held;
    }
    await held?.device.terminate();
    const setup =
      held?.run === run.run ? held.setup : await setUpTraining(run, this.#options.resolver, signal);
    const { engine, device, threads, tensorflowDirectory, onNotice } = this.#options;
    const options = {
      engine,
      device,
      threads,
      tensorflowDirectory,
      spec: setup.trainer,
      facts: setup.facts,
      initial: await this.#initial(run, start, out, signal),
    };
    const thread = await TrainerThread.start(options, onNotice);
    this.#held = { run: run.run, setup, device: thread, standsAt: null };
    return { setup, device: thread };
  }

  /** Lets the trainer go: its state is not what the ledger says. */
  async drop(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    await held?.device.terminate();
  }

  /**
   * Called when an epoch is over: without another one soon, the trainer goes.
   * @param checkpoint digest of the epoch's checkpoint
   */
  rest(checkpoint: string): void {
    if (this.#held !== null) this.#held = { ...this.#held, standsAt: checkpoint };
    this.#idle = setTimeout(() => void this.drop(), IDLE_MS);
    this.#idle.unref();
  }

  async #initial(
    run: TrainRun,
    { checkpoint }: EpochStart,
    out: ObjectStore,
    signal: AbortSignal,
  ): Promise<InitialState> {
    const { init, recipe, seed, dataset } = run.spec;
    if (checkpoint !== null) {
      const where = out.uriOf(checkpoint.object.key);
      const bytes = await out.get(checkpoint.object.key, { signal });
      const digest = await digestOf(bytes);
      if (digest !== checkpoint.object.digest) {
        throw new ImagemillError(
          'CHECKPOINT_INVALID',
          `${where}: expected a file with the digest ${checkpoint.object.digest}, got ${digest}`,
        );
      }
      const { epoch, step } = checkpoint;
      return {
        kind: 'checkpoint',
        bytes,
        where,
        header: { epoch, step, seed, recipe, datasetDigest: dataset.digest },
      };
    }
    if (init === undefined) return { kind: 'random' };
    const { store, key } = this.#options.resolver.resolve(init.uri);
    const bytes = await store.get(key, { signal });
    const digest = await digestOf(bytes);
    if (digest !== init.digest) {
      throw new ImagemillError('MODEL_DIGEST_CHANGED', `${init.uri}: expected ${init.digest}, got ${digest}`);
    }
    return { kind: 'model', bytes, where: init.uri };
  }
}

/** `sha256:<hex>` of a file of any size; gives way to others between pieces. */
async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    hash.update(bytes.subarray(start, start + PIECE_BYTES));
    await nextTurn();
  }
  return `sha256:${hash.digest('hex')}`;
}
