import { Option, type Command } from 'commander';
import { parseInstant, parseShare } from '../contract/option-values.ts';
import { PRIORITY_DEFAULT } from '../contract/queues.ts';
import { SPLITS } from '../contract/dataset.ts';
import { BATCH_SIZE_TRAINING_MAX, EPOCHS_MAX } from '../contract/recipe.ts';
import { SHARD_SIZE_MAX } from '../contract/ids.ts';
import { BATCH_SIZE_MAX, SHORT_SIDE_MAX, VAL_FRACTION_MAX } from '../contract/run.ts';
import { describeRecipes } from '../pipeline/recipe/recipes.ts';
import { ARCHITECTURE_NAMES } from '../pipeline/model/architectures.ts';
import type { Handler } from './context.ts';
import { evaluate, type EvaluateOptions } from './evaluate.ts';
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
  valueOrFault,
} from './options.ts';
import { prepare, type PrepareOptions } from './prepare.ts';
import { recipes } from './recipes.ts';
import { schedules } from './schedules.ts';
import { train, type TrainOptions } from './train.ts';
import { trainBatch, type TrainBatchOptions } from './train-batch.ts';

type Run = (handler: Handler) => Promise<void>;

const STEPS_MAX = 1_000_000_000;
const SEED_MAX = Number.MAX_SAFE_INTEGER;

/** `imagemill prepare|train|evaluate|train-batch|recipes`. */
export function addTrainingCommands(program: Command, run: Run): void {
  addPrepare(program, run);
  addTrain(program, run);
  addEvaluate(program, run);
  program
    .command('train-batch')
    .description('draw a minibatch exactly as the model saw it')
    .argument('<run>', "a training run's id or directory")
    .requiredOption('--png <file>', 'where to write the picture')
    .addOption(integerOption('--epoch <n>', 'from 1', 1, EPOCHS_MAX).default(1))
    .addOption(integerOption('--step <n>', 'batch of the epoch, from 0', 0, STEPS_MAX).default(0))
    .addOption(json())
    .addHelpText('after', example('imagemill train-batch ./run --epoch 3 --step 17 --png batch.png'))
    .action((reference: string, options: TrainBatchOptions) =>
      run((context) => trainBatch(context, reference, options)),
    );
  program
    .command('schedules')
    .description('list the schedules of `train --cron`, or end one')
    .option('--remove <id>', 'the schedule to end')
    .addOption(json())
    .addHelpText('after', example('imagemill schedules --remove train-1f2e3d4c5b6a'))
    .action((options: { remove?: string; json: boolean }) => run((context) => schedules(context, options)));
  program
    .command('recipes')
    .description('list the recipes, or the settings of one')
    .argument('[name]', ARCHITECTURE_NAMES.join(', '))
    .addOption(json())
    .addHelpText('after', example('imagemill recipes', 'imagemill recipes alexnet-2012'))
    .action((name: string | undefined, options: { json: boolean }) =>
      run((context) => recipes(context, name, options)),
    );
}

function addPrepare(program: Command, run: Run): void {
  program
    .command('prepare')
    .description('make a dataset of a labelled collection, to train on')
    .argument(
      '<source>',
      'folder with a folder per class, manifest with a column `label`, or WebDataset tars',
    )
    .requiredOption('--out <location>', "the dataset's directory: a path or s3:// URI")
    .addOption(
      integerOption(
        '--short-side <pixels>',
        'of the stored images; smaller ones stay',
        1,
        SHORT_SIDE_MAX,
      ).default(256),
    )
    .addOption(
      new Option('--val-fraction <share>', 'part of the images kept for validation')
        .default(0.1)
        .argParser((text: string) => valueOrFault(parseShare(text, VAL_FRACTION_MAX))),
    )
    .addOption(integerOption('--seed <n>', 'decides the split', 0, SEED_MAX).default(0))
    .addOption(integerOption('--shard-size <n>', 'images per job and tar', 1, SHARD_SIZE_MAX).default(1_000))
    .addOption(
      new Option('--format <format>', 'of the stored images; png is lossless')
        .choices(['jpeg', 'png'])
        .default('jpeg'),
    )
    .addOption(repeatableOption('--include <glob>', 'take only matching keys (repeatable)'))
    .addOption(repeatableOption('--exclude <glob>', 'leave matching keys out (repeatable)'))
    .addOption(integerOption('--limit <n>', 'take at most so many images', 1, Number.MAX_SAFE_INTEGER))
    .addOption(priority(PRIORITY_DEFAULT.prepare))
    .option('--new', 'make another dataset even if an equal one exists', false)
    .addOption(noWait())
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText('after', example('imagemill prepare ./flowers --out ./dataset'))
    .action((source: string, options: PrepareOptions) => run((context) => prepare(context, source, options)));
}

