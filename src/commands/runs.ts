import { EXIT } from '../contract/errors.ts';
import type { Failure, Summary } from '../contract/ledger.ts';
import { isEvaluateRun, isPrepareRun, isTrainRun, type Run, type RunState } from '../contract/run.ts';
import { readEvaluation } from '../pipeline/finish-evaluate.ts';
import { readMergedSummary } from '../storage/generations.ts';
import { RunLedger } from '../storage/run-ledger.ts';
import { TrainingLedger } from '../storage/training-ledger.ts';
import { printableLine } from '../telemetry/printable.ts';
import type { Context } from './context.ts';
import { evaluationLines, evaluationReport } from './evaluate.ts';
import { describePrepare, prepareReport, readPrepareFacts } from './prepare.ts';
import { describeRun, duration, runReport, textOf } from './print.ts';
import { describeTrainRun, trainReport } from './train-report.ts';

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
        `${printableLine(`${row.run}  ${row.createdAt.slice(0, 16)}  ${row.kind.padEnd(8)}  ${row.state.padEnd(9)}  ${row.source} → ${row.out}`)}\n`,
      );
    }
  }
  return EXIT.done;
}

/** How far a run is, whatever its kind. */
interface Standing {
  readonly report: Record<string, unknown>;
  readonly description: string;
  /** Items done so far, and how many a second. */
  readonly items: number;
  readonly imagesPerSecond: number;
}

/** `imagemill status RUN`: the run's summary so far, from its ledger alone. */
export async function status(
  context: Context,
  reference: string,
  options: { json: boolean },
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = await ledger.readRun();
  const [state, plan, failure] = await Promise.all([ledger.state(), ledger.findPlan(), ledger.findFailure()]);
  const standing = await standingOf(run, ledger, state);
  const progress = state === 'done' ? 1 : plan === null ? 0 : standing.items / plan.items;
  const eta = etaOf(state, plan === null ? null : plan.items - standing.items, standing.imagesPerSecond);
  if (options.json) {
    context.stdout.write(`${JSON.stringify({ ...standing.report, progress, eta, failure })}\n`);
    return EXIT.done;
  }
  context.stdout.write(`${standing.description}\n`);
  if (state === 'running') {
    const left = eta === null ? '' : `, about ${duration(eta)} left`;
    context.stdout.write(`done:   ${(progress * 100).toFixed(1)} %${left}\n`);
  }
  if (failure !== null) context.stdout.write(`failed: ${printableLine(describeFailure(failure))}\n`);
  return EXIT.done;
}

async function standingOf(run: Run, ledger: RunLedger, state: RunState): Promise<Standing> {
  const { out } = ledger;
  if (isTrainRun(run)) {
    const training = new TrainingLedger(ledger.store);
    const [summary, epochs] = await Promise.all([training.findSummary(), training.epochs()]);
    const next = await training.steps((epochs.at(-1)?.epoch ?? 0) + 1);
    const facts = { run, out, state, summary, epochs };
    return {
      report: trainReport(facts),
      description: describeTrainRun(facts),
      items: epochs.reduce((sum, { train }) => sum + train.items, 0) + (next.at(-1)?.totals.items ?? 0),
      imagesPerSecond: epochs.at(-1)?.imagesPerSecond ?? 0,
    };
  }
  if (isPrepareRun(run)) {
    const facts = await readPrepareFacts(run, ledger);
    return { report: prepareReport(facts), description: describePrepare(facts), ...rateOf(facts.summary) };
  }
  const summary = await readMergedSummary(ledger, run);
  const standing = {
    report: runReport(run, out, state, summary),
    description: describeRun(run, out, state, summary),
    ...rateOf(summary),
  };
  if (!isEvaluateRun(run) || state !== 'done') return standing;
  const evaluation = await readEvaluation(ledger);
  return {
    ...standing,
    report: { ...standing.report, evaluation: evaluationReport(evaluation, out) },
    description: `${standing.description}\n${textOf(evaluationLines(evaluation))}`,
  };
}

function rateOf({ items, imagesPerSecond }: Summary): Pick<Standing, 'items' | 'imagesPerSecond'> {
  return { items, imagesPerSecond };
}

/** Seconds; null where there is nothing to go by. */
function etaOf(state: RunState, remaining: number | null, imagesPerSecond: number): number | null {
  if (state === 'done') return 0;
  return remaining === null || imagesPerSecond === 0 ? null : remaining / imagesPerSecond;
}

function describeFailure({ code, message }: Failure): string {
  return `${code}: ${message}`;
}

export { RUNS_SHOWN_MAX };
