import { SPLITS } from '../../../contract/dataset.ts';
import { byteSize, number } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import type { DatasetView } from '../../runs/dataset-view.ts';
import { shareBar } from './bars.ts';
import { factList } from './submission.ts';
import { digestText, nameText, plural } from './shown-text.ts';

const TOP_CLASSES = 20;

/** What a prepared dataset holds. */
export function datasetPanels(dataset: DatasetView): Html {
  return html`<div class="panels">${factsPanel(dataset)}${classesPanel(dataset)}</div>`;
}

function factsPanel({
  classes,
  splits,
  meanPixel,
  eigenvalues,
  errors,
  duplicates,
  digest,
  warnings,
}: DatasetView): Html {
  return html`<section class="panel" aria-labelledby="dataset-heading">
    <h2 id="dataset-heading">Dataset</h2>
    ${warnings.map((warning) => html`<p class="warning">${warning}</p>`)}
    <table>
      <thead>
        <tr>
          <th scope="col">Split</th>
          <th scope="col" class="right">Images</th>
          <th scope="col" class="right">Tars</th>
          <th scope="col" class="right">Size</th>
        </tr>
      </thead>
      <tbody>
        ${SPLITS.map(
          (name) =>
            html`<tr>
              <th scope="row">${name}</th>
              <td class="right">${number(splits[name].items)}</td>
              <td class="right">${number(splits[name].tars)}</td>
              <td class="right">${byteSize(splits[name].bytes)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${factList([
      ['Classes', number(classes)],
      [
        'Mean pixel',
        html`<svg class="pixel" aria-hidden="true">
            <rect
              width="100%"
              height="100%"
              fill="rgb(${meanPixel.map((value) => Math.round(value)).join(',')})"
            /></svg
          >${meanPixel.map((value) => value.toFixed(1)).join(', ')}
          <span class="quiet-text">RGB, 0 to 255</span>`,
      ],
      [
        'Deviation',
        html`${eigenvalues.map((value) => Math.sqrt(Math.max(0, value)).toFixed(1)).join(', ')}
          <span class="quiet-text">along the principal colours</span>`,
      ],
      ['Duplicates', duplicatesText(duplicates)],
      ['Errors', `${number(errors)} ${plural(errors, 'image')} could not be prepared`],
      ['Digest', digestText(digest)],
    ])}
  </section>`;
}

function duplicatesText({ contents, items, conflictingLabels }: DatasetView['duplicates']): string {
  if (contents === 0) return 'none';
  const conflicting = conflictingLabels === 0 ? '' : `, ${number(conflictingLabels)} under different labels`;
  return `${number(contents)} ${plural(contents, 'image')} more than once, ${number(items)} in all${conflicting}`;
}

function classesPanel({ classes, perClass }: DatasetView): Html {
  const top = perClass.slice(0, TOP_CLASSES);
  const rest = perClass.slice(TOP_CLASSES);
  const largest = Math.max(1, top[0]?.train ?? 0);
  const hidden = classes - perClass.length;
  return html`<section class="panel" aria-labelledby="dataset-classes-heading">
    <h2 id="dataset-classes-heading">Classes <span class="quiet-text">${number(classes)}</span></h2>
    <table class="histogram">
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col" class="bar-cell"><span class="unseen">Share</span></th>
          <th scope="col" class="right">Training</th>
          <th scope="col" class="right">Validation</th>
        </tr>
      </thead>
      <tbody>
        ${top.map(
          ({ name, train, val }) =>
            html`<tr>
              <th scope="row">${nameText(name)}</th>
              <td class="bar-cell">${shareBar(train / largest)}</td>
              <td class="right">${number(train)}</td>
              <td class="right">${number(val)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${
      rest.length > 0 &&
      html`<details data-keep="dataset-classes">
        <summary>The next ${number(rest.length)} classes</summary>
        <div class="tall" tabindex="0" role="region" aria-label="More classes">
          <ol class="many" start="${TOP_CLASSES + 1}">
            ${rest.map(({ name, train, val }) => html`<li>${nameText(name)} <b>${number(train)}</b> + ${number(val)}</li>`)}
          </ol>
        </div>
        ${hidden > 0 && html`<p class="quiet-text">and ${number(hidden)} smaller ones</p>`}
      </details>`
    }
  </section>`;
}
