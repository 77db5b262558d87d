/** Curves of a training run, and what it does now. */
import type { Training } from '../../contract/api/training.ts';
import type { TrainProgress } from '../../contract/training.ts';
import { Chart } from './chart.ts';
import { curvesOf } from './curves.ts';
import { nowText, number, percent } from './figures.ts';
import { throttled } from './live.ts';
import { runId, stream } from './run.ts';

const REFETCH_MS = 2_000;
const REDRAW_MS = 500;
const LIVE_POINTS_MAX = 2_000;

const place = (name: string) => document.querySelector<HTMLElement>(`[data-chart="${name}"]`);
const panel = document.querySelector<HTMLElement>('[data-curves]');

const compact = (value: number) => String(Number(value.toPrecision(3)));
const share = (value: number) => percent(value, value !== 0 && value < 0.1 ? 1 : 0);

let training: Training | null = null;
let live: TrainProgress[] = [];
let charts: { readonly [name: string]: Chart } | null = null;

function createCharts(): { readonly [name: string]: Chart } {
  const made: Record<string, Chart> = {};
  const add = (name: string, options: ConstructorParameters<typeof Chart>[1]) => {
    const at = place(name);
    if (at !== null) made[name] = new Chart(at, options);
  };
  add('loss', {
    format: compact,
    lines: [
      { label: 'Step', colour: '--chart-step', kind: 'steps' },
      { label: 'Training', colour: '--chart-train', kind: 'epochs' },
      { label: 'Validation', colour: '--chart-validation', kind: 'epochs' },
    ],
  });
  add('error', {
    format: share,
    lines: [
      { label: 'Step', colour: '--chart-step', kind: 'steps' },
      { label: 'Training', colour: '--chart-train', kind: 'epochs' },
      { label: 'Validation', colour: '--chart-validation', kind: 'epochs' },
      { label: 'Top 5', colour: '--chart-top5', kind: 'epochs' },
    ],
  });
  add('rate', {
    format: compact,
    lines: [{ label: 'Learning rate', colour: '--chart-train', kind: 'steps' }],
  });
  add('speed', {
    format: number,
    formatShare: share,
    lines: [
      { label: 'Images/s', colour: '--chart-train', kind: 'steps' },
      { label: 'Waiting', colour: '--chart-validation', kind: 'steps', scale: 'share' },
    ],
  });
  return made;
}

function draw(): void {
  if (training === null || panel === null) return;
  const curves = curvesOf(training, live);
  if (curves.x.length === 0) return;
  panel.hidden = false;
  charts ??= createCharts();
  const { x } = curves;
  charts['loss']?.show([x, curves.stepLoss, curves.trainLoss, curves.validationLoss]);
  charts['error']?.show([x, curves.stepTop1, curves.trainTop1, curves.validationTop1, curves.validationTop5]);
  charts['rate']?.show([x, curves.learningRate]);
  charts['speed']?.show([x, curves.imagesPerSecond, curves.dataWait]);
}

async function refetch(): Promise<void> {
  const response = await fetch(`/api/v1/runs/${runId}/training`).catch(() => null);
  if (response === null || !response.ok) return;
  training = (await response.json()) as Training;
  if (training.latest !== null && live.length === 0) live.push(training.latest);
  draw();
}

const drawSoon = throttled(REDRAW_MS, draw);
const refetchSoon = throttled(REFETCH_MS, () => void refetch());

stream.on('train', ({ progress }) => {
  const last = live.at(-1);
  // An attempt that began again goes back to its checkpoint.
  const isBack = last !== undefined && (progress.epoch - last.epoch || progress.step - last.step) < 0;
  live = isBack ? [progress] : [...live.slice(1 - LIVE_POINTS_MAX), progress];
  tellNow(progress);
  drawSoon();
});
stream.on('committed', refetchSoon);
stream.on('reset', refetchSoon);
void refetch();

function tellNow(progress: TrainProgress): void {
  const line = document.querySelector('[data-train-now]');
  if (line !== null) line.textContent = nowText(progress);
}
