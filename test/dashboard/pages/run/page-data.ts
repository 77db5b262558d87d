import type { RunLabels } from '../../../../src/contract/api/labels.ts';
import type { RunDetail } from '../../../../src/contract/api/runs.ts';
import type { Run, RunSpec } from '../../../../src/contract/run.ts';
import type { RunPageData } from '../../../../src/dashboard/pages/run/page-data.ts';
import { runPage, type RunPageOptions } from '../../../../src/dashboard/pages/run/run-page.ts';
import type { DatasetView } from '../../../../src/dashboard/runs/dataset-view.ts';
import type { EvaluationView } from '../../../../src/dashboard/runs/evaluation-view.ts';
import { fakeRun } from '../../../support/fake-run.ts';
import { fakeEpochCommit } from '../../../support/fake-training.ts';
import { fakeTrainRun } from '../../../support/fake-train-run.ts';

type Kind = RunSpec['kind'];

export const NESTED = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XB';

/** Texts that somebody else chose; the same page with others has the same elements. */
export type Texts = (place: string) => string;
export const PLAIN: Texts = (place) => place;

function runOf(kind: Kind, text: Texts): Run {
  const { source, model } = fakeRun().spec;
  const labelled = { ...fakeRun().spec, source: { ...source, uri: text('source') } };
  const specs: Record<Kind, RunSpec> = {
    classify: {
      ...labelled,
      source: { uri: text('source'), include: [text('include')], exclude: [text('exclude')], limit: 7 },
      model: { ...model, uri: text('model'), labelsDigest: text('labels digest') },
    },
    evaluate: {
      ...labelled,
      kind: 'evaluate',
      dataset: { uri: text('dataset'), digest: 'sha256:22' },
      split: 'val',
    },
    prepare: {
      kind: 'prepare',
      source: { uri: text('source'), include: [], exclude: [] },
      shardSize: 1_000,
      shortSide: 256,
      encoding: 'jpeg',
      valFraction: 0.1,
      seed: 0,
    },
    train: { ...fakeTrainRun().spec, init: { uri: text('init'), digest: text('init digest') } },
  };
  return { ...fakeRun(), spec: specs[kind] };
}

/** What the API says of a run that is done, with errors. */
export function detailOf(kind: Kind, text: Texts = PLAIN, more: Partial<RunDetail> = {}): RunDetail {
  const { model: _model, ...document } = runOf(kind, text);
  return {
    overview: {
      run: document.run,
      kind,
      state: 'done',
      source: text('source'),
      out: text('out'),
      createdAt: document.createdAt,
      submittedBy: text('submitter'),
      items: 1_234_567,
      total: 1_234_567,
      errors: 12,
      progress: 1,
      imagesPerSecond: 512.3,
      etaSeconds: 0,
      finishedAt: '2026-01-02T04:04:05.000Z',
    },
    document,
    model: {
      uri: text('model'),
      architecture: text('architecture'),
      classes: 3,
      digest: text('model digest'),
    },
    failure: {
      schema: 'imagemill.failure/1',
      run: document.run,
      failedAt: document.createdAt,
      code: 'SHARDS_FAILED',
      message: text('failure'),
      shards: [{ shard: 3, message: text('shard failure') }],
    },
    shards: { planned: 1_300, committed: 1_235, planComplete: true },
    errorsByCode: kind === 'train' ? {} : { IMAGE_EMPTY: 8, IMAGE_TRUNCATED: 4 },
    stages: { fetch: 10, decode: 70, compute: 15, write: 5 },
    generations: 1,
    actions: ['retry-failed'],
    ...more,
  };
}

export function labelsOf(text: Texts = PLAIN, classes = 25): RunLabels {
  return {
    run: fakeRun().run,
    images: classes * 10,
    undescribedShards: 1,
    classes: Array.from({ length: classes }, (_, id) => ({ id, label: text(`class ${id}`), images: 10 })),
    others: { classes: 0, images: 0 },
    confidence: Array.from({ length: 20 }, (_, bin) => bin * bin),
    leastConfident: [
      {
        index: 4,
        uri: text('image'),
        label: text('class 1'),
        score: 0.1234,
        width: 3,
        height: 4,
        shard: 2,
        generation: 1,
      },
      { index: 5, label: text('class 2'), score: 0.2, width: 3, height: 4, shard: 2, generation: 0 },
    ],
  };
}

