import type { RunDetail } from '../../../contract/api/runs.ts';
import { QUEUES } from '../../../contract/queues.ts';
import type { RunSpec } from '../../../contract/run.ts';
import { number, percent } from '../figures.ts';
import { html, type Html, type Markup } from '../markup.ts';
import type { RunFamily } from '../../runs/run-family.ts';
import { oversightCommands, submitCommand } from './command-lines.ts';
import { cut, digestText, locationText, nameText, plural } from './shown-text.ts';

type Fact = readonly [name: Markup, value: Markup];

const GLOBS_SHOWN_MAX = 20;
const COMMAND_CHARS_MAX = 8_000;

/** What was submitted, with what, and as what. */
export function submissionPanel(detail: RunDetail): Html {
  const { overview, document, model } = detail;
  const facts: Fact[] = [
    ['Run', html`<code>${overview.run}</code>`],
    ['Source', locationText(overview.source)],
    ...(model === null ? [] : modelFacts(model)),
    ['Output', locationText(overview.out)],
    ...(document === null ? [] : specFacts(document.spec)),
  ];
  if (document !== null) {
    const { fencing, versions, specDigest } = document;
    const fenced =
      fencing === 'redis' ? 'claims in Redis: the store has no conditional put' : 'conditional put';
    facts.push(
      ['Fencing', fenced],
      ['Specification', digestText(specDigest)],
      ['Versions', `imagemill ${cut(versions.imagemill, 40)}, Node ${cut(versions.node, 40)}`],
    );
  }
  return html`<section class="panel">
    <h2>Submitted</h2>
    ${factList(facts)}
  </section>`;
}

export function factList(facts: readonly Fact[]): Html {
  return html`<dl class="facts">
    ${facts.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`,
    )}
  </dl>`;
}

function modelFacts({ uri, architecture, classes, digest }: NonNullable<RunDetail['model']>): Fact[] {
  return [
    [
      'Model',
      html`${locationText(uri)}<br />${nameText(architecture)}, ${number(classes)}
        ${plural(classes, 'class', 'classes')}, ${digestText(digest)}`,
    ],
  ];
}

function specFacts(spec: RunSpec): Fact[] {
  switch (spec.kind) {
    case 'classify':
      return [...labelFacts(spec), ...sourceFacts(spec.source)];
    case 'evaluate':
      return [['Dataset', digestText(spec.dataset.digest)], ['Split', spec.split], ...labelFacts(spec)];
    case 'prepare':
      return [
        ['Stored images', `${spec.encoding}, shorter side ${number(spec.shortSide)} pixels at most`],
        ['Validation', percent(spec.valFraction, 0)],
        ['Images per shard', number(spec.shardSize)],
        ['Seed', String(spec.seed)],
        ...sourceFacts(spec.source),
      ];
    default:
      return [
        ['Dataset', digestText(spec.dataset.digest)],
        ['Seed', String(spec.seed)],
        ...(spec.init === undefined
          ? []
          : ([
              ['Starts from', html`${locationText(spec.init.uri)} ${digestText(spec.init.digest)}`],
            ] as const)),
        [
          'Checkpoints',
          `every ${number(spec.checkpointSteps)} steps, ${number(spec.keepCheckpoints)} epochs kept`,
        ],
      ];
  }
}

function labelFacts(spec: Extract<RunSpec, { kind: 'classify' | 'evaluate' }>): Fact[] {
  const { topK, crops, shardSize, batchSize, format, embeddings, model } = spec;
  return [
    ['Labels per image', number(topK)],
    ['Crops', crops === 1 ? 'centre' : '10, averaged'],
    ['Images', `${number(shardSize)} per shard, ${number(batchSize)} per batch`],
    ['Format', embeddings ? `${format}, with embeddings` : format],
    ...(model.labelsDigest === undefined ? [] : ([['Labels file', digestText(model.labelsDigest)]] as const)),
  ];
}

function sourceFacts({ include, exclude, limit }: Extract<RunSpec, { kind: 'classify' }>['source']): Fact[] {
  const globs = (name: string, values: readonly string[]): Fact[] =>
    values.length === 0
      ? []
      : [[name, values.slice(0, GLOBS_SHOWN_MAX).map((glob) => html`<code>${cut(glob, 200)}</code> `)]];
  return [
    ...globs('Only', include),
    ...globs('Without', exclude),
    ...(limit === undefined ? [] : ([['At most', `${number(limit)} images`]] as const)),
  ];
}

/** The same from a shell, what can be downloaded, and the runs and queues that belong to it. */
export function linksPanel(detail: RunDetail, family: RunFamily): Html {
  const { document, overview } = detail;
  const submit = document === null ? [] : [submitCommand(document.spec, overview.out)];
  const lines = [...oversightCommands(detail), ...submit].map(shownCommand);
  return html`<section class="panel">
    <h2>From a shell</h2>
    <ul class="commands">
      ${lines.map((line) => html`<li><code>${line}</code></li>`)}
    </ul>
    ${downloads(detail)} ${(family.generations.length > 0 || family.begun !== null) && generations(family)}
    <h2>Elsewhere</h2>
    <ul class="links">
      ${queuesOf(overview.kind).map((queue) => html`<li><a href="/queues/queue/${queue}">Queue ${queue}</a></li>`)}
      <li><a href="/api/v1/runs/${overview.run}">This run as JSON</a></li>
    </ul>
  </section>`;
}

/** Half a command would do something else. */
function shownCommand(line: string): string {
  return line.length <= COMMAND_CHARS_MAX ? line : '# too long to show: see run.json';
}

function queuesOf(kind: RunDetail['overview']['kind']): string[] {
  if (kind === 'train') return [QUEUES.train];
  return [QUEUES.plan, kind === 'prepare' ? QUEUES.prepare : QUEUES.classify];
}

function downloads({ overview: { run, kind, errors, items } }: RunDetail): Html | null {
  if (kind === 'train' || (items ?? 0) === 0) return null;
  const base = `/api/v1/runs/${run}/download`;
  const isLabelling = kind !== 'prepare';
  const hasErrors = (errors ?? 0) > 0;
  if (!isLabelling && !hasErrors) return null;
  return html`<h2>Downloads</h2>
    <ul class="links">
      ${isLabelling && ['parquet', 'jsonl', 'csv'].map((format) => html`<li><a href="${base}/results.${format}">results.${format}</a></li>`)}
      ${hasErrors && html`<li><a href="${base}/errors.jsonl">errors.jsonl</a></li>`}
    </ul>`;
}

function generations({ generations, begun }: RunFamily): Html {
  return html`<h2>Generations</h2>
    <ul class="generations">
      ${generations.map(
        ({ generation, nested, items, labelled }) =>
          html`<li>
            <a href="/runs/${nested}">${generation}: <code>${nested.slice(-6)}</code></a> labelled
            ${number(labelled)} of ${number(items)} errors
          </li>`,
      )}
      ${
        begun !== null &&
        html`<li>
          <a href="/runs/${begun.run}">${begun.generation}: <code>${begun.run.slice(-6)}</code></a> is not
          complete
        </li>`
      }
    </ul>`;
}
