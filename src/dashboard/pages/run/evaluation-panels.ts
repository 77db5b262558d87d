import { number, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import type { EvaluationView } from '../../runs/evaluation-view.ts';
import { shareBar } from './bars.ts';
import { calibrationPanel } from './calibration-panel.ts';
import { confusionPanel } from './confusion-panel.ts';
import { nameText, plural } from './shown-text.ts';

const WORST_CLASSES = 20;

/** How good the model is on a split whose labels are known. */
export function evaluationPanels(run: string, evaluation: EvaluationView): Html {
  return html`${errorFigures(evaluation)}
    <div class="panels">${perClassPanel(evaluation)}${calibrationPanel(evaluation)}</div>
    ${confusionPanel(run, evaluation)}`;
}

function errorFigures(evaluation: EvaluationView): Html {
  const { items, unreadable, unknownLabel, top1Error, top5Error, calibrationError, crops, split } =
    evaluation;
  const figure = (name: string, value: string) =>
    html`<div>
      <dt>${name}</dt>
      <dd>${value}</dd>
    </div>`;
  return html`<section class="panel" aria-labelledby="evaluation-heading">
    <h2 id="evaluation-heading">
      Error
      <span class="quiet-text"
        >on ${number(items)} images of ${split}, ${crops === 1 ? 'centre crop' : `${crops} crops`}</span
      >
    </h2>
    <dl class="figures large">
      ${figure('Top 1', percent(top1Error))} ${figure('Top 5', percent(top5Error))}
      ${figure('Calibration', percent(calibrationError))}
    </dl>
    ${unreadable > 0 && html`<p class="quiet-text">${number(unreadable)} ${plural(unreadable, 'image')} could not be read; they are not counted.</p>`}
    ${unknownLabel > 0 && html`<p class="quiet-text">${number(unknownLabel)} ${plural(unknownLabel, 'image')} of classes that the model does not have; each counts as wrong.</p>`}
  </section>`;
}

function perClassPanel({ perClass, classes }: EvaluationView): Html {
  const worst = perClass.slice(0, WORST_CLASSES);
  const rest = perClass.slice(WORST_CLASSES);
  const hidden = classes - perClass.length;
  return html`<section class="panel" aria-labelledby="per-class-heading">
    <h2 id="per-class-heading">Accuracy by class <span class="quiet-text">worst first</span></h2>
    <table class="histogram">
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col" class="bar-cell"><span class="unseen">Share</span></th>
          <th scope="col" class="right">Accuracy</th>
          <th scope="col" class="right">Images</th>
        </tr>
      </thead>
      <tbody>
        ${worst.map(classRow)}
      </tbody>
    </table>
    ${
      rest.length > 0 &&
      html`<details data-keep="per-class">
        <summary>The next ${number(rest.length)} classes</summary>
        <div class="tall" tabindex="0" role="region" aria-label="More classes">
          <ol class="many" start="${WORST_CLASSES + 1}">
            ${rest.map(({ label, accuracy, items }) => html`<li>${nameText(label)} <b>${percent(accuracy, 1)}</b> of ${number(items)}</li>`)}
          </ol>
        </div>
        ${hidden > 0 && html`<p class="quiet-text">and ${number(hidden)} better ones</p>`}
      </details>`
    }
  </section>`;
}

function classRow({ label, accuracy, items }: EvaluationView['perClass'][number]): Html {
  return html`<tr>
    <th scope="row">${nameText(label)}</th>
    <td class="bar-cell">${shareBar(accuracy ?? 0)}</td>
    <td class="right">${percent(accuracy, 1)}</td>
    <td class="right quiet-text">${number(items)}</td>
  </tr>`;
}
