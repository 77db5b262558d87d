import { Command, InvalidArgumentError, Option } from 'commander';
import { VERSION } from '../config/version.ts';
import { PRIORITY_DEFAULT, QUEUE_NAMES, type QueueName } from '../contract/queues.ts';
import { PART_FORMATS } from '../contract/rows.ts';
import { SHARD_SIZE_MAX } from '../contract/ids.ts';
import { BATCH_SIZE_MAX, TOP_K_MAX } from '../contract/run.ts';
import { classify, type ClassifyOptions } from './classify.ts';
import { createContext, type CommandProgress, type Handler } from './context.ts';
import { dashboard } from './dashboard.ts';
import { demo, DEMO_DEFAULTS } from './demo.ts';
import { DASHBOARD_PORT } from './local-fleet.ts';
import { addModelCommands } from './model.ts';
import {
  device,
  engine,
  example,
  integerOption,
  json,
  noWait,
  parseCrops,
  priority,
  repeatableOption,
  runArgument,
} from './options.ts';
import { results } from './results.ts';
import { addRecoveryCommands } from './recovery-commands.ts';
import { runs, RUNS_SHOWN_MAX, status } from './runs.ts';
import { runTraced } from './run-traced.ts';
import { addTrainingCommands } from './training-commands.ts';
import { dev } from './dev.ts';
import { doctor } from './doctor.ts';
import { worker } from './worker.ts';

/**
 * The command table.
 * @param onExit receives the exit code of the command that ran
 * @param progress is kept up to date, for the exit code of a command that throws
 */
export function createProgram(
  process: NodeJS.Process,
  onExit: (code: number) => void,
  progress: CommandProgress = { enqueued: false },
): Command {
  const run = async (handler: Handler): Promise<void> =>
    onExit(await runTraced(createContext(process, progress), handler));
  const program = new Command('imagemill')
    .description(
      'Labels image collections in object storage in bulk, as jobs on a Redis queue that GPU workers pull.',
    )
    .version(VERSION)
    .exitOverride()
    // The one line about a fault is written in one place, the command line's own.
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError(false)
    .addHelpText(
      'after',
      example(
        'imagemill classify ./photos --model alexnet.safetensors --out ./labels',
        'imagemill results ./labels',
      ),
    );
  addClassify(program, run);
  addTrainingCommands(program, run);
  addOversight(program, run);
  addRecoveryCommands(program, run);
  addServices(program, run);
  addDoctor(program, run);
  addLocalFleets(program, run);
  addModelCommands(program, run);
  return program;
}

function addClassify(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('classify')
    .description('label every image of a collection')
    .argument('<source>', 'folder, s3:// prefix, manifest (.csv, .jsonl, .parquet) or WebDataset tars')
    .requiredOption('--model <file>', 'safetensors, PyTorch (.pth) or ONNX; a path or s3:// URI')
    .requiredOption('--out <location>', "the run's directory: a path or s3:// URI")
    .option('--labels <file>', 'one label per line, or a JSON array')
    .addOption(integerOption('--top-k <n>', 'classes per image', 1, TOP_K_MAX).default(5))
    .addOption(
      new Option('--crops <n>', '1: centre crop, 10: mean over corners and centre, mirrored')
        .default(1)
        .argParser(parseCrops),
    )
    .addOption(integerOption('--shard-size <n>', 'images per job', 1, SHARD_SIZE_MAX).default(1_000))
    .addOption(integerOption('--batch-size <n>', 'images per step of the device', 1, BATCH_SIZE_MAX))
    .addOption(
      new Option('--format <format>', 'of the result parts').choices([...PART_FORMATS]).default('parquet'),
    )
    .option('--embeddings', 'add the penultimate activations to every row', false)
    .addOption(repeatableOption('--include <glob>', 'take only matching keys (repeatable)'))
    .addOption(repeatableOption('--exclude <glob>', 'leave matching keys out (repeatable)'))
    .addOption(integerOption('--limit <n>', 'take at most so many images', 1, Number.MAX_SAFE_INTEGER))
    .addOption(priority(PRIORITY_DEFAULT.classify))
    .option('--new', 'start another run even if an equal one exists', false)
    .addOption(noWait())
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText(
      'after',
      example(
        'imagemill classify s3://bucket/photos/ --model s3://models/alexnet.safetensors --out s3://bucket/labels/',
        'imagemill classify photos.csv --model resnet50.onnx --out ./labels --top-k 1 --format jsonl',
      ),
    )
    .action((source: string, options: ClassifyOptions) =>
      run((context) => classify(context, source, options)),
    );
}

