import { epochName, generationName, shardName } from '../contract/ids.ts';
import type { Split } from '../contract/dataset.ts';
import type { PartFormat } from '../contract/rows.ts';

/** Keys inside a run's directory. */
export const ledgerKeys = {
  run: 'run.json',
  plan: 'plan.json',
  summary: 'summary.json',
  failure: 'failed.json',
  cancellation: 'cancelled.json',
  shards: 'shards/',
  commits: 'commits/',
  shard: (shard: number) => `shards/${shardName(shard)}.json`,
  commit: (shard: number) => `commits/${shardName(shard)}.json`,
  part: (shard: number, token: string, format: PartFormat | 'json') =>
    `parts/${shardName(shard)}.${token}.${format}`,
  errors: (shard: number, token: string) => `errors/${shardName(shard)}.${token}.jsonl`,
  generation: (generation: number) => `generations/${generationName(generation)}.json`,
  generationFolder: (generation: number, attempt: number) =>
    `generations/${generationName(generation)}${attempt === 1 ? '' : `-${attempt}`}/`,

  dataset: 'dataset.json',
  duplicates: 'duplicates.jsonl',
  datasetTar: (split: Split, shard: number, token?: string) =>
    `${split}/${shardName(shard)}${token === undefined ? '' : `.${token}`}.tar`,
  datasetIndex: (split: Split, shard: number, token: string) =>
    `${split}/${shardName(shard)}.${token}.index.json`,

  epochs: 'epochs/',
  steps: 'steps/',
  epoch: (epoch: number) => `epochs/${epochName(epoch)}.json`,
  step: (epoch: number, step: number) => `steps/${epochName(epoch)}-${stepName(step)}.json`,
  epochCheckpoint: (epoch: number, token: string) => `checkpoints/${epochName(epoch)}.${token}.safetensors`,
  stepCheckpoint: (epoch: number, step: number, token: string) =>
    `checkpoints/${epochName(epoch)}-${stepName(step)}.${token}.safetensors`,
  metrics: (epoch: number, step: number, token: string) =>
    `metrics/${epochName(epoch)}-${stepName(step)}.${token}.jsonl`,
  best: 'best.safetensors',
  last: 'last.safetensors',
  curves: 'curves.png',
  evaluation: 'evaluation.json',
  confusion: 'confusion.png',
} as const;

function stepName(step: number): string {
  return String(step).padStart(8, '0');
}

/** The shard a key below `shards/` or `commits/` is about, or null for a foreign object. */
export function shardOfKey(key: string): number | null {
  const match = /^(?:shards|commits)\/(\d{6,8})\.json$/.exec(key);
  return match === null ? null : Number(match[1]);
}
