import type { ErrorsPage, RunDetail } from '../../../contract/api/runs.ts';
import { ERROR_CATALOGUE, type ErrorCode } from '../../../contract/errors.ts';
import { number } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { shareBar } from './bars.ts';
import { cut, locationText } from './shown-text.ts';

const MESSAGE_CHARS_MAX = 300;

/**
 * What could not be labelled, by code, and the rows of it page by page.
 * @param rows null where they are still being read
 * @param cursor of this page of rows; undefined: the first
 */
export function errorsPanel(
  { overview: { run }, errorsByCode }: RunDetail,
  rows: ErrorsPage | null,
  cursor: string | undefined,
): Html | null {
  const codes = Object.entries(errorsByCode).sort(([, a], [, b]) => b - a);
  if (codes.length === 0) return null;
  const total = codes.reduce((sum, [, count]) => sum + count, 0);
  return html`<section class="panel" id="errors" aria-labelledby="errors-heading">
    <h2 id="errors-heading">Errors <span class="quiet-text">${number(total)}</span></h2>
    <div class="scroll" role="region" aria-label="Errors by code" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Code</th>
            <th scope="col" class="right">Images</th>
            <th scope="col" class="bar-cell"><span class="unseen">Share</span></th>
            <th scope="col">What it means</th>
          </tr>
        </thead>
        <tbody>
          ${codes.map(([code, count]) => codeRow(code, count, total))}
        </tbody>
      </table>
    </div>
    ${rows === null ? html`<p class="quiet-text">The rows are still being read: look again in a moment.</p>` : rowTable(run, rows, cursor)}
  </section>`;
}

function codeRow(code: string, count: number, total: number): Html {
  return html`<tr>
    <th scope="row">
      <a href="/errors#${code}"><code>${cut(code, 80)}</code></a>
    </th>
    <td class="right">${number(count)}</td>
    <td class="bar-cell">${shareBar(count / total, 'bad')}</td>
    <td>
      ${Object.hasOwn(ERROR_CATALOGUE, code) ? ERROR_CATALOGUE[code as ErrorCode].meaning : 'A code of another version.'}
    </td>
  </tr>`;
}

/** A page may be empty and yet not the last: one request looks into so many shards, and no further. */
function rowTable(run: string, { rows, next }: ErrorsPage, cursor: string | undefined): Html {
  return html`${rows.length === 0 ? html`<p class="quiet-text">No rows ${next === null ? 'are left' : 'in these shards'}.</p>` : table(rows)}
    <p class="pager">
      ${cursor !== undefined && html`<a href="/runs/${run}#errors">First errors</a>`}
      ${next !== null && html`<a rel="next" href="/runs/${run}?errors=${next}#errors">Next errors</a>`}
    </p>`;
}

function table(rows: ErrorsPage['rows']): Html {
  return html`<div class="scroll" role="region" aria-label="Error rows" tabindex="0">
    <table class="rows">
      <thead>
        <tr>
          <th scope="col">Image</th>
          <th scope="col">Code</th>
          <th scope="col">What happened</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ uri, code, message }) =>
            html`<tr>
              <td>${locationText(uri)}</td>
              <td><code>${code}</code></td>
              <td><bdi>${cut(message, MESSAGE_CHARS_MAX)}</bdi></td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