function addOversight(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('runs')
    .description('list runs, newest first')
    .addOption(integerOption('--limit <n>', 'runs to list', 1, 100_000).default(RUNS_SHOWN_MAX))
    .addOption(json())
    .addHelpText('after', example('imagemill runs --limit 5'))
    .action((options) => run((context) => runs(context, options)));
  program
    .command('status')
    .description("show a run's progress and summary")
    .addArgument(runArgument())
    .addOption(json())
    .addHelpText('after', example('imagemill status s3://bucket/labels/ --json'))
    .action((reference: string, options) => run((context) => status(context, reference, options)));
  program
    .command('results')
    .description('stream the committed rows of a run')
    .addArgument(runArgument())
    .addOption(new Option('--format <format>', 'of the rows').choices([...PART_FORMATS]).default('jsonl'))
    .option('--errors', 'the error rows instead (JSONL)', false)
    .option('--output <file>', 'write to a file in place of stdout')
    .addHelpText(
      'after',
      example('imagemill results ./labels | head -1', 'imagemill results ./labels --errors'),
    )
    .action((reference: string, options) => run((context) => results(context, reference, options)));
}

function addServices(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('worker')
    .description('serve the queues of REDIS_URL with one device')
    .addOption(
      new Option('--queues <names>', `comma-separated: ${QUEUE_NAMES.join(', ')}`)
        .default([...QUEUE_NAMES], QUEUE_NAMES.join(','))
        .argParser(parseQueues),
    )
    .addOption(device())
    .addOption(engine())
    .option('--health-file <path>', 'write this file every 5 s while the worker lives and Redis answers')
    .addOption(
      integerOption(
        '--metrics-port <n>',
        'serve /metrics and /healthz on this port; off without it',
        1,
        65_535,
      ),
    )
    .option('--metrics-host <address>', 'to listen on, with --metrics-port', '127.0.0.1')
    .addHelpText(
      'after',
      example(
        'REDIS_URL=redis://queue:6379 imagemill worker --device cuda:0',
        'REDIS_URL=redis://queue:6379 imagemill worker --metrics-port 9464 --metrics-host 0.0.0.0',
      ),
    )
    .action((options) => run((context) => worker(context, options)));
  program
    .command('dashboard')
    .description('serve pages, API, live events and metrics of the queues of REDIS_URL')
    .option(
      '--host <address>',
      'beyond this machine IMAGEMILL_TOKEN or --proxy-user-header is needed',
      '127.0.0.1',
    )
    .addOption(integerOption('--port <n>', '0: any that is free', 0, 65_535).default(DASHBOARD_PORT))
    .option('--proxy-user-header <name>', 'header in which a proxy that signs people in says who they are')
    .addOption(repeatableOption('--proxy-from <address>', 'of that proxy, or a range (repeatable)'))
    .addOption(repeatableOption('--operator <name>', 'who may submit and cancel, by that header; * for all'))
    .addOption(repeatableOption('--allow <location>', 'runs may name locations below it (repeatable)'))
    .addHelpText('after', example('REDIS_URL=redis://queue:6379 imagemill dashboard'))
    .action((options) => run((context) => dashboard(context, options)));
}

function addDoctor(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('doctor')
    .description('try every device and library there is, and say what workers here would compute on')
    .addOption(json())
    .addHelpText('after', example('imagemill doctor'))
    .action((options) => run((context) => doctor(context, options)));
}

/** A whole fleet on this machine. */
function addLocalFleets(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('dev')
    .description('start Redis, a worker and a dashboard on this machine')
    .addOption(integerOption('--port <n>', 'of the dashboard; 0: any that is free', 0, 65_535))
    .option(
      '--demo',
      'give them something to do: the runs of `imagemill demo` (default: while there are no runs)',
    )
    .option('--no-demo', 'leave them alone')
    .addOption(device())
    .addOption(engine())
    .addHelpText('after', example('imagemill dev'))
    .action((options) => run((context) => dev(context, options)));
  program
    .command('demo')
    .description('handwritten digits, from nothing, on this machine: prepare, train, label')
    .option('--out <folder>', 'where the demo lives', DEMO_DEFAULTS.out)
    .addOption(
      integerOption('--train-images <n>', 'digits to train on', 1_000, 60_000).default(
        DEMO_DEFAULTS.trainImages,
      ),
    )
    .addOption(integerOption('--images <n>', 'digits to label', 10, 10_000).default(DEMO_DEFAULTS.images))
    .addOption(integerOption('--epochs <n>', 'passes over the digits', 1, 100).default(DEMO_DEFAULTS.epochs))
    .addOption(integerOption('--seed <n>', 'of the training', 0, Number.MAX_SAFE_INTEGER).default(0))
    .addOption(device())
    .addOption(engine())
    .addOption(json())
    .addHelpText('after', example('imagemill demo'))
    .action((options) => run((context) => demo(context, options)));
}

function parseQueues(text: string): QueueName[] {
  return text.split(',').map((name) => {
    const queue = QUEUE_NAMES.find((known) => known === name.trim());
    if (queue === undefined)
      throw new InvalidArgumentError(`expected names from ${QUEUE_NAMES.join(', ')}, got ${name}`);
    return queue;
  });
}
