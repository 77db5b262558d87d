import { setTimeout as sleep } from 'node:timers/promises';
import type { RunState } from '../../src/contract/run.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { runCli } from '../support/cli.ts';
import { Fleet } from './fleet.ts';
import { inflict } from './inflict.ts';
import type { ChaosPlan } from './plan.ts';
import { submission, type ChaosServices } from './services.ts';
import { verify, type Verdict } from './verify.ts';

const POLL_MS = 50;
const MS_PER_SECOND = 1_000;

export interface ChaosOutcome extends Verdict {
  readonly state: RunState;
  /** Processes that outlived their worker. */
  readonly orphans: number[];
  /** Times the run had to be resumed by hand: after a loss of Redis, or where every attempt met a fault. */
  readonly resumes: number;
  /** Requests to the store that a fault has met. */
  readonly faultyRequests: number;
  readonly seconds: number;
}

/** Carries out a plan on a fleet of its own, and looks at what is left. */
export async function runChaos(
  plan: ChaosPlan,
  services: ChaosServices,
  timeoutMs: number,
): Promise<ChaosOutcome> {
  const startedAtMs = Date.now();
  const out = `${services.root}runs/${plan.seed}-${startedAtMs}/`;
  const ledger = new RunLedger(services.resolver.open(out));
  const fleet = await Fleet.start(services, `chaos-${plan.seed}-${startedAtMs}`);
  let resumes = 0;
  const resume = async (): Promise<void> => {
    resumes += 1;
    await insist(['resume', out, '--no-wait', '--json'], fleet.env);
  };
  let state: RunState = 'planning';
  let orphans: number[];
  try {
    await insist([...submission(services, plan.workload, out), '--no-wait'], fleet.env);
    const inflicted = inflictAll(plan, fleet, services, resume, async () => ended(ledger));
    // It is awaited further down; until then a failure must not count as unhandled.
    inflicted.catch(() => {});
    const deadline = startedAtMs + timeoutMs;
    for (;;) {
      state = await ledger.state();
      if (state === 'done' || Date.now() > deadline) break;
      if (state === 'failed') await resume();
      await sleep(POLL_MS);
    }
    await inflicted;
  } finally {
    orphans = await fleet.stop();
  }
  const verdict = await verify(services, plan.workload, out);
  await removeAll(services, out);
  const { faultyRequests } = fleet;
  return {
    ...verdict,
    state,
    orphans,
    resumes,
    faultyRequests,
    seconds: (Date.now() - startedAtMs) / MS_PER_SECOND,
  };
}

/** The test's server keeps objects in memory, which two hundred runs would fill. */
async function removeAll({ resolver }: ChaosServices, out: string): Promise<void> {
  const store = resolver.open(out);
  const keys: string[] = [];
  for await (const page of store.list('')) keys.push(...page.map(({ key }) => key));
  await Promise.all(keys.map((key) => store.delete(key)));
}

async function ended(ledger: RunLedger): Promise<boolean> {
  return (await ledger.state()) === 'done';
}

/** Begins each fault when its time has come; those whose time never comes, because the run has ended, are left out. */
async function inflictAll(
  { faults }: ChaosPlan,
  fleet: Fleet,
  services: ChaosServices,
  resume: () => Promise<void>,
  isEnded: () => Promise<boolean>,
): Promise<void> {
  // What is done to Redis, and to one worker, is done one after the other; everything else at once.
  const busy = new Map<string, Promise<void>>();
  for (const fault of faults) {
    while (fleet.commits < fault.afterCommits && !(await isEnded())) await sleep(POLL_MS);
    const target = fault.kind.endsWith('redis') ? 'redis' : `worker ${fault.worker}`;
    const before = busy.get(target) ?? Promise.resolve();
    const done = before.then(() => inflict(fault, fleet, services, resume));
    done.catch(() => {});
    busy.set(target, done);
  }
  await Promise.all(busy.values());
}

/** Gives a command again until it is accepted: Redis may be away when a person first tries. */
async function insist(args: string[], env: Record<string, string>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const { code, stderr } = await runCli(args, env);
    if (code === 0 || code === 3) return;
    if (tries === 20) throw new Error(`imagemill ${args.join(' ')} ended with ${code}: ${stderr}`);
    await sleep(500);
  }
}
