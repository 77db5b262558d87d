import type { Run, RunState } from '../contract/run.ts';
import type { MergedSummary } from '../storage/generations.ts';
import { printableLine } from '../telemetry/printable.ts';

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** Lines for a person: what they quote (places, labels, faults) cannot begin lines of its own, or command a terminal. */
export function textOf(lines: readonly string[]): string {
  return lines.map(printableLine).join('\n');
}

/** `12345.67` → `12,345.7`. */
export function number(value: number): string {
  return grouped.format(value);
}

/** Seconds as a person says them: `8 s`, `2 min 5 s`, `3 h 20 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}

/** `0.00812` → `0.81 %`. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** The document `classify --json` prints. Fields may be added, never renamed. */
export function runReport(
  run: Run,
  out: string,
  state: RunState,
  summary: MergedSummary,
): Record<string, unknown> {
  return {
    run: run.run,
    state,
    out,
    items: summary.items,
    labelled: summary.labelled,
    errors: summary.errors,
    errorsByCode: summary.errorsByCode,
    shards: summary.shards,
    seconds: summary.seconds,
    imagesPerSecond: summary.imagesPerSecond,
    generations: summary.generations,
  };
}

/** The same for a person, a few lines. */
export function describeRun(run: Run, out: string, state: RunState, summary: MergedSummary): string {
  const errors = Object.entries(summary.errorsByCode).map(([code, count]) => `${number(count)} ${code}`);
  return textOf([
    `${run.run} ${state}: ${number(summary.labelled)} images labelled, ${number(summary.errors)} errors, ${number(summary.shards)} shards, ${duration(summary.seconds)} (${number(summary.imagesPerSecond)} images/s)`,
    ...(errors.length === 0 ? [] : [`errors: ${errors.join(', ')}`]),
    ...(summary.generations === 0 ? [] : [`retried: ${times(summary.generations)}`]),
    `out:    ${out}`,
    `rows:   imagemill results ${run.run}${errors.length === 0 ? '' : ` [--errors]`}`,
    ...(errors.length > 0 && state === 'done' && canBeRetried(run)
      ? [`again:  imagemill retry ${run.run} --failed`]
      : []),
  ]);
}

function times(count: number): string {
  return count === 1 ? 'once' : `${number(count)} times`;
}

/** Whether the errors of a run of this kind can be retried once it is done. */
function canBeRetried({ spec }: Run): boolean {
  return spec.kind === 'classify' && spec.retryOf === undefined;
}
