import type { RunDetail } from '../../../contract/api/runs.ts';
import type { Recipe } from '../../../contract/recipe.ts';
import type { EpochCommit, TrainProgress } from '../../../contract/training.ts';
import { settingKeys } from '../../../pipeline/recipe/settings.ts';
import { bestEpoch } from '../../../pipeline/recipe/schedule.ts';
import { decidingError } from '../../../pipeline/training/deciding-error.ts';
import { ledgerKeys } from '../../../storage/ledger-keys.ts';
import { nowText, number, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import { changedSettings } from './command-lines.ts';
import { epochTable } from './epoch-table.ts';
import { factList } from './submission.ts';
import { cut, locationText } from './shown-text.ts';

export interface TrainingShown {
  readonly epochs: readonly EpochCommit[];
  readonly latest: TrainProgress | null;
}

/** Which batch a page shows as a picture. */
export interface MinibatchChoice {
  readonly epoch: number;
  readonly step: number;
}

/** Curves, epochs, what was learned, and what from. */
export function trainPanels(
  detail: RunDetail,
  training: TrainingShown,
  chosen: MinibatchChoice | null,
): Html {
  const { overview, document } = detail;
  const spec = document?.spec.kind === 'train' ? document.spec : null;
  const best = bestEpoch(training.epochs.map(decidingError)) ?? null;
  return html`
    <div data-part="standing">${standing(training, spec?.recipe ?? null, best, overview.out)}</div>
    ${curvesPanel(overview.run)}
    <div data-part="epochs">${epochTable(training.epochs, best)}</div>
    <div class="panels">
      <div data-part="filters">
        ${training.epochs.length > 0 && filtersPanel(overview.run, training.epochs.length)}
      </div>
      ${spec !== null && recipePanel(spec.recipe)}
    </div>
    ${minibatchPanel(overview.run, training, chosen)}
  `;
}

function standing(
  { epochs, latest }: TrainingShown,
  recipe: Recipe | null,
  best: number | null,
  out: string,
): Html {
  const last = epochs.at(-1);
  const bestOne = best === null ? undefined : epochs[best - 1];
  const modelAt = (key: string) => locationText(`${out}${key}`);
  return html`<section class="panel" aria-labelledby="standing-heading">
    <h2 id="standing-heading">Epoch ${number(last?.epoch ?? 0)} of ${number(recipe?.epochs ?? null)}</h2>
    ${latest !== null && html`<p data-train-now>${nowText(latest)}</p>`}
    ${
      bestOne === undefined
        ? html`<p class="quiet-text">No epoch is done yet.</p>`
        : factList([
            ['Best', html`epoch ${bestOne.epoch}: ${errorsText(bestOne)}`],
            ['Best model', modelAt(ledgerKeys.best)],
            ['Last model', modelAt(ledgerKeys.last)],
          ])
    }
  </section>`;
}

function errorsText({ validation, train }: EpochCommit): string {
  const { top1Error, top5Error } = validation ?? train;
  return `${validation === null ? 'training' : 'validation'} error ${percent(top1Error)}, top 5 ${percent(top5Error)}`;
}

/** As browser/train.ts says it while one looks. */
const CHARTS = [
  { name: 'loss', title: 'Loss' },
  { name: 'error', title: 'Error' },
  { name: 'rate', title: 'Learning rate' },
  { name: 'speed', title: 'Images/s and waiting for data' },
] as const;

/** Drawn by a script; the table of epochs says the same in figures. */
function curvesPanel(run: string): Html {
  return html`<section class="panel" data-curves="${run}" aria-labelledby="curves-heading" hidden>
    <h2 id="curves-heading">
      Curves <span class="quiet-text">by epoch; the table below has the figures</span>
    </h2>
    <div class="charts">
      ${CHARTS.map(
        ({ name, title }) =>
          html`<figure>
            <figcaption>${title}</figcaption>
            <div
              class="chart"
              data-chart="${name}"
              role="img"
              aria-label="${title} by epoch; the table of epochs has the figures"
            ></div>
          </figure>`,
      )}
    </div>
  </section>`;
}

function filtersPanel(run: string, epochs: number): Html {
  return html`<section class="panel" aria-labelledby="filters-heading">
    <h2 id="filters-heading">First layer <span class="quiet-text">after epoch ${number(epochs)}</span></h2>
    <img
      class="filters"
      src="/api/v1/runs/${run}/pictures/filters"
      alt="Kernels of the first layer after epoch ${epochs}, each scaled to its largest weight"
      loading="lazy"
    />
  </section>`;
}

function recipePanel(recipe: Recipe): Html {
  const { name, architecture, batchSize, learningRate, momentum, weightDecay, schedule, dropout, source } =
    recipe;
  const changed = changedSettings(recipe);
  const settings = settingKeys(recipe).flatMap(({ key, value }) =>
    value === undefined ? [] : [[key, value] as const],
  );
  return html`<section class="panel" aria-labelledby="recipe-heading">
    <h2 id="recipe-heading">Recipe</h2>
    ${factList([
      ['Name', name === architecture ? name : html`${cut(name, 100)}, architecture ${architecture}`],
      ['Batch', `${number(batchSize)} images`],
      ['Learning rate', `${learningRate}, ${schedule.kind}`],
      ['Momentum', String(momentum)],
      ['Weight decay', String(weightDecay)],
      ['Dropout', String(dropout)],
      [
        'Changed',
        changed.length === 0 ? 'nothing' : changed.map((setting) => html`<code>${cut(setting, 200)}</code> `),
      ],
    ])}
    <details data-keep="recipe">
      <summary>All ${settings.length} settings</summary>
      ${factList(
        settings.map(([key, value]) => [html`<code>${key}</code>`, html`<code>${cut(value, 200)}</code>`]),
      )}
      <p class="hint">${cut(source, 2_000)}</p>
    </details>
  </section>`;
}

/** Any batch of any step can be drawn again, since every random choice is a function of the seed. */
function minibatchPanel(
  run: string,
  { epochs, latest }: TrainingShown,
  chosen: MinibatchChoice | null,
): Html {
  const steps =
    [latest?.steps, epochs.at(-1)?.steps].find((known) => known !== undefined && known > 0) ?? null;
  const { epoch, step } = chosen ?? { epoch: Math.max(1, latest?.epoch ?? epochs.length), step: 0 };
  const href = (to: number) => `/runs/${run}?epoch=${epoch}&step=${to}#minibatch`;
  const hasNext = steps === null || step + 1 < steps;
  return html`<section class="panel" id="minibatch" aria-labelledby="minibatch-heading">
    <h2 id="minibatch-heading">Minibatch <span class="quiet-text">as the network sees it</span></h2>
    <form class="form" method="get" action="/runs/${run}#minibatch">
      <label>Epoch <input type="number" name="epoch" min="1" value="${epoch}" required /></label>
      <label
        >Step${steps !== null && html`, 0 to ${number(steps - 1)}`}
        <input
          type="number"
          name="step"
          min="0"
          ${steps !== null && html`max="${steps - 1}"`}
          value="${step}"
          required
      /></label>
      <button>Draw</button>
      ${chosen !== null && step > 0 && html`<a href="${href(step - 1)}">Step before</a>`}
      ${chosen !== null && hasNext && html`<a href="${href(step + 1)}">Next step</a>`}
    </form>
    ${chosen !== null && html`<div class="scroll" role="region" aria-label="Minibatch" tabindex="0"><img class="minibatch" src="/api/v1/runs/${run}/pictures/minibatch/${epoch}/${step}" alt="The images of step ${step} of epoch ${epoch}, augmented" /></div>`}
  </section>`;
}
