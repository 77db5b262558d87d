import type { RunOverview } from '../../contract/api/runs.ts';
import { duration, number } from './figures.ts';

/** Writes what an event tells of a run into the fields of a row or a page. */
export function showRun(root: ParentNode, run: RunOverview): void {
  const set = (field: string, text: string) => {
    const element = root.querySelector(`[data-field="${field}"]`);
    if (element !== null && element.textContent !== text) element.textContent = text;
  };
  const badge = root.querySelector('[data-field="state"]');
  if (badge !== null) badge.className = `badge ${run.state}`;
  set('state', run.state);
  const whole = Math.floor(run.progress * 1_000) / 10;
  const bar = root.querySelector<HTMLProgressElement>('[data-field="progress"]');
  if (bar !== null) bar.value = whole;
  set('progressText', `${whole} %`);
  set('items', itemsText(run));
  set('rate', run.imagesPerSecond === null ? '–' : `${number(run.imagesPerSecond)}/s`);
  set('eta', run.state === 'done' ? '' : duration(run.etaSeconds));
  set('errors', number(run.errors));
}

function itemsText({ items, total }: RunOverview): string {
  if (items === null) return '–';
  return total === null ? number(items) : `${number(items)} of ${number(total)}`;
}
