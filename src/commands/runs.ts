import { EXIT } from '../contract/errors.ts';
import { summarise } from '../storage/summarise-run.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import type { Context } from './context.ts';
import { describeRun, duration, runReport } from './print.ts';

const RUNS_SHOWN_MAX = 50;

/** `imagemill runs`: the newest runs of the index. */
export async function runs(context: Context, options: { json: boolean; limit: number }): Promise<number> {
  const entries = (await context.index.list()).slice(0, options.limit);
  const rows = await Promise.all(
    entries.map(async (entry) => {
      const ledger = new RunLedger(context.resolver.open(entry.out));
      // A run whose directory is gone is still worth a line.
      const state = await ledger.state().catch(() => 'unreadable' as const);
      return {
        run: entry.run,
        kind: entry.kind,
        state,
        createdAt: entry.createdAt,
        source: entry.source,
        out: entry.out,
      };
    }),
  );
  if (options.json) {
    context.stdout.write(`${JSON.stringify(rows)}\n`);
  } else if (rows.length === 0) {
    context.stdout.write('no runs yet: imagemill classify --help\n');
  } else {
    for (const row of rows) {
      context.stdout.write(
        `${row.run}  ${row.createdAt.slice(0, 16)}  ${row.kind}  ${row.state.padEnd(9)}  ${row.source} → ${row.out}\n`,
      );
    }
  }
  return EXIT.done;
}

/** `imagemill status RUN`: the run's summary so far, from its ledger alone. */
export async function status(
  context: Context,
  reference: string,
  options: { json: boolean },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const [state, plan, failure, final] = await Promise.all([
    ledger.state(),
    ledger.findPlan(),
    ledger.findFailure(),
    ledger.findSummary(),
  ]);
  const summary = final ?? (await summarise(ledger, run));
  const progress = state === 'done' ? 1 : plan === null ? 0 : summary.items / plan.items;
  const remaining = plan === null ? null : plan.items - summary.items;
  const eta =
    state === 'done'
      ? 0
      : remaining === null || summary.imagesPerSecond === 0
        ? null
        : remaining / summary.imagesPerSecond;
  if (options.json) {
    const report = runReport(run, ledger.out, state, summary);
    context.stdout.write(`${JSON.stringify({ ...report, progress, eta, failure })}\n`);
    return EXIT.done;
  }
  context.stdout.write(`${describeRun(run, ledger.out, state, summary)}\n`);
  if (state === 'running') {
    const left = eta === null ? '' : `, about ${duration(eta)} left`;
    context.stdout.write(`done:   ${(progress * 100).toFixed(1)} %${left}\n`);
  }
  if (failure !== null) context.stdout.write(`failed: ${failure.code}: ${failure.message}\n`);
  return EXIT.done;
}

export { RUNS_SHOWN_MAX };
