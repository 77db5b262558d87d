/** How long a million keys take to plan. */
import { measureInChild } from './child.ts';
import { progress, say, sayChecks, writeResults, type Check } from './report.ts';

const BYTES_PER_MB = 1e6;
const TARGETS = { seconds: { kind: 'below', value: 60 }, memory: { kind: 'below', value: 500 } } as const;

export interface PlanMeasurement {
  readonly keys: number;
  readonly shards: number;
  readonly seconds: number;
  readonly peakBytes: number;
  /** Resident before planning began: Node, the loader of TypeScript, and the modules. */
  readonly baseBytes: number;
}

export async function benchPlan({ keys }: { readonly keys: number }): Promise<void> {
  progress(`planning ${keys} keys`);
  const result = await measureInChild<PlanMeasurement>(new URL('./measure-plan.ts', import.meta.url), [
    String(keys),
  ]);
  const checks: Check[] = [
    { name: 'time', value: result.seconds, unit: 's', target: TARGETS.seconds },
    { name: 'peak memory', value: result.peakBytes / BYTES_PER_MB, unit: 'MB', target: TARGETS.memory },
  ];
  say(`\n${keys} keys listed from a store and written as ${result.shards} shards to a ledger in memory\n`);
  sayChecks(checks);
  await writeResults('plan', { ...result, checks });
}
