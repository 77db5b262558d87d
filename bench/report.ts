/** Tables and verdicts on stdout, results as JSON. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeMachine, RESULTS } from './machine.ts';
import { verdict, type Target } from './statistics.ts';

const LABEL_WIDTH = 42;
const VALUE_WIDTH = 10;

export function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** What is going on, for whoever waits. */
export function progress(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

/** A label and right-aligned values. */
export function row(label: string, values: readonly (string | number)[]): string {
  const cells = values.map((value) => (typeof value === 'number' ? value.toFixed(1) : value));
  return label.padEnd(LABEL_WIDTH) + cells.map((cell) => cell.padStart(VALUE_WIDTH)).join('');
}

export interface Check {
  readonly name: string;
  readonly value: number;
  readonly unit: '×' | '%' | 'ms' | 's' | 'MB' | 'KB';
  readonly target: Target;
}

/** Says of every check whether its target was met. */
export function sayChecks(checks: readonly Check[]): void {
  for (const { name, value, unit, target } of checks) {
    const digits = unit === '×' ? 2 : 1;
    const shown = (number: number) => `${number.toFixed(digits)} ${unit}`;
    const bound = `${target.kind === 'below' ? '<' : '≥'} ${shown(target.value)}`;
    say(row(name, [shown(value), `  target ${bound}`.padEnd(22), verdict(value, target)]));
  }
}

/** Writes `bench/results/<name>.json`. */
export async function writeResults(name: string, results: Record<string, unknown>): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  const file = join(RESULTS, `${name}.json`);
  await writeFile(
    file,
    `${JSON.stringify({ benchmark: name, machine: describeMachine(), ...results }, rounded, 2)}\n`,
  );
  say(`\nwritten to ${file}`);
}

/** Four significant digits are more than any of these measurements has. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}
