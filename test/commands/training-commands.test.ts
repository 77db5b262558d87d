import { describe, expect, it } from 'vitest';
import { createProgram } from '../../src/commands/program.ts';
import { runProgram } from '../support/program.ts';

describe('arguments of training commands', () => {
  const prepare = ['prepare', './photos', '--out', './dataset'];
  const train = ['train', './dataset', '--out', './run'];
  const evaluate = ['evaluate', './dataset', '--model', 'm.safetensors'];

  it.each<[readonly string[], string]>([
    [[...prepare, '--short-side', '0'], 'expected a whole number from 1 to 4096, got 0'],
    [[...prepare, '--short-side', '25.5'], 'expected a whole number from 1 to 4096, got 25.5'],
    [[...prepare, '--val-fraction', '0.91'], 'expected a number from 0 to 0.9, got 0.91'],
    [[...prepare, '--val-fraction', '-0.1'], 'expected a number from 0 to 0.9, got -0.1'],
    [[...prepare, '--val-fraction', ''], 'expected a number from 0 to 0.9, got '],
    [[...prepare, '--val-fraction', 'tenth'], 'expected a number from 0 to 0.9, got tenth'],
    [[...prepare, '--format', 'webp'], 'Allowed choices are jpeg, png'],
    [['prepare', './photos'], "required option '--out <location>' not specified"],
    [['prepare', '--out', 'x'], "missing required argument 'source'"],
    [[...train, '--epochs', '0'], 'expected a whole number from 1 to 100000, got 0'],
    [[...train, '--batch-size', '65537'], 'expected a whole number from 1 to 65536, got 65537'],
    [[...train, '--seed', '-1'], 'got -1'],
    [[...train, '--keep-checkpoints', '-1'], 'got -1'],
    [[...train, '--recipe', 'vgg'], 'Allowed choices are alexnet-2012, alexnet-caffe'],
    [[...train, '--at', 'tomorrow'], 'expected a time such as 2026-01-31T02:00:00Z, got tomorrow'],
    [[...train, '--at', '2026'], 'expected a time such as 2026-01-31T02:00:00Z, got 2026'],
    [[...train, '--at', '2026-13-01'], 'expected a time such as 2026-01-31T02:00:00Z, got 2026-13-01'],
    [[...train, '--at', '2026-01-01', '--cron', '* * * * *'], "'--cron <expression>' cannot be used with"],
    [[...train, '--device', 'gpu'], 'expected auto, cpu, cuda:N or webgpu, got gpu'],
    [[...evaluate, '--crops', '5'], 'expected 1 or 10, got 5'],
    [[...evaluate, '--split', 'test'], 'Allowed choices are train, val'],
    [['evaluate', './dataset'], "required option '--model <file>' not specified"],
    [['train-batch', './run'], "required option '--png <file>' not specified"],
    [['train-batch', './run', '--png', 'b.png', '--epoch', '0'], 'from 1 to 100000, got 0'],
    [['train-batch', './run', '--png', 'b.png', '--step', '-1'], 'from 0 to 1000000000, got -1'],
  ])('%j is refused', async (args, message) => {
    await expect(runProgram(args)).rejects.toThrow(message);
  });

  it.each(['prepare', 'train', 'evaluate', 'train-batch', 'recipes', 'schedules'])(
    '%s explains itself, with an example',
    (name) => {
      const program = createProgram(process, () => undefined);
      let help = '';
      const command = program.commands.find((command) => command.name() === name);
      command?.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toContain(`Usage: imagemill ${name}`);
      expect(help).toContain(`Example:\n  $ imagemill ${name}`);
    },
  );
});
