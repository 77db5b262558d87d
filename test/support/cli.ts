import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliProcess {
  readonly child: ChildProcess;
  readonly result: Promise<CliResult>;
  stderr(): string;
}

/** Starts the built command as a process of its own, with nothing of the tests' own environment but PATH. */
export function startCli(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): CliProcess {
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const result = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.removeListener('exit', kill);
      resolve({ code, signal, stdout, stderr });
    });
  });
  return { child, result, stderr: () => stderr };
}

/** Starts a worker on the queues of `env`, and waits until it serves them. */
export async function startWorker(env: Record<string, string>, ...more: string[]): Promise<CliProcess> {
  const worker = startCli(['worker', '--device', 'cpu', ...more], env);
  while (!worker.stderr().includes('serves')) {
    if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.stderr()}`);
    await sleep(20);
  }
  return worker;
}

/** The compute process below a worker. */
export function computePid({ child }: CliProcess): number {
  const pid = child.pid ?? 0;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/);
  if (children.length !== 1) throw new Error(`expected one process below ${pid}, got ${children.join(' ')}`);
  return Number(children[0]);
}

/** Runs the built command to its end. */
export function runCli(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Promise<CliResult> {
  return startCli(args, env, cwd).result;
}
