import { setTimeout as sleep } from 'node:timers/promises';
import { startCli, type CliProcess } from './cli.ts';

export interface TestDashboard {
  /** `http://127.0.0.1:40123` */
  readonly address: string;
  readonly process: CliProcess;
  /** The answer of the API, as JSON. */
  get(path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts `imagemill dashboard` on a free port, and waits until it answers. */
export async function startDashboard(
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<TestDashboard> {
  const cli = startCli(['dashboard', '--port', '0', ...args], env);
  let address: string | undefined;
  while (address === undefined) {
    if (cli.child.exitCode !== null) throw new Error(`the dashboard ended: ${cli.stderr()}`);
    await sleep(20);
    address = /dashboard at (\S+)/.exec(cli.stderr())?.[1];
  }
  const base = address;
  const token = env['IMAGEMILL_TOKEN'];
  return {
    address: base,
    process: cli,
    get: async (path) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(base + path, { headers });
      return response.json();
    },
    stop: async () => {
      cli.child.kill('SIGTERM');
      await cli.result;
    },
  };
}
