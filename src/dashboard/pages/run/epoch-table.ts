import type { EpochCommit } from '../../../contract/training.ts';
import { duration, number, percent, time } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { nameText } from './shown-text.ts';

/** More can be read through the API; a page stays light. */
const EPOCHS_SHOWN_MAX = 200;
const EPOCHS_OPEN = 20;

/** @param best number of the best epoch */
export function epochTable(epochs: readonly EpochCommit[], best: number | null): Html | null {
  if (epochs.length === 0) return null;
  const newest = epochs.slice(-EPOCHS_SHOWN_MAX).reverse();
  const older = newest.slice(EPOCHS_OPEN);
  return html`<section class="panel" aria-labelledby="epochs-heading">
    <h2 id="epochs-heading">Epochs <span class="quiet-text">newest first</span></h2>
    ${table(newest.slice(0, EPOCHS_OPEN), best, 'Epochs')}
    ${
      older.length > 0 &&
      html`<details data-keep="epochs">
        <summary>The ${number(older.length)} epochs before</summary>
        ${table(older, best, 'Earlier epochs')}
      </details>`
    }
    ${epochs.length > newest.length && html`<p class="hint">The first ${number(epochs.length - newest.length)} are told by the API alone.</p>`}
  </section>`;
}

function table(epochs: readonly EpochCommit[], best: number | null, label: string): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table class="epochs">
      <thead>
        <tr>
          <th scope="col" rowspan="2">Epoch</th>
          <th scope="colgroup" colspan="2">Training</th>
          <th scope="colgroup" colspan="3">Validation</th>
          <th scope="col" class="right" rowspan="2">Rate</th>
          <th scope="col" class="right" rowspan="2">Images/s</th>
          <th scope="col" class="right" rowspan="2">Waiting</th>
          <th scope="col" class="right" rowspan="2">Took</th>
          <th scope="col" rowspan="2">Worker</th>
          <th scope="col" rowspan="2">Done</th>
        </tr>
        <tr>
          <th scope="col" class="right">Loss</th>
          <th scope="col" class="right">Error</th>
          <th scope="col" class="right">Loss</th>
          <th scope="col" class="right">Error</th>
          <th scope="col" class="right">Top 5</th>
        </tr>
      </thead>
      <tbody>
        ${epochs.map((epoch) => row(epoch, epoch.epoch === best))}
      </tbody>
    </table>
  </div>`;
}

function row(commit: EpochCommit, isBest: boolean): Html {
  const { epoch, train, validation, learningRate, imagesPerSecond, dataWaitShare, seconds } = commit;
  return html`<tr ${isBest && html`class="best"`}>
    <th scope="row">${number(epoch)}${isBest && html` <span class="badge done">best</span>`}</th>
    <td class="right">${train.loss.toFixed(4)}</td>
    <td class="right">${percent(train.top1Error)}</td>
    <td class="right">${validation === null ? '–' : validation.loss.toFixed(4)}</td>
    <td class="right">${percent(validation?.top1Error ?? null)}</td>
    <td class="right">${percent(validation?.top5Error ?? null)}</td>
    <td class="right">${rate(learningRate)}</td>
    <td class="right">${number(imagesPerSecond)}</td>
    <td class="right">${percent(dataWaitShare, 1)}</td>
    <td class="right">${duration(seconds)}</td>
    <td>${nameText(commit.worker)}</td>
    <td>${time(commit.committedAt)}</td>
  </tr>`;
}

/** Three digits tell learning rates apart: `0.01`, `0.000125`. */
function rate(value: number): string {
  return String(Number(value.toPrecision(3)));
}
