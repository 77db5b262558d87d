import { availableParallelism } from 'node:os';
import { ImagemillError } from '../../contract/errors.ts';
import { isTrainRun } from '../../contract/run.ts';
import type { TrainProgress } from '../../contract/training.ts';
import { Semaphore } from '../../pipeline/batch/semaphore.ts';
import { SlabPool } from '../../pipeline/batch/slab-pool.ts';
import { ENGINES } from '../../pipeline/engine/engine.ts';
import { trainEpoch } from '../../pipeline/train-epoch.ts';
import { Gate } from '../../pipeline/batch/gate.ts';
import { waitingProgress } from '../../pipeline/training/checkpoint-writer.ts';
import type { EpochDraft, StepDraft } from '../../pipeline/training/epoch-task.ts';
import { TRAINING_SLABS } from '../../pipeline/training/training-batches.ts';
import type { TrainingSetup } from '../../pipeline/training/training-setup.ts';
import { TrainingLedger } from '../../storage/training-ledger.ts';
import type { StoreResolver } from '../../storage/object-store.ts';
import type { RunCache } from '../run-cache.ts';
import type { EpochTaskId, FromCompute, ToCompute, WireError } from './protocol.ts';
import { findStart } from './find-start.ts';
import { Trainers } from './trainers.ts';
import { throttled } from './throttle.ts';

/** Signs of life of an epoch that waits: for its turn, its data or its first step. */
const WAITING_PULSE_MS = 1_000;

export interface TrainAttemptsOptions {
  readonly resolver: StoreResolver;
  readonly runs: RunCache;
  readonly engine: string;
  readonly device: string;
  readonly engineThreads: number | undefined;
  readonly tensorflowDirectory: string | undefined;
  readonly fetchConcurrency: number;
  readonly send: (message: FromCompute) => void;
}

interface Attempt {
  /** Shut while more urgent work has the device. */
  readonly gate: Gate;
  readonly stop: AbortController;
  /** Settles when the checkpoint that was written last is committed. */
  committed: { readonly resolve: () => void; readonly reject: (error: Error) => void } | null;
}

/** Runs epochs in the compute process, one at a time. */
export class TrainAttempts {
  readonly #options: TrainAttemptsOptions;
  readonly #trainers: Trainers;
  readonly #attempts = new Map<string, Attempt>();

  constructor(options: TrainAttemptsOptions) {
    this.#options = options;
    const engine = ENGINES.find((name) => name === options.engine);
    this.#trainers = new Trainers({
      resolver: options.resolver,
      engine: engine ?? ENGINES[0],
      // onnxruntime trains on the processor unless a device is named; TensorFlow takes a GPU where it sees one.
      device: options.device === 'auto' && engine !== 'tensorflow' ? 'cpu' : options.device,
      threads: options.engineThreads ?? availableParallelism(),
      tensorflowDirectory: options.tensorflowDirectory,
      onNotice: (text) => options.send({ type: 'notice', text }),
    });
  }

  async run(task: EpochTaskId): Promise<EpochDraft> {
    const attempt: Attempt = { gate: new Gate(), stop: new AbortController(), committed: null };
    this.#attempts.set(task.token, attempt);
    let last = waitingProgress(task.epoch, 0, 0);
    const send = (progress: TrainProgress) =>
      this.#options.send({ type: 'progress', token: task.token, progress });
    const report = throttled(send);
    const pulse = setInterval(() => {
      if (!attempt.gate.isOpen) send({ ...last, phase: 'yielding' });
      else if (last.phase === 'waiting') send(last);
    }, WAITING_PULSE_MS);
    try {
      return await this.#train(task, attempt, (progress) => {
        last = progress;
        report(progress);
      });
    } finally {
      clearInterval(pulse);
      this.#attempts.delete(task.token);
    }
  }

  /** Ends an attempt after a checkpoint, or before it has begun. */
  stop(token: string): void {
    const attempt = this.#attempts.get(token);
    if (attempt === undefined) return;
    attempt.stop.abort(new ImagemillError('SHUTDOWN', 'the attempt was stopped before it began'));
    attempt.gate.open();
  }

  receive(message: Exclude<ToCompute, { type: 'start' | 'abort' }>): void {
    const attempt = this.#attempts.get(message.token);
    if (attempt === undefined) return;
    if (message.type === 'committed') settle(attempt, message.error);
    else if (message.type === 'resume') attempt.gate.open();
    // An attempt that stops must not be held up.
    else if (!attempt.stop.signal.aborted) attempt.gate.shut();
  }

  async #train(
    task: EpochTaskId,
    attempt: Attempt,
    onProgress: (progress: TrainProgress) => void,
  ): Promise<EpochDraft> {
    const { run, ledger } = await this.#options.runs.open(task.out);
    if (!isTrainRun(run)) {
      throw new ImagemillError(
        'CONTRACT_INVALID',
        `run ${run.run}: expected a training run, got a ${run.spec.kind} run`,
      );
    }
    const { signal: stopping } = attempt.stop;
    const start = await findStart(new TrainingLedger(ledger.store), task.epoch);
    const { setup, device } = await this.#trainers.use(run, start, ledger.store, stopping);
    try {
      const draft = await trainEpoch(
        {
          epoch: task.epoch,
          from: start.from,
          errorsBefore: start.errorsBefore,
          token: task.token,
          out: ledger.store,
          stopping,
          turn: () => this.#turn(task, attempt),
          onProgress,
          commitStep: (step) => this.#commit(task, attempt, step),
        },
        setup,
        device,
        this.#resourcesOf(setup),
      );
      this.#trainers.rest(draft.checkpoint.digest);
      return draft;
    } catch (error) {
      // What the trainer holds now is in no checkpoint.
      await this.#trainers.drop();
      throw error;
    }
  }

  #resourcesOf(setup: TrainingSetup) {
    const { microBatchSize } = setup.run.spec.recipe;
    const { height, width } = setup.trainer.architecture.input;
    return {
      slabs: new SlabPool(microBatchSize * height * width * 3, TRAINING_SLABS),
      slots: new Semaphore(this.#options.fetchConcurrency),
    };
  }

  async #turn({ token }: EpochTaskId, { gate }: Attempt): Promise<void> {
    if (gate.isOpen) return;
    this.#options.send({ type: 'paused', token });
    await gate.passage();
  }

  #commit({ token }: EpochTaskId, attempt: Attempt, draft: StepDraft): Promise<void> {
    return new Promise((resolve, reject) => {
      attempt.committed = { resolve, reject };
      this.#options.send({ type: 'step', token, draft });
    });
  }
}

function settle({ committed }: Attempt, error: WireError | undefined): void {
  if (error === undefined) committed?.resolve();
  else committed?.reject(new ImagemillError(error.code, error.message));
}
