import { Argument, InvalidArgumentError, Option } from 'commander';
import { parseWholeNumber, type Parsed } from '../contract/option-values.ts';
import { PRIORITY_MAX } from '../contract/queues.ts';
import { ENGINES } from '../pipeline/engine/engine.ts';

/** The value, or the fault as commander tells it. */
export function valueOrFault<T>(parsed: Parsed<T>): T {
  if ('fault' in parsed) throw new InvalidArgumentError(parsed.fault);
  return parsed.value;
}

/** An option that takes a whole number within limits. */
export function integerOption(flags: string, description: string, minimum: number, maximum: number): Option {
  return new Option(flags, description).argParser((text: string) =>
    valueOrFault(parseWholeNumber(text, minimum, maximum)),
  );
}

/** An option that may be given several times. */
export function repeatableOption(flags: string, description: string): Option {
  return new Option(flags, description)
    .default([], 'none')
    .argParser((text: string, earlier: string[]) => [...earlier, text]);
}

/** `--help` ends with this. */
export function example(...lines: readonly string[]): string {
  return `\nExample:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`;
}

export const json = () => new Option('--json', 'print one JSON document on stdout').default(false);
export const device = () =>
  new Option('--device <device>', 'auto, cpu, cuda:N or webgpu, for a worker on this machine')
    .default('auto')
    .argParser((text: string) => {
      if (!/^(auto|cpu|cuda:\d{1,3}|webgpu)$/.test(text)) {
        throw new InvalidArgumentError(`expected auto, cpu, cuda:N or webgpu, got ${text}`);
      }
      return text;
    });
export const engine = () =>
  new Option('--engine <engine>', 'what executes the model').choices([...ENGINES]).default(ENGINES[0]);
export const priority = (standard: number) =>
  integerOption('--priority <n>', '1 is the most urgent; 0 is before all', 0, PRIORITY_MAX).default(standard);
export const noWait = () => new Option('--no-wait', 'return as soon as the run is on the queue');
export const runArgument = () => new Argument('<run>', "a run's id or directory");

export function parseCrops(text: string): 1 | 10 {
  if (text !== '1' && text !== '10') throw new InvalidArgumentError(`expected 1 or 10, got ${text}`);
  return text === '10' ? 10 : 1;
}
