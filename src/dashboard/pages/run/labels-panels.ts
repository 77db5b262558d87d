import type { RunLabels } from '../../../contract/api/labels.ts';
import { number, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { columnChart, shareBar } from './bars.ts';
import { cut, cutMiddle, LOCATION_CHARS_MAX, NAME_CHARS_MAX, nameText, plural } from './shown-text.ts';

const TOP_CLASSES = 20;

/**
 * How often each class, how confident, and where the model is least sure; nothing before the first label.
 * @param aside goes where there is room
 */
export function labelPanels(labels: RunLabels, aside: Html | null): Html | null {
  if (labels.images === 0) return aside;
  return html`<div class="panels">
      ${classesPanel(labels)}
      <div class="stack">${confidencePanel(labels)}${aside}</div>
    </div>
    ${leastConfidentPanel(labels)}`;
}

function classesPanel({ classes, others, images, undescribedShards }: RunLabels): Html {
  const top = classes.slice(0, TOP_CLASSES);
  const rest = classes.slice(TOP_CLASSES);
  const largest = top[0]?.images ?? 0;
  const restImages = images - top.reduce((sum, entry) => sum + entry.images, 0);
  const restClasses = rest.length + others.classes;
  return html`<section class="panel" aria-labelledby="classes-heading">
    <h2 id="classes-heading">
      Classes
      <span class="quiet-text">
        ${number(classes.length + others.classes)} in ${number(images)} labelled ${plural(images, 'image')}
      </span>
    </h2>
    <table class="histogram">
      <thead>
        <tr>
          <th scope="col">Class</th>
          <th scope="col" class="bar-cell"><span class="unseen">Bar</span></th>
          <th scope="col" class="right">Images</th>
          <th scope="col" class="right">Share</th>
        </tr>
      </thead>
      <tbody>
        ${top.map((entry) => classRow(entry, largest, images))}
        ${
          restClasses > 0 &&
          html`<tr class="quiet-text">
            <th scope="row">${number(restClasses)} other ${plural(restClasses, 'class', 'classes')}</th>
            <td class="bar-cell"></td>
            <td class="right">${number(restImages)}</td>
            <td class="right">${percent(restImages / images, 1)}</td>
          </tr>`
        }
      </tbody>
    </table>
    ${rest.length > 0 && allClasses(rest, others)}
    ${undescribedShards > 0 && html`<p class="hint">Without ${number(undescribedShards)} ${plural(undescribedShards, 'shard')} of an earlier version, which say nothing of their labels.</p>`}
  </section>`;
}

type Entry = RunLabels['classes'][number];

function classRow({ label, images }: Entry, largest: number, total: number): Html {
  return html`<tr>
    <th scope="row">${nameText(label)}</th>
    <td class="bar-cell">${shareBar(images / largest)}</td>
    <td class="right">${number(images)}</td>
    <td class="right quiet-text">${percent(images / total, 1)}</td>
  </tr>`;
}

function allClasses(rest: readonly Entry[], others: RunLabels['others']): Html {
  return html`<details data-keep="classes">
    <summary>The next ${number(rest.length)} classes</summary>
    <div class="tall" tabindex="0" role="region" aria-label="More classes">
      <ol class="many" start="${TOP_CLASSES + 1}">
        ${rest.map(({ label, images }) => html`<li>${nameText(label)} <b>${number(images)}</b></li>`)}
      </ol>
    </div>
    ${others.classes > 0 && html`<p class="quiet-text">and ${number(others.classes)} more with ${number(others.images)} images</p>`}
  </details>`;
}

function confidencePanel({ confidence, images }: RunLabels): Html {
  const bins = confidence.length;
  const range = (bin: number) => `${percent(bin / bins, 0)} to ${percent((bin + 1) / bins, 0)}`;
  const sure = confidence.slice(Math.floor(bins * 0.9)).reduce((sum, count) => sum + count, 0);
  const unsure = confidence.slice(0, bins / 2).reduce((sum, count) => sum + count, 0);
  return html`<section class="panel" aria-labelledby="confidence-heading">
    <h2 id="confidence-heading">Confidence <span class="quiet-text">score of the first label</span></h2>
    ${columnChart(confidence, `Images by score, in ${bins} equal steps from 0 to 1; the table below says the same`)}
    <p class="axis" aria-hidden="true"><span>0</span><span>0.5</span><span>1</span></p>
    <p>${percent(sure / images, 1)} of the images above 0.9, ${percent(unsure / images, 1)} below 0.5.</p>
    <details data-keep="confidence">
      <summary>As a table</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Score</th>
            <th scope="col" class="right">Images</th>
          </tr>
        </thead>
        <tbody>
          ${confidence.map(
            (count, bin) =>
              html`<tr>
                <td>${range(bin)}</td>
                <td class="right">${number(count)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </details>
  </section>`;
}

function leastConfidentPanel({ run, leastConfident }: RunLabels): Html | null {
  if (leastConfident.length === 0) return null;
  return html`<section class="panel" aria-labelledby="unsure-heading">
    <h2 id="unsure-heading">Least confident</h2>
    <ul class="thumbnails">
      ${leastConfident.map((item) => thumbnail(run, item))}
    </ul>
  </section>`;
}

function thumbnail(run: string, item: RunLabels['leastConfident'][number]): Html {
  const { generation, shard, index, label, score, uri } = item;
  const where = uri === undefined ? `item ${index} of shard ${shard}` : cutMiddle(uri, LOCATION_CHARS_MAX);
  const src = `/api/v1/runs/${run}/pictures/thumbnail/${generation}/${shard}/${index}`;
  return html`<li>
    <figure>
      <img
        src="${src}"
        alt="${cut(label, NAME_CHARS_MAX)}: ${where}"
        title="${where}"
        width="160"
        height="160"
        loading="lazy"
        decoding="async"
      />
      <figcaption>${nameText(label)} <span class="figure quiet-text">${score.toFixed(3)}</span></figcaption>
    </figure>
  </li>`;
}
