import { RUN_STATES } from '../../contract/run.ts';
import type { RunOverview, ShownState } from '../../contract/api/runs.ts';
import { duration, number } from './figures.ts';
import { html, type Html } from './markup.ts';

/** A state in words and colour; never in colour alone. */
export function stateBadge(state: ShownState): Html {
  return html`<span class="badge ${state}" data-field="state">${state}</span>`;
}

export function progressBar({ progress, run }: Pick<RunOverview, 'progress' | 'run'>): Html {
  const whole = Math.floor(progress * 1_000) / 10;
  return html`<progress
      max="100"
      value="${whole}"
      data-field="progress"
      aria-label="Progress of ${run}"
    ></progress>
    <span class="figure" data-field="progressText">${whole} %</span>`;
}

/** `1,234 of 5,000`. */
export function itemsText({ items, total }: Pick<RunOverview, 'items' | 'total'>): string {
  if (items === null) return '–';
  return total === null ? number(items) : `${number(items)} of ${number(total)}`;
}

export function rateText({ imagesPerSecond }: Pick<RunOverview, 'imagesPerSecond'>): string {
  return imagesPerSecond === null ? '–' : `${number(imagesPerSecond)}/s`;
}

export function etaText({ state, etaSeconds }: Pick<RunOverview, 'state' | 'etaSeconds'>): string {
  return state === 'done' ? '' : duration(etaSeconds);
}

/** A select of a filter form. */
export function select(
  name: string,
  label: string,
  values: readonly string[],
  chosen: string | undefined,
): Html {
  return html`<label>
    ${label}
    <select name="${name}">
      <option value="">any</option>
      ${values.map(
        (value) => html`<option value="${value}" ${value === chosen && html` selected`}>${value}</option>`,
      )}
    </select>
  </label>`;
}

export const STATES_TO_CHOOSE = RUN_STATES;
