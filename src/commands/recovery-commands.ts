import type { Command } from 'commander';
import { PRIORITY_MAX } from '../contract/queues.ts';
import { gc } from './collect-garbage.ts';
import type { Handler } from './context.ts';
import { device, engine, example, integerOption, json, noWait, runArgument } from './options.ts';
import { cancel, resume } from './resume.ts';
import { retry, type RetryOptions } from './retry.ts';

/** An attempt that is a day old is nobody's any more: jobs of workers that died are taken up within seconds. */
const GRACE_HOURS_DEFAULT = 24;

/** `resume`, `retry`, `cancel` and `gc`: what is done to a run after it was submitted. */
export function addRecoveryCommands(program: Command, run: (handler: Handler) => Promise<void>): void {
  program
    .command('resume')
    .description('put a run on the queue again; what is committed is not repeated')
    .addArgument(runArgument())
    .addOption(integerOption('--priority <n>', '1 is the most urgent; 0 is before all', 0, PRIORITY_MAX))
    .addOption(noWait())
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText('after', example('imagemill resume ./labels'))
    .action((reference: string, options) => run((context) => resume(context, reference, options)));
  program
    .command('retry')
    .description('put shards without a result on the queue again, or with --failed the items with errors')
    .addArgument(runArgument())
    .option('--failed', 'label the error items of a finished run again, as a new generation', false)
    .addOption(integerOption('--priority <n>', '1 is the most urgent; 0 is before all', 0, PRIORITY_MAX))
    .addOption(noWait())
    .addOption(json())
    .addOption(device())
    .addOption(engine())
    .addHelpText('after', example('imagemill retry ./labels --failed'))
    .action((reference: string, options: RetryOptions) =>
      run((context) => retry(context, reference, options)),
    );
  program
    .command('cancel')
    .description('stop a run within a batch; what is committed stays')
    .addArgument(runArgument())
    .addHelpText('after', example('imagemill cancel ./labels'))
    .action((reference: string) => run((context) => cancel(context, reference)));
  program
    .command('gc')
    .description('remove what attempts of a run left behind and no commit names')
    .addArgument(runArgument())
    .addOption(
      integerOption(
        '--grace-hours <n>',
        'how long what may belong to an attempt in progress stays',
        0,
        8_760,
      ).default(GRACE_HOURS_DEFAULT),
    )
    .option('--dry-run', 'only count', false)
    .addOption(json())
    .addHelpText('after', example('imagemill gc ./labels --dry-run'))
    .action((reference: string, options) => run((context) => gc(context, reference, options)));
}
