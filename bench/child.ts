import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ALLOCATOR_ENVIRONMENT, ROOT } from './machine.ts';

export interface ChildOptions {
  readonly env?: Record<string, string>;
}

/**
 * Runs a program in the environment that every measurement shares.
 * @returns what it wrote to stdout
 * @throws Error with the end of its stderr, where it exits with another code than 0
 */
export function runChild(
  command: string,
  args: readonly string[],
  { env = {} }: ChildOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...ALLOCATOR_ENVIRONMENT, ...env },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else
        reject(
          new Error(
            `${command} ${args.join(' ')} ended with ${signal ?? code}: ${stderr.trim().slice(-2_000)}`,
          ),
        );
    });
  });
}

/** Runs a module of this folder in a process of its own; its last line is its result, as JSON. */
export async function measureInChild<R>(
  module: URL,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<R> {
  const command = ['--import', 'tsx', fileURLToPath(module), ...args];
  return lastJson(await runChild(process.execPath, command, options)) as R;
}

/** The JSON document on the last line. */
export function lastJson(stdout: string): unknown {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}
