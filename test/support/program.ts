import { createProgram } from '../../src/commands/program.ts';

export interface Printed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process. @throws what the command throws, a CommanderError for wrong arguments */
export async function runProgram(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Printed> {
  let [stdout, stderr, code] = ['', '', -1];
  const process = {
    env,
    once: () => process,
    stdout: {
      isTTY: false,
      write: (chunk: string | Uint8Array) => Boolean((stdout += Buffer.from(chunk as string).toString())),
    },
    stderr: { isTTY: false, write: (text: string) => Boolean((stderr += text)) },
  };
  const program = createProgram(process as unknown as NodeJS.Process, (exit) => (code = exit));
  await program.parseAsync(args, { from: 'user' });
  return { code, stdout, stderr };
}