export function evaluationOf(text: Texts = PLAIN, classes = 3): EvaluationView {
  const labels = Array.from({ length: classes }, (_, id) => text(`class ${id}`));
  return {
    model: 'm',
    dataset: 'd',
    split: text('split'),
    crops: 10,
    items: 300,
    unreadable: 2,
    unknownLabel: 1,
    top1Error: 0.123,
    top5Error: 0.01,
    calibrationError: 0.05,
    classes,
    perClass: labels.map((label, id) => ({ label, items: 100, accuracy: id === 0 ? null : 0.9 })),
    matrix:
      classes > 30
        ? null
        : { labels, counts: labels.map((_, row) => labels.map((_, column) => row * column)) },
    confusedPairs: [{ truth: text('class 0'), label: text('class 1'), images: 5, share: 0.05 }],
    calibration: [
      { count: 0, confidence: null, accuracy: null },
      { count: 5, confidence: 0.9, accuracy: 0.8 },
    ],
    hasPicture: true,
  };
}

export function datasetOf(text: Texts = PLAIN, classes = 25): DatasetView {
  return {
    classes,
    perClass: Array.from({ length: classes }, (_, id) => ({
      name: text(`class ${id}`),
      train: 100 - id,
      val: 3,
    })),
    splits: { train: { items: 1_000, tars: 2, bytes: 1_536 }, val: { items: 75, tars: 1, bytes: 100 } },
    meanPixel: [120.4, 110, 100],
    eigenvalues: [400, 100, 25],
    errors: 1,
    duplicates: { contents: 2, items: 5, conflictingLabels: 1 },
    digest: text('digest'),
    warnings: ['1 image occurs under different labels'],
  };
}

/** Everything that a page of a run of this kind can show. */
export function dataOf(kind: Kind, text: Texts = PLAIN, more: Partial<RunPageData> = {}): RunPageData {
  const isLabelling = kind === 'classify' || kind === 'evaluate';
  const epoch = (number: number) => fakeEpochCommit(number, 0.5 / number, { worker: text('worker') });
  return {
    detail: detailOf(kind, text),
    family: {
      retryOf: { run: NESTED, generation: 1 },
      generations: [{ generation: 1, nested: NESTED, items: 12, labelled: 3, errors: 9 }],
      begun: { run: NESTED, generation: 2 },
    },
    shards: kind === 'train' ? null : { waiting: 5, active: 4, committed: 3, withErrors: 2, failed: 1 },
    labels: isLabelling ? labelsOf(text) : null,
    errorRows:
      kind === 'train'
        ? null
        : {
            rows: [{ uri: text('broken image'), code: 'IMAGE_EMPTY', message: text('fault') }],
            next: '0.1.2',
          },
    training: kind === 'train' ? { epochs: [epoch(1), epoch(2)], latest: null } : null,
    evaluation: kind === 'evaluate' ? evaluationOf(text) : null,
    dataset: kind === 'prepare' ? datasetOf(text) : null,
    ...more,
  };
}

export function pageOf(data: RunPageData, options: Partial<RunPageOptions> = {}): string {
  return runPage(data, {
    mayOperate: true,
    notice: null,
    errorsCursor: undefined,
    minibatch: { epoch: 2, step: 3 },
    ...options,
  }).text;
}

/** The words of a page, as a reader sees them. */
export function wordsOf(page: string): string {
  return page
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ');
}

/** Elements with the names of their attributes, in order: what no text may change. */
export function structureOf(page: string): string[] {
  const tags = page.match(/<[^>]*>/g) ?? [];
  return tags.map((tag) => tag.replace(/"[^"]*"/g, '""').replace(/\s+/g, ' '));
}
