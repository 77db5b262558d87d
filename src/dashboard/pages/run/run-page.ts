import { html, type Html } from '../markup.ts';
import { datasetPanels } from './dataset-panels.ts';
import { errorsPanel } from './errors-panel.ts';
import { evaluationPanels } from './evaluation-panels.ts';
import { failurePanel, figuresPanel, heading, noticeLine, type ShownNotice } from './heading.ts';
import { labelPanels } from './labels-panels.ts';
import type { RunPageData } from './page-data.ts';
import { shardsPanel } from './shards-panel.ts';
import { stagesPanel } from './stages-panel.ts';
import { linksPanel, submissionPanel } from './submission.ts';
import { trainPanels, type MinibatchChoice } from './train-panels.ts';

export interface RunPageOptions {
  readonly mayOperate: boolean;
  readonly notice: ShownNotice | null;
  /** Cursor of the error rows that are shown; undefined: the first. */
  readonly errorsCursor: string | undefined;
  readonly minibatch: MinibatchChoice | null;
}

/**
 * A page of a run. Parts with `data-part` are replaced by those of the page as it is made anew while one looks; what
 * scripts draw lies outside of them.
 */
export function runPage(data: RunPageData, options: RunPageOptions): Html {
  const { detail, family, labels, shards, evaluation, dataset, training } = data;
  const { run, kind, state } = detail.overview;
  const stages = detail.stages === null ? null : stagesPanel(detail.stages);
  const part = (name: string, content: Html | null | false) =>
    html`<div data-part="${name}">${content}</div>`;
  return html`<div data-run-page="${run}" data-kind="${kind}" data-state="${state}">
    ${options.notice !== null && noticeLine(options.notice)}
    ${part('heading', heading(detail, family, options.mayOperate))}
    ${part('figures', figuresPanel(detail.overview))} ${part('failure', failurePanel(detail))}
    ${training !== null && trainPanels(detail, training, options.minibatch)}
    ${part('dataset', dataset !== null && datasetPanels(dataset))}
    ${part('evaluation', evaluation !== null && evaluationPanels(run, evaluation))}
    ${part('labels', labels === null ? stages : labelPanels(labels, stages))}
    ${shards !== null && shardsPanel(detail, shards)}
    ${part('errors', errorsPanel(detail, data.errorRows, options.errorsCursor))}
    <div class="panels">${submissionPanel(detail)} ${part('links', linksPanel(detail, family))}</div>
  </div>`;
}
