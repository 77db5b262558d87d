import { shardName } from '../contract/ids.ts';
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
  part: (shard: number, token: string, format: PartFormat) => `parts/${shardName(shard)}.${token}.${format}`,
  errors: (shard: number, token: string) => `errors/${shardName(shard)}.${token}.jsonl`,
} as const;

/** The shard a key below `shards/` or `commits/` is about, or null for a foreign object. */
export function shardOfKey(key: string): number | null {
  const match = /^(?:shards|commits)\/(\d{6,8})\.json$/.exec(key);
  return match === null ? null : Number(match[1]);
}