function addTrain(program: Command, run: Run): void {
  program
    .command('train')
    .description('train AlexNet on a dataset, one epoch per job')
    .argument('<dataset>', 'a prepared dataset: a path or s3:// URI')
    .requiredOption('--out <location>', "the run's directory: a path or s3:// URI")
    .addOption(
      new Option('--recipe <name>', 'what to train, and how')
        .choices([...ARCHITECTURE_NAMES])
        .default('alexnet-2012'),
    )
    .addOption(integerOption('--epochs <n>', "in place of the recipe's", 1, EPOCHS_MAX))
    .addOption(integerOption('--batch-size <n>', "in place of the recipe's", 1, BATCH_SIZE_TRAINING_MAX))
    .addOption(
      repeatableOption('--set <key=value>', 'changes a setting of the recipe: see `imagemill recipes NAME`'),
    )
    .addOption(integerOption('--seed <n>', 'decides weights, order and augmentation', 0, SEED_MAX).default(0))
    .option('--init <model>', 'weights to start from; a head with other classes is replaced')
    .addOption(
      integerOption(
        '--checkpoint-steps <n>',
        'steps between two checkpoints in an epoch',
        1,
        STEPS_MAX,
      ).default(500),
    )
    .addOption(
      integerOption(
        '--keep-checkpoints <n>',
        'epochs kept beside the best and the last',
        0,
        EPOCHS_MAX,
      ).default(2),
    )
    .addOption(
      new Option('--at <time>', 'start then: ISO 8601').argParser((text: string) =>
        valueOrFault(parseInstant(text)),
      ),
    )
    .addOption(
      new Option(
        '--cron <expression>',
        'a run at every such time, each from the best of the one before; none starts while one goes on',
      ).conflicts(['at']),
    )
    .addOption(priority(PRIORITY_DEFAULT.train))
    .option('--new', 'start another run even if an equal one exists', false)
    .addOption(noWait())
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText(
      'after',
      `${example(
        'imagemill train ./dataset --out ./run --recipe alexnet-small --epochs 10',
        'imagemill train s3://bucket/dataset/ --out s3://bucket/run/ --set learningRate=0.02 --set activation=tanh',
      )}\nRecipes:\n${describeRecipes()
        .map((line) => `  ${line}\n`)
        .join('')}`,
    )
    .action((dataset: string, options: TrainOptions) => run((context) => train(context, dataset, options)));
}

function addEvaluate(program: Command, run: Run): void {
  program
    .command('evaluate')
    .description('classify a split of a dataset and compare with its labels')
    .argument('<dataset>', 'a prepared dataset: a path or s3:// URI')
    .requiredOption('--model <file>', 'safetensors, PyTorch (.pth) or ONNX; a path or s3:// URI')
    .option('--out <location>', "the run's directory; below IMAGEMILL_HOME where it is not given")
    .addOption(new Option('--split <split>', 'of the dataset').choices([...SPLITS]).default('val'))
    .addOption(
      new Option('--crops <n>', '1: centre crop, 10: mean over corners and centre, mirrored')
        .default(1)
        .argParser(parseCrops),
    )
    .addOption(integerOption('--batch-size <n>', 'images per step of the device', 1, BATCH_SIZE_MAX))
    .addOption(priority(PRIORITY_DEFAULT.evaluate))
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText('after', example('imagemill evaluate ./dataset --model ./run/best.safetensors --crops 10'))
    .action((dataset: string, options: EvaluateOptions) =>
      run((context) => evaluate(context, dataset, options)),
    );
}
