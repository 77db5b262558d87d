import { fork, type ChildProcess } from 'node:child_process';
import { entryPoint } from '../../../config/entry-point.ts';
import { withoutServices } from '../../../config/without-services.ts';
import type { ProbeState } from '../../../contract/doctor-report.ts';
import { lastWords } from '../../../telemetry/last-words.ts';
import { printableLine } from '../../../telemetry/printable.ts';
import { tensorflowEnvironment } from '../tensorflow/process-environment.ts';
import { probeAnswerSchema, type ProbeAnswer, type ProbeTask } from './protocol.ts';

/** The first session on a GPU compiles its kernels, and a cold disk reads a gigabyte of libraries. */
export const PROBE_LIMIT_MS = 60_000;
const STDERR_TAIL_CHARS = 8_000;
const DETAIL_CHARS = 300;

export interface ProbeOptions {
  /** Of this process; the other gets what it needs of it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly limitMs?: number;
}

export interface ProbeOutcome {
  readonly state: ProbeState;
  /** One line. */
  readonly detail: string | null;
  /** The shared library that could not be found. */
  readonly lacks: string | null;
  readonly tensorflow: string | null;
  readonly usesGpu: boolean | null;
  readonly seconds: number;
}

/** How a process came to its end. */
export interface ProbeEnd {
  /** Of the first message, if one came; anything. */
  readonly message: unknown;
  /** A signal or `exit code N`. */
  readonly how: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly seconds: number;
}

/**
 * Has a process of its own compute a known sum on a device, or with a library: one that ends its process, or never comes
 * back, does not take this one along.
 * @throws the signal's reason
 */
export async function probeEngine(task: ProbeTask, options: ProbeOptions): Promise<ProbeOutcome> {
  const { environment, signal, limitMs = PROBE_LIMIT_MS } = options;
  signal.throwIfAborted();
  const startedAtMs = performance.now();
  const { path, execArgv } = entryPoint('./probe-main', import.meta.url);
  const child = fork(path, [JSON.stringify(task)], {
    execArgv: [...execArgv],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: {
      ...withoutServices(environment),
      ...(task.engine === 'tensorflow' ? tensorflowEnvironment('auto', environment) : {}),
    },
  });
  const end = await endOf(child, limitMs, signal);
  signal.throwIfAborted();
  return outcomeOf({ ...end, seconds: (performance.now() - startedAtMs) / 1_000 }, limitMs);
}

/** Ends the process when it has answered, when time is up, and when the signal says so. */
function endOf(
  child: ChildProcess,
  limitMs: number,
  signal: AbortSignal,
): Promise<Omit<ProbeEnd, 'seconds'>> {
  return new Promise((resolve) => {
    let [message, stderr, timedOut]: [unknown, string, boolean] = [undefined, '', false];
    const kill = () => child.kill('SIGKILL');
    const finish = (how: string) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
      resolve({ message, how, stderr, timedOut });
    };
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
      // A process that waits inside a driver outlives even this: it is left behind.
      child.unref();
      child.stderr?.destroy();
      if (child.connected) child.disconnect();
      finish('SIGKILL');
    }, limitMs);
    signal.addEventListener('abort', kill, { once: true });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-STDERR_TAIL_CHARS);
    });
    child.once('message', (received) => {
      message = received;
      kill();
    });
    child.once('error', (error) => finish(error.message));
    // Not `exit`: what it has written is read by then.
    child.once('close', (code, signalName) => finish(signalName ?? `exit code ${code}`));
  });
}

const NO_ANSWER = { lacks: null, tensorflow: null, usesGpu: null };

/** What is to be told of a process that has ended. */
export function outcomeOf(end: ProbeEnd, limitMs: number): ProbeOutcome {
  const { message, how, stderr, timedOut, seconds } = end;
  if (message === undefined) {
    if (timedOut) {
      return { state: 'hangs', detail: `no answer within ${limitMs / 1_000} s`, seconds, ...NO_ANSWER };
    }
    const words = shortened(lastWords(stderr));
    const detail = `ends the process (${how})${words === '' ? '' : `: ${words}`}`;
    return { state: 'dies', detail, seconds, ...NO_ANSWER };
  }
  const { success, data } = probeAnswerSchema.safeParse(message);
  if (!success) {
    return { state: 'fails', detail: 'what it answers makes no sense', seconds, ...NO_ANSWER };
  }
  return { ...data, detail: detailOf(data), lacks: missingLibrary(data, stderr), seconds };
}

function detailOf({ detail }: ProbeAnswer): string | null {
  return detail === null ? null : shortened(detail);
}

/** The loader's words, in an error or on stderr: `libcudnn.so.9: cannot open shared object file: …`. */
const NOT_FOUND = /([\w.+-]+\.so[\w.]*): cannot open shared object file/g;

function missingLibrary({ state, detail }: ProbeAnswer, stderr: string): string | null {
  if (state === 'works') return null;
  // The last one: a loader tries several names before it gives up.
  return [...`${stderr}\n${detail ?? ''}`.matchAll(NOT_FOUND)].at(-1)?.[1] ?? null;
}

function shortened(text: string): string {
  const line = printableLine(text);
  return line.length > DETAIL_CHARS ? `${line.slice(0, DETAIL_CHARS)}…` : line;
}
