import { InvalidArgumentError, Option } from 'commander';

/** An option that takes a whole number within limits. */
export function integerOption(flags: string, description: string, minimum: number, maximum: number): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < minimum || value > maximum || text.trim() === '') {
      throw new InvalidArgumentError(`expected a whole number from ${minimum} to ${maximum}, got ${text}`);
    }
    return value;
  });
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
