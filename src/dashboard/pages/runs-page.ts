import type { ListRunsQuery, RunList, RunOverview } from '../../contract/api/runs.ts';
import { RUN_KINDS } from '../../contract/run.ts';
import { number, shortLocation, time } from './figures.ts';
import { html, json, type Html } from './markup.ts';
import { etaText, itemsText, progressBar, rateText, select, STATES_TO_CHOOSE, stateBadge } from './parts.ts';

/** The list of runs, newest first. */
export function runsPage(list: RunList, query: ListRunsQuery, mayOperate: boolean): Html {
  const isFiltered = query.kind !== undefined || query.state !== undefined || (query.text ?? '') !== '';
  return html`
    <div class="heading">
      <h1>Runs</h1>
      ${mayOperate && html`<a class="button" href="/submit/classify">Submit a run</a>`}
    </div>
    <form class="filters" method="get" action="/runs" role="search">
      ${select('kind', 'Kind', RUN_KINDS, query.kind)}
      ${select('state', 'State', STATES_TO_CHOOSE, query.state)}
      <label>
        Text
        <input
          type="search"
          name="text"
          maxlength="200"
          value="${query.text}"
          placeholder="id, source, output"
        />
      </label>
      <button>Filter</button>
      ${isFiltered && html`<a href="/runs">All runs</a>`}
    </form>
    ${list.runs.length === 0 ? emptyList(isFiltered, mayOperate) : runsTable(list.runs)}
    <p class="quiet-text">
      ${number(list.matching)} ${list.matching === 1 ? 'run' : 'runs'}
      ${list.pending > 0 && html`, ${number(list.pending)} of all are still being read`}
      ${list.next !== null && html`<a rel="next" href="${nextHref(query, list.next)}">Older runs</a>`}
    </p>
  `;
}

function runsTable(runs: readonly RunOverview[]): Html {
  return html`<div class="scroll" role="region" aria-label="Runs" tabindex="0">
    <table class="runs" data-runs>
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">State</th>
          <th scope="col">Progress</th>
          <th scope="col" class="right">Images</th>
          <th scope="col" class="right">Images/s</th>
          <th scope="col" class="right">Left</th>
          <th scope="col" class="right">Errors</th>
          <th scope="col">Source</th>
          <th scope="col">By</th>
          <th scope="col">Submitted</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map(runRow)}
      </tbody>
    </table>
  </div>`;
}

function runRow(run: RunOverview): Html {
  return html`<tr data-run="${run.run}" data-state="${json(run.state)}">
    <th scope="row">
      <a href="/runs/${run.run}">${run.kind} <code>${run.run.slice(-6)}</code></a>
    </th>
    <td>${stateBadge(run.state)}</td>
    <td class="progress">${progressBar(run)}</td>
    <td class="right" data-label="Images" data-field="items">${itemsText(run)}</td>
    <td class="right" data-label="Images/s" data-field="rate">${rateText(run)}</td>
    <td class="right" data-label="Left" data-field="eta">${etaText(run)}</td>
    <td class="right" data-label="Errors" data-field="errors">${number(run.errors)}</td>
    <td data-label="Source">
      <span class="location" title="${run.source}">${shortLocation(run.source)}</span>
    </td>
    <td data-label="By">${run.submittedBy ?? '–'}</td>
    <td data-label="Submitted">${time(run.createdAt)}</td>
  </tr>`;
}

function emptyList(isFiltered: boolean, mayOperate: boolean): Html {
  if (isFiltered) return html`<p class="empty">No run matches.</p>`;
  return html`<div class="empty">
    <p>No runs yet.</p>
    ${mayOperate && html`<p><a class="button" href="/submit/classify">Label a folder or a bucket</a></p>`}
    <p>Or from a shell:</p>
    <pre><code>imagemill classify ./photos --model alexnet.safetensors --out ./labels --no-wait</code></pre>
  </div>`;
}

function nextHref(query: ListRunsQuery, cursor: string): string {
  const parameters = new URLSearchParams({ cursor });
  for (const name of ['kind', 'state', 'text'] as const) {
    const value = query[name];
    if (value !== undefined && value !== '') parameters.set(name, value);
  }
  return `/runs?${parameters.toString()}`;
}
