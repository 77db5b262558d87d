/** How well digits are read that no training has seen, for several seeds. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { lastJson, runChild } from './child.ts';
import { CACHE } from './machine.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';

const SEEDS = [0, 1, 2];
const TRAINING_DIGITS = 60_000;
const EPOCHS = 3;
const TARGET = { kind: 'at-least', value: 99 } as const;

/** What `imagemill demo --json` prints. */
interface DemoReport {
  readonly labelled: number;
  readonly right: number;
  readonly accuracy: number;
  readonly seconds: number;
}

export async function benchMnist({ cli }: { readonly cli: string }): Promise<void> {
  const measured: (DemoReport & { readonly seed: number })[] = [];
  for (const seed of SEEDS) {
    progress(`training on ${TRAINING_DIGITS} digits, ${EPOCHS} epochs, seed ${seed}`);
    const out = join(CACHE, `mnist-${seed}`);
    await rm(out, { recursive: true, force: true });
    const args = [cli, 'demo', '--out', out, '--seed', String(seed), '--epochs', String(EPOCHS)].concat([
      '--train-images',
      String(TRAINING_DIGITS),
      '--images',
      '10000',
      '--json',
    ]);
    const env = { IMAGEMILL_HOME: join(CACHE, 'home') };
    measured.push({ seed, ...(lastJson(await runChild(process.execPath, args, { env })) as DemoReport) });
    await rm(out, { recursive: true, force: true });
  }
  say(`\nalexnet-small, ${TRAINING_DIGITS} digits, ${EPOCHS} epochs; 10,000 test digits\n`);
  say(row('', ['right', 'seconds']));
  for (const { seed, right, seconds } of measured) say(row(`seed ${seed}`, [String(right), seconds]));
  say();
  const checks: Check[] = measured.map(({ seed, accuracy }) => ({
    name: `accuracy, seed ${seed}`,
    value: 100 * accuracy,
    unit: '%',
    target: TARGET,
  }));
  sayChecks(checks);
  await writeResults('mnist', { settings: { digits: TRAINING_DIGITS, epochs: EPOCHS }, checks, measured });
}
