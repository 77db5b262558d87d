import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rgwMissing } from '../support/rgw.ts';
import { titleNeeding } from '../support/needs.ts';
import { describePlan, planChaos, type ChaosPlan } from './plan.ts';
import { runChaos, type ChaosOutcome } from './run-chaos.ts';
import { startServices, type ChaosServices } from './services.ts';

/** `IMAGEMILL_CHAOS_SEEDS=17` or `=0-199`; a replay of a seed is the same plan. */
const seeds = parseSeeds(process.env['IMAGEMILL_CHAOS_SEEDS'] ?? '0-19');
const longestPauseMs = Number(process.env['IMAGEMILL_CHAOS_PAUSE_MS'] ?? 4_000);
const TIMEOUT_MS = 90_000 + 2 * longestPauseMs;

function parseSeeds(text: string): number[] {
  const [first = Number.NaN, last = first] = text.split('-').map(Number);
  if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) {
    throw new Error(`IMAGEMILL_CHAOS_SEEDS: expected a seed or a range such as 0-19, got ${text}`);
  }
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Lines of JSON for whoever adds them up. */
function report(plan: ChaosPlan, outcome: ChaosOutcome): void {
  const path = process.env['IMAGEMILL_CHAOS_REPORT'];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ ...plan, ...outcome })}\n`);
}

const canRun = rgwMissing() === null;

describe.skipIf(!canRun)(titleNeeding('radosgw', canRun, 'chaos'), () => {
  let services: ChaosServices;
  beforeAll(async () => {
    services = await startServices();
  }, 120_000);
  afterAll(() => services.stop());

  it.each(seeds.map((seed) => planChaos(seed, { longestPauseMs })))(
    'seed $seed, $workload',
    async (plan) => {
      const outcome = await runChaos(plan, services, TIMEOUT_MS);
      report(plan, outcome);
      expect(outcome, describePlan(plan)).toMatchObject({
        state: 'done',
        lost: 0,
        doubled: 0,
        different: [],
        leaked: [],
        orphans: [],
      });
    },
    2 * TIMEOUT_MS,
  );
});
