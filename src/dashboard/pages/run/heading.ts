import type { RunDetail, RunOverview } from '../../../contract/api/runs.ts';
import { duration, number, time } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { itemsText, progressBar, rateText, stateBadge } from '../parts.ts';
import type { RunFamily } from '../../runs/run-family.ts';
import { locationText, nameText } from './shown-text.ts';

/** What a form of the page came to; an address names it, so that nobody can put words of their own on the page. */
export const NOTICES = {
  cancelled: 'Cancelled. What is committed stays.',
  queued: 'On the queue again.',
  retrying: 'Its errors are on the queue again.',
  'done-already': 'The run is done already.',
  'nothing-left': 'No errors are left to retry.',
} as const;
export type Notice = keyof typeof NOTICES;

export interface ShownNotice {
  readonly notice: Notice;
  /** The run that is on the queue now, where it is another one. */
  readonly enqueued?: string | undefined;
}

/** `classify 1C0XA7`, as a run is called where all of its id is too long. */
export function shortName({ kind, run }: Pick<RunOverview, 'kind' | 'run'>): string {
  return `${kind} ${run.slice(-6)}`;
}

export function heading({ overview, actions }: RunDetail, family: RunFamily, mayOperate: boolean): Html {
  const { run, kind, source, out } = overview;
  return html`<div class="heading run-heading">
    <div>
      <h1>${kind} <code>${run.slice(-6)}</code> ${stateBadge(overview.state)}</h1>
      <p class="quiet-text where">${locationText(source)} → ${locationText(out)}</p>
      ${family.retryOf !== null && nestedIn(family.retryOf)}
    </div>
    ${mayOperate && actions.length > 0 && html`<div class="actions">${actions.map((action) => actionForm(run, action))}</div>`}
  </div>`;
}

function nestedIn({ run, generation }: NonNullable<RunFamily['retryOf']>): Html {
  return html`<p class="where">
    Generation ${generation} of <a href="/runs/${run}">classify <code>${run.slice(-6)}</code></a
    >: its errors, labelled again
  </p>`;
}

const ACTIONS = {
  cancel: {
    text: 'Cancel',
    look: 'danger',
    question: 'Cancel this run? What is committed stays; it cannot be resumed.',
  },
  resume: { text: 'Resume', look: 'quiet', question: null },
  'retry-failed': { text: 'Retry errors', look: '', question: null },
} as const;

function actionForm(run: string, action: keyof typeof ACTIONS): Html {
  const { text, look, question } = ACTIONS[action];
  return html`<form
    method="post"
    action="/runs/${run}/${action}"
    ${question !== null && html`data-confirm="${question}"`}
  >
    <button class="${look}">${text}</button>
  </form>`;
}

export function noticeLine({ notice, enqueued }: ShownNotice): Html {
  return html`<p class="notice" role="status">
    ${NOTICES[notice]}
    ${enqueued !== undefined && html`<a href="/runs/${enqueued}">See <code>${enqueued.slice(-6)}</code></a>`}
  </p>`;
}

/** The figures that move while one looks; fields are those of browser/run-fields.ts. */
export function figuresPanel(overview: RunOverview): Html {
  const { state, etaSeconds, errors, submittedBy, createdAt, finishedAt } = overview;
  const left = state === 'done' ? '' : duration(etaSeconds);
  const figure = (name: string, value: Html | string, field?: string) =>
    html`<div>
      <dt>${name}</dt>
      <dd ${field !== undefined && html`data-field="${field}"`}>${value}</dd>
    </div>`;
  return html`<section class="run-figures" aria-label="Progress">
    <p class="run-progress">${progressBar(overview)}</p>
    <dl class="figures">
      ${figure(overview.kind === 'train' ? 'Images trained on' : 'Images', itemsText(overview), 'items')}
      ${figure('Images/s', rateText(overview), 'rate')} ${state !== 'done' && figure('Left', left, 'eta')}
      ${overview.kind !== 'train' && figure('Errors', number(errors), 'errors')}
      ${figure('Submitted', time(createdAt))}
      ${figure('By', submittedBy === null ? '–' : nameText(submittedBy))}
      ${finishedAt !== null && figure('Finished', time(finishedAt))}
      ${finishedAt !== null && figure('Took', duration(secondsBetween(createdAt, finishedAt)))}
    </dl>
  </section>`;
}

function secondsBetween(from: string, until: string): number {
  return (Date.parse(until) - Date.parse(from)) / 1_000;
}

/** Why the run stopped short. */
export function failurePanel({ failure, actions }: RunDetail): Html | null {
  if (failure === null) return null;
  return html`<section class="fault" aria-label="Failure">
    <p>
      <strong
        ><a href="/errors#${failure.code}"><code>${failure.code}</code></a></strong
      >
      ${failure.message.slice(0, 2_000)}
    </p>
    ${failure.shards.length > 0 && failedShards(failure.shards)}
    ${actions.includes('resume') && html`<p class="quiet-text">Resuming puts what has no result on the queue again; what is committed is not repeated.</p>`}
  </section>`;
}

function failedShards(shards: NonNullable<RunDetail['failure']>['shards']): Html {
  const rows = shards.map(
    ({ shard, message }) =>
      html`<tr>
        <td class="right">${shard}</td>
        <td>${message.slice(0, 500)}</td>
      </tr>`,
  );
  return html`<details ${shards.length <= 3 && html`open`}>
    <summary>
      ${shards.length === 100 ? 'The first 100 shards' : `${shards.length} of its shards`} without a result
    </summary>
    <table>
      <thead>
        <tr>
          <th scope="col" class="right">Shard</th>
          <th scope="col">Last attempt</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </details>`;
}
