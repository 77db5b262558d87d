import type { RunDetail } from '../../../contract/api/runs.ts';
import { number } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import type { ShardCounts } from './page-data.ts';

/** Kinds of cells: browser/shard-map.ts colours by the same names. */
const CELLS = [
  { name: 'committed', text: 'committed' },
  { name: 'with-errors', text: 'committed, with errors' },
  { name: 'active', text: 'in progress' },
  { name: 'waiting', text: 'waiting' },
  { name: 'failed', text: 'failed' },
] as const;

/** How many shards are where, and a map that a script draws: ten thousand cells are no business of the page's. */
export function shardsPanel({ overview, shards }: RunDetail, counts: ShardCounts): Html | null {
  if (shards === null) return null;
  const byName = {
    committed: counts.committed,
    'with-errors': counts.withErrors,
    active: counts.active,
    waiting: counts.waiting,
    failed: counts.failed,
  };
  return html`<section class="panel" aria-labelledby="shards-heading">
    <h2 id="shards-heading">Shards <span class="quiet-text" data-shards-text>${shardsText(shards)}</span></h2>
    <ul class="legend" data-shard-legend>
      ${CELLS.map(
        ({ name, text }) =>
          html`<li>
            <span class="swatch cell-${name}"></span>${text}
            <strong data-count="${name}">${number(byName[name])}</strong>
          </li>`,
      )}
    </ul>
    <div
      class="shard-map"
      data-shard-map="${overview.run}"
      hidden
      role="slider"
      tabindex="0"
      aria-label="Map of shards: arrow keys choose one"
      aria-orientation="horizontal"
      aria-valuemin="0"
      aria-valuemax="${Math.max(0, shards.planned - 1)}"
      aria-valuenow="0"
      aria-valuetext="none chosen"
      aria-describedby="shard-facts"
    >
      <canvas aria-hidden="true"></canvas>
    </div>
    <p class="shard-facts" id="shard-facts" data-shard-facts aria-live="polite" hidden>
      Point at a cell, or choose one with the arrow keys.
    </p>
  </section>`;
}

function shardsText({ planned, committed, planComplete }: NonNullable<RunDetail['shards']>): string {
  const known = planComplete
    ? number(planned)
    : `${number(planned)} so far: the source is still being listed`;
  return `${number(committed)} committed of ${known}`;
}
