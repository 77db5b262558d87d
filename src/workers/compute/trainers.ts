import { ImagemillError } from '../../contract/errors.ts';
import type { TrainRun } from '../../contract/run.ts';
import type { EngineName } from '../../pipeline/engine/engine.ts';
import { TrainerThread } from '../../pipeline/engine/trainer-thread.ts';
import type { InitialState } from '../../pipeline/engine/trainer-protocol.ts';
import { setUpTraining, type TrainingSetup } from '../../pipeline/training/training-setup.ts';
import { sha256 } from '../../storage/digest.ts';
import type { ObjectStore, StoreResolver } from '../../storage/object-store.ts';
import type { EpochStart } from './find-start.ts';

/** A trainer that nobody has used for so long is let go, with its gigabytes. */
const IDLE_MS = 30_000;

export interface TrainersOptions {
  readonly resolver: StoreResolver;
  readonly engine: EngineName;
  readonly device: string;
  readonly threads: number;
}

interface Held {
  readonly run: string;
  /** The epoch after whose last step the trainer stands. */
  readonly epoch: number;
  readonly setup: TrainingSetup;
  readonly device: TrainerThread;
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
   * A trainer that stands where an epoch starts. It belongs to the caller until the next call.
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
    const goesOn = held?.run === run.run && start.from.step === 0 && held.epoch === start.epoch - 1;
    if (held !== null && goesOn) {
      this.#held = { ...held, epoch: start.epoch };
      return held;
    }
    await held?.device.terminate();
    const setup =
      held?.run === run.run ? held.setup : await setUpTraining(run, this.#options.resolver, signal);
    const { engine, device, threads } = this.#options;
    const thread = await TrainerThread.start({
      engine,
      device,
      threads,
      spec: setup.trainer,
      facts: setup.facts,
      initial: await this.#initial(run, start, out),
    });
    this.#held = { run: run.run, epoch: start.epoch, setup, device: thread };
    return { setup, device: thread };
  }

  /** Lets the trainer go: its state is not what the ledger says. */
  async drop(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    await held?.device.terminate();
  }

  /** Called when an epoch is over: without another one soon, the trainer goes. */
  rest(): void {
    this.#idle = setTimeout(() => void this.drop(), IDLE_MS);
    this.#idle.unref();
  }

  async #initial(run: TrainRun, { checkpoint }: EpochStart, out: ObjectStore): Promise<InitialState> {
    const { init, recipe, seed, dataset } = run.spec;
    if (checkpoint !== null) {
      const where = out.uriOf(checkpoint.object.key);
      const bytes = await out.get(checkpoint.object.key);
      const digest = sha256(bytes);
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
    const bytes = await store.get(key);
    const digest = sha256(bytes);
    if (digest !== init.digest) {
      throw new ImagemillError('MODEL_DIGEST_CHANGED', `${init.uri}: expected ${init.digest}, got ${digest}`);
    }
    return { kind: 'model', bytes, where: init.uri };
  }
}
