import { spawn } from 'node:child_process';

/** What is kept of what a program says, in characters: its end is where the reason is. */
const KEPT = 64 * 1024;

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs: number, signal: AbortSignal }} options
 * @returns {Promise<{ ok: boolean, out: string, err: string, how: string }>} what it said, at most 64 KiB of each,
 *   and how it ended: `exit code 1`, `SIGSEGV`, `no end within 60 s`, `ENOENT`
 * @throws the signal's reason
 */
export async function run(command, args, { cwd, env, timeoutMs, signal }) {
  const timeout = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, timeout]),
    killSignal: 'SIGKILL',
  });
  const said = { out: '', err: '' };
  for (const [name, stream] of /** @type {const} */ ([
    ['out', child.stdout],
    ['err', child.stderr],
  ])) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => (said[name] = (said[name] + text).slice(-KEPT)));
  }
  const how = await new Promise((resolve) => {
    child.once('error', (error) => {
      if (error.name !== 'AbortError') resolve(error.code ?? error.message);
    });
    child.once('close', (code, killedBy) => resolve(killedBy ?? `exit code ${code}`));
  });
  signal.throwIfAborted();
  return {
    ...said,
    ok: how === 'exit code 0',
    how: timeout.aborted ? `no end within ${timeoutMs / 1000} s` : how,
  };
}
