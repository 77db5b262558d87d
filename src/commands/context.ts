import { once } from 'node:events';
import { readSettings, type Settings } from '../config/environment.ts';
import { EXIT, type ImagemillError } from '../contract/errors.ts';
import type { QueueTelemetry } from '../queue/telemetry.ts';
import type { StoreResolver } from '../storage/object-store.ts';
import { createStoreResolver } from '../storage/resolver.ts';
import { RunIndex } from '../storage/run-index.ts';
import { createLogger, type Logger } from '../telemetry/logger.ts';
import { printableStream } from '../telemetry/printable.ts';

/** What every command works with. Built once per process. */
export interface Context {
  readonly settings: Settings;
  /** For processes that are started; everything else reads `settings`. */
  readonly environment: NodeJS.ProcessEnv;
  readonly resolver: StoreResolver;
  readonly index: RunIndex;
  readonly logger: Logger;
  readonly stdout: NodeJS.WritableStream;
  readonly stdoutIsTerminal: boolean;
  readonly stderr: NodeJS.WriteStream;
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly interrupted: AbortSignal;
  readonly progress: CommandProgress;
  /** Undefined while traces are off. */
  readonly queueTelemetry?: QueueTelemetry | undefined;
}

export interface CommandProgress {
  /** Becomes true before the first job may be on a queue: a fault before that leaves nothing behind. */
  enqueued: boolean;
}

/** What a command does. @returns the exit code */
export type Handler = (context: Context) => Promise<number>;

/**
 * The exit code of a command that a fault has ended. What is wrong before anything was enqueued is wrong use, or a
 * service that is not there: in both cases the same command can simply be given again.
 */
export function exitCodeOf({ code, scope }: ImagemillError, { enqueued }: CommandProgress): number {
  if (scope === 'use') return EXIT.usage;
  return enqueued || code === 'INTERNAL' ? EXIT.failed : EXIT.usage;
}

/** @throws ImagemillError CONFIG_INVALID */
export function createContext(process: NodeJS.Process, progress: CommandProgress): Context {
  const settings = readSettings(process.env);
  const resolver = createStoreResolver({ s3: settings.s3 });
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new Error(signal)));
  }
  return {
    settings,
    environment: process.env,
    resolver,
    index: new RunIndex(resolver, settings.home),
    logger: createLogger(settings.logLevel),
    stdout: process.stdout.isTTY ? printableStream(process.stdout) : process.stdout,
    stdoutIsTerminal: process.stdout.isTTY,
    stderr: process.stderr,
    interrupted: controller.signal,
    progress,
  };
}

/** Waits for the first SIGINT or SIGTERM. */
export async function interruption({ interrupted }: Context): Promise<void> {
  // The timer keeps the process alive: everything else a waiting worker holds may be unreferenced.
  const keepAlive = setInterval(() => {}, 60_000);
  if (!interrupted.aborted) await once(interrupted, 'abort');
  clearInterval(keepAlive);
}
