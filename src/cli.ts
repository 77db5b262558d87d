#!/usr/bin/env node
import { CommanderError } from 'commander';
import { exitCodeOf, type CommandProgress } from './commands/context.ts';
import { createProgram } from './commands/program.ts';
import { asImagemillError, EXIT } from './contract/errors.ts';
import { printableLine } from './telemetry/printable.ts';

/** Ends the process with the command's exit code; every fault is one line on stderr. */
async function main(): Promise<void> {
  // A reader that has seen enough (`imagemill results … | head`) is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.done);
    throw error;
  });
  // Node 20 is supported here for as long as it is supported there; the warning is not for users of this command.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  let exitCode: number = EXIT.done;
  const progress: CommandProgress = { enqueued: false };
  const program = createProgram(
    process,
    (code) => {
      exitCode = code;
    },
    progress,
  );
  try {
    await program.parseAsync();
  } catch (error) {
    exitCode = explain(error, progress);
  }
  process.exit(exitCode);
}

function explain(error: unknown, progress: CommandProgress): number {
  if (error instanceof CommanderError) {
    // --help and --version end the same way, having said what they had to say.
    if (error.exitCode === 0) return EXIT.done;
    process.stderr.write(`imagemill: ${printableLine(error.message.replace(/^error: /, ''))}\n`);
    return EXIT.usage;
  }
  const fault = asImagemillError(error);
  process.stderr.write(`imagemill: ${printableLine(fault.message)} [${fault.code}]\n`);
  if (fault.code === 'INTERNAL' && process.env['IMAGEMILL_LOG_LEVEL'] === 'debug') {
    process.stderr.write(`${(fault.cause as Error | undefined)?.stack ?? ''}\n`);
  }
  return exitCodeOf(fault, progress);
}

await main();
