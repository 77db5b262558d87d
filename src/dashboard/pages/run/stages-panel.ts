import type { StageSeconds } from '../../../contract/ledger.ts';
import { duration, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { stackedBar } from './bars.ts';

const STAGES = ['fetch', 'decode', 'compute', 'write'] as const;

/** Where the time goes. Stages overlap: shares are of their sum, not of the time on the clock. */
export function stagesPanel(stages: StageSeconds): Html | null {
  const sum = STAGES.reduce((total, stage) => total + stages[stage], 0);
  if (!(sum > 0)) return null;
  const parts = STAGES.map((name) => ({ name, share: stages[name] / sum }));
  return html`<section class="panel">
    <h2>Where the time goes</h2>
    ${stackedBar(parts)}
    <ul class="legend">
      ${parts.map(
        ({ name, share }) =>
          html`<li>
            <span class="swatch part-${name}"></span>${name} <strong>${percent(share, 0)}</strong>
            <span class="quiet-text">${duration(stages[name])}</span>
          </li>`,
      )}
    </ul>
    <p class="hint">
      Summed over images and batches. Stages overlap, so that the sum exceeds the time on the clock.
    </p>
  </section>`;
}
