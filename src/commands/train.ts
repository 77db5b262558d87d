import { EXIT, ImagemillError } from '../contract/errors.ts';
import { PRIORITY_DEFAULT } from '../contract/queues.ts';
import { isTrainRun, type Run, type RunState, type TrainRun } from '../contract/run.ts';
import type { EpochCommit, TrainProgress } from '../contract/training.ts';
import { openDataset } from '../pipeline/dataset/open-dataset.ts';
import { recipeByName } from '../pipeline/recipe/recipes.ts';
import { applySettings } from '../pipeline/recipe/settings.ts';
import { enqueueTrain } from '../producer/enqueue-train.ts';
import { readModelFile } from '../producer/read-model.ts';
import { submitTrain } from '../producer/submit-train.ts';
import { followTrain } from '../queue/follow-train.ts';
import { sha256Json } from '../storage/digest.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import type { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';
import { printableLine } from '../telemetry/printable.ts';
import type { OpenSpan } from '../telemetry/spans.ts';
import type { Context } from './context.ts';
import { percent } from './print.ts';
import { ProgressLine } from './progress-line.ts';
import { openSubmission } from './submission.ts';
import { submittedByUser } from './submitted-by.ts';
import { describeTrainRun, trainReport } from './train-report.ts';
import { checkQueues, withQueues } from './with-queues.ts';

export interface TrainOptions {
  readonly out: string;
  readonly recipe: string;
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly set: string[];
  readonly seed: number;
  readonly init?: string;
  readonly checkpointSteps: number;
  readonly keepCheckpoints: number;
  readonly at?: Date;
  readonly cron?: string;
  readonly priority?: number;
  readonly new: boolean;
  readonly wait: boolean;
  readonly json: boolean;
  readonly device: string;
  readonly engine: string;
}

/** `imagemill train DATASET --out OUT`. @returns the exit code */
export async function train(context: Context, dataset: string, options: TrainOptions): Promise<number> {
  await checkQueues(context);
  if (!options.wait && context.settings.redisUrl === undefined) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL with --no-wait: without it the worker ends with this command',
    );
  }
  if (options.cron !== undefined) return schedule(context, dataset, options, options.cron);
  const submission = openSubmission('train');
  const request = {
    dataset,
    out: options.out,
    recipe: options.recipe,
    settings: settingsOf(options),
    seed: options.seed,
    init: options.init,
    checkpointSteps: options.checkpointSteps,
    keepCheckpoints: options.keepCheckpoints,
    fresh: options.new,
    submittedBy: submittedByUser(),
  };
  const { run, ledger, created } = await submission.during(() =>
    submitTrain(request, context.resolver, context.index),
  );
  if (!created && !options.json) {
    context.stderr.write(`${run.run} is this very run: going on with it (--new starts another)\n`);
  }
  return trainToEnd(context, asTrainRun(run), ledger, { ...options, submission });
}

/**
 * Puts a schedule in place of a run, having checked what can be checked ahead of its time. At every such time it
 * starts a run, in a folder of its own below the output.
 */
async function schedule(
  context: Context,
  dataset: string,
  options: TrainOptions,
  pattern: string,
): Promise<number> {
  if (context.settings.redisUrl === undefined) {
    throw new ImagemillError(
      'USAGE',
      'expected REDIS_URL with --cron: without it the schedule ends with this command',
    );
  }
  const { resolver } = context;
  const [out, source] = [resolver.open(options.out).rootUri, resolver.open(dataset).rootUri];
  await openDataset(resolver, dataset);
  const settings = settingsOf(options);
  applySettings(recipeByName(options.recipe), settings);
  const { init } = options;
  if (init !== undefined) await readModelFile(init, resolver);
  const id = `train-${sha256Json({ out }).slice(-12)}`;
  await withQueues(context, options, (queues) =>
    queues.scheduleTrain(id, pattern, {
      dataset: source,
      out,
      recipe: options.recipe,
      settings,
      seed: options.seed,
      ...(init === undefined ? {} : { init: uriOf(resolver, init) }),
      checkpointSteps: options.checkpointSteps,
      keepCheckpoints: options.keepCheckpoints,
      priority: options.priority ?? PRIORITY_DEFAULT.train,
    }),
  );
  context.stdout.write(
    options.json
      ? `${JSON.stringify({ schedule: id, pattern, dataset: source, out })}\n`
      : `${id}: trains on ${source} at "${pattern}" (UTC), runs below ${out}; imagemill schedules\n`,
  );
  return EXIT.done;
}

function uriOf(resolver: StoreResolver, location: string): string {
  const { store, key } = resolver.resolve(location);
  return store.uriOf(key);
}

