import { number, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { MATRIX_CLASSES_MAX, type EvaluationView } from '../../runs/evaluation-view.ts';
import { nameText } from './shown-text.ts';

/** Shades of a cell, by its share of the row. */
const SHADES = 5;

/** What is taken for what: the whole matrix where it can be read, else the pairs that are confused most. */
export function confusionPanel(run: string, evaluation: EvaluationView): Html {
  const { matrix, confusedPairs, hasPicture, classes } = evaluation;
  return html`<section class="panel" aria-labelledby="confusion-heading">
    <h2 id="confusion-heading">
      Confusion
      <span class="quiet-text"
        >${matrix === null ? 'most frequent first' : 'rows are the truth, columns what it was taken for'}</span
      >
    </h2>
    ${matrix === null ? pairTable(confusedPairs) : matrixTable(matrix)}
    ${classes > MATRIX_CLASSES_MAX && confusedPairs.length === 0 && !hasPicture && html`<p class="quiet-text">No matrix is kept for so many classes.</p>`}
    ${hasPicture && html`<p><a href="/api/v1/runs/${run}/pictures/confusion">The matrix as a picture</a></p>`}
  </section>`;
}

function matrixTable({ labels, counts }: NonNullable<EvaluationView['matrix']>): Html {
  return html`<div class="scroll" role="region" aria-label="Confusion matrix" tabindex="0">
    <table class="confusion">
      <thead>
        <tr>
          <th scope="col">Truth</th>
          ${labels.map((label) => html`<th scope="col">${nameText(label)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${labels.map((label, truth) => matrixRow(label, truth, counts[truth] ?? []))}
      </tbody>
    </table>
  </div>`;
}

function matrixRow(label: string, truth: number, row: readonly number[]): Html {
  const total = row.reduce((sum, images) => sum + images, 0);
  const cells = row.map((images, column) => {
    const shade = images === 0 ? 0 : Math.max(1, Math.ceil((images / total) * SHADES));
    const kind = column === truth ? 'right-label' : 'wrong-label';
    return html`<td class="${kind} shade-${shade}">${images === 0 ? '·' : number(images)}</td>`;
  });
  return html`<tr>
    <th scope="row">${nameText(label)}</th>
    ${cells}
  </tr>`;
}

function pairTable(pairs: EvaluationView['confusedPairs']): Html {
  if (pairs.length === 0) return html`<p class="quiet-text">No class was taken for another.</p>`;
  return html`<div class="scroll" role="region" aria-label="Confused classes" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col">Truth</th>
          <th scope="col">Taken for</th>
          <th scope="col" class="right">Images</th>
          <th scope="col" class="right">Of the class</th>
        </tr>
      </thead>
      <tbody>
        ${pairs.map(
          ({ truth, label, images, share }) =>
            html`<tr>
              <td>${nameText(truth)}</td>
              <td>${nameText(label)}</td>
              <td class="right">${number(images)}</td>
              <td class="right">${percent(share, 1)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
