import type { Recipe } from '../../../contract/recipe.ts';
import type { RunDetail } from '../../../contract/api/runs.ts';
import type { RunSpec, SourceSpec } from '../../../contract/run.ts';
import { RECIPES } from '../../../pipeline/recipe/recipes.ts';
import { settingKeys } from '../../../pipeline/recipe/settings.ts';
import { printable } from '../../../telemetry/printable.ts';

type Flags = readonly (readonly [flag: string, value: string | number] | readonly [flag: string])[];

const PLAIN = /^[\w@%+=:,./-]+$/;

/**
 * A word for a POSIX shell, whatever it holds. Characters that a page or a terminal does not show as they are come as
 * the escapes of bash and zsh.
 */
export function shellWord(text: string): string {
  if (PLAIN.test(text)) return text;
  // oxlint-disable-next-line no-control-regex
  if (!/[\u0000-\u001F]/.test(text) && printable(text) === text) return `'${text.replaceAll("'", `'\\''`)}'`;
  const escaped = text.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
  return `$'${printable(escaped.replaceAll('\r', '\\r'))}'`;
}

/** What to type for the same as the page shows. */
export function oversightCommands({ overview: { run, kind }, actions }: RunDetail): string[] {
  const commands = [`imagemill status ${run}`];
  if (kind === 'classify' || kind === 'evaluate') commands.push(`imagemill results ${run} --format jsonl`);
  if (kind !== 'train') commands.push(`imagemill results ${run} --errors`);
  if (kind === 'train') commands.push(`imagemill train-batch ${run} --epoch 1 --step 0 --png batch.png`);
  for (const action of actions) {
    commands.push(
      action === 'retry-failed' ? `imagemill retry ${run} --failed` : `imagemill ${action} ${run}`,
    );
  }
  return commands;
}

/** The command that submits the same again; options that are as they are by default are left out. */
export function submitCommand(spec: RunSpec, out: string): string {
  if (spec.kind === 'classify' && spec.retryOf !== undefined)
    return `imagemill retry ${spec.retryOf.run} --failed`;
  const source = spec.kind === 'classify' || spec.kind === 'prepare' ? spec.source.uri : spec.dataset.uri;
  const words = ['imagemill', spec.kind, shellWord(source)];
  for (const [flag, ...value] of [...flagsOf(spec), ['--out', out] as const]) {
    words.push(`--${flag.replace(/^--/, '')}`, ...value.map((word) => shellWord(String(word))));
  }
  return words.join(' ');
}

function flagsOf(spec: RunSpec): Flags {
  switch (spec.kind) {
    case 'classify':
      return [
        ['model', spec.model.uri],
        ...unless('top-k', spec.topK, 5),
        ...unless('crops', spec.crops, 1),
        ...unless('shard-size', spec.shardSize, 1_000),
        ['batch-size', spec.batchSize],
        ...unless('format', spec.format, 'parquet'),
        ...(spec.embeddings ? [['embeddings'] as const] : []),
        ...sourceFlags(spec.source),
      ];
    case 'evaluate':
      return [
        ['model', spec.model.uri],
        ...unless('split', spec.split, 'val'),
        ...unless('crops', spec.crops, 1),
        ['batch-size', spec.batchSize],
      ];
    case 'prepare':
      return [
        ...unless('short-side', spec.shortSide, 256),
        ...unless('format', spec.encoding, 'jpeg'),
        ...unless('val-fraction', spec.valFraction, 0.1),
        ...unless('seed', spec.seed, 0),
        ...unless('shard-size', spec.shardSize, 1_000),
        ...sourceFlags(spec.source),
      ];
    default:
      return [
        ...unless('recipe', spec.recipe.name, 'alexnet-2012'),
        ...changedSettings(spec.recipe).map((setting) => ['set', setting] as const),
        ...unless('seed', spec.seed, 0),
        ...(spec.init === undefined ? [] : [['init', spec.init.uri] as const]),
        ...unless('checkpoint-steps', spec.checkpointSteps, 500),
        ...unless('keep-checkpoints', spec.keepCheckpoints, 2),
      ];
  }
}

function sourceFlags({ include, exclude, limit }: SourceSpec): Flags {
  return [
    ...include.map((glob) => ['include', glob] as const),
    ...exclude.map((glob) => ['exclude', glob] as const),
    ...(limit === undefined ? [] : [['limit', limit] as const]),
  ];
}

function unless(flag: string, value: string | number, standard: string | number): Flags {
  return value === standard ? [] : [[flag, value]];
}

/** `KEY=VALUE` of what differs from the recipe of that name. */
export function changedSettings(recipe: Recipe): string[] {
  const named = Object.values(RECIPES).find(({ name }) => name === recipe.name);
  if (named === undefined) return [];
  const before = new Map(settingKeys(named).map(({ key, value }) => [key, value]));
  return settingKeys(recipe).flatMap(({ key, value }) =>
    value === undefined || before.get(key) === value ? [] : [`${key}=${value}`],
  );
}