/** `--epochs` and `--batch-size` are settings like any other, with names of their own. */
export function settingsOf({
  set,
  epochs,
  batchSize,
}: Pick<TrainOptions, 'set' | 'epochs' | 'batchSize'>): string[] {
  return [
    ...set,
    ...(epochs === undefined ? [] : [`epochs=${epochs}`]),
    ...(batchSize === undefined ? [] : [`batchSize=${batchSize}`]),
  ];
}

export type FollowOptions = Pick<TrainOptions, 'wait' | 'json' | 'device' | 'engine' | 'at' | 'priority'> & {
  /** The span of the submission that is under way; undefined where it begins here. */
  readonly submission?: OpenSpan;
};

/** Puts a training run on the queue, waits for its end unless told otherwise, and reports. @returns the exit code */
export async function trainToEnd(
  context: Context,
  run: TrainRun,
  ledger: RunLedger,
  options: FollowOptions,
): Promise<number> {
  const line = new ProgressLine(context.stderr);
  const priority = options.priority ?? PRIORITY_DEFAULT.train;
  const submission = options.submission ?? openSubmission('train');
  submission.set({ 'imagemill.run': run.run });
  let state = await ledger.state();
  try {
    if (state !== 'done') {
      state = await withQueues(context, options, async (queues) => {
        const startAt = options.at === undefined ? {} : { startAt: options.at };
        await submission.during(() => enqueueTrain(ledger, run, queues, { priority, ...startAt }));
        submission.end();
        if (!options.wait) return ledger.state();
        return followTrain(
          { ledger, run: run.run, queues },
          {
            onProgress: (progress) => line.show(formatTrainProgress(progress)),
            onEpoch(commit) {
              line.end();
              if (!options.json) context.stderr.write(`${describeEpoch(commit, run)}\n`);
            },
          },
          context.interrupted,
        );
      });
    }
  } catch (error) {
    if (!context.interrupted.aborted) throw error;
    line.end();
    const goesOn = context.settings.redisUrl !== undefined;
    context.stderr.write(
      goesOn
        ? `${run.run} goes on without this command: imagemill status ${run.run}\n`
        : `${run.run} stopped after its last checkpoint: imagemill resume ${run.run}\n`,
    );
    return EXIT.interrupted;
  } finally {
    line.end();
    submission.end();
  }
  return report(context, run, ledger, state, options);
}

async function report(
  context: Context,
  run: TrainRun,
  ledger: RunLedger,
  state: RunState,
  options: Pick<TrainOptions, 'wait' | 'json'>,
): Promise<number> {
  const training = new TrainingLedger(ledger.store);
  const [summary, epochs] = await Promise.all([training.findSummary(), training.epochs()]);
  const facts = { run, out: ledger.out, state, summary, epochs };
  context.stdout.write(
    options.json ? `${JSON.stringify(trainReport(facts))}\n` : `${describeTrainRun(facts)}\n`,
  );
  if (!options.wait) return EXIT.done;
  if (state === 'done') return EXIT.done;
  const failure = await ledger.findFailure();
  const reason =
    failure === null ? `run ${run.run} ended as ${state}` : `${failure.code}: ${failure.message}`;
  context.stderr.write(`imagemill: ${printableLine(reason)}\n`);
  return EXIT.failed;
}

export function asTrainRun(run: Run): TrainRun {
  if (isTrainRun(run)) return run;
  throw new ImagemillError('USAGE', `expected a training run, got ${run.run}, a ${run.spec.kind} run`);
}

export function formatTrainProgress(progress: TrainProgress): string {
  const { epoch, step, steps, loss, top1Error, learningRate, imagesPerSecond, phase } = progress;
  if (phase !== 'training') return `epoch ${epoch} · ${phase}`;
  const figures =
    loss === null || top1Error === null
      ? ''
      : ` · loss ${loss.toFixed(4)} · error ${percent(top1Error)} · rate ${learningRate.toPrecision(3)}`;
  return `epoch ${epoch} · step ${step}/${steps}${figures} · ${imagesPerSecond.toFixed(0)} images/s`;
}

function describeEpoch(commit: EpochCommit, { spec }: TrainRun): string {
  const { epoch, train, validation, imagesPerSecond, dataWaitShare } = commit;
  const validated =
    validation === null
      ? ''
      : ` · validation loss ${validation.loss.toFixed(4)}, error ${percent(validation.top1Error)}`;
  return `epoch ${epoch}/${spec.recipe.epochs} · loss ${train.loss.toFixed(4)}, error ${percent(train.top1Error)}${validated} · ${imagesPerSecond.toFixed(0)} images/s, ${percent(dataWaitShare)} waiting for data`;
}
