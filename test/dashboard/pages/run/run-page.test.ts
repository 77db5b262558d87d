import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE } from '../../../../src/contract/errors.ts';
import { RUN_KINDS } from '../../../../src/contract/run.ts';
import { page } from '../../../../src/dashboard/pages/layout.ts';
import { html } from '../../../../src/dashboard/pages/markup.ts';
import { dataOf, detailOf, labelsOf, NESTED, pageOf, structureOf, wordsOf } from './page-data.ts';

const HOSTILE = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '\u202Egnp.exe',
  '</table></main>',
  '\u0000\u001b[2J\n',
  'x'.repeat(10_240),
  '🦊'.repeat(5_000),
];

describe('the page of a run', () => {
  it('keeps its form whatever anybody called their files, classes and workers', () => {
    const text = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 300 }));
    fc.assert(
      fc.property(fc.constantFrom(...RUN_KINDS), text, (kind, text) => {
        const made = pageOf(dataOf(kind, () => text));
        expect(structureOf(made)).toEqual(structureOf(pageOf(dataOf(kind, () => 'plain'))));
        // oxlint-disable-next-line no-control-regex
        expect(made).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u0000-\u0008]/);
      }),
      { numRuns: 60 },
    );
  });

  it.each(RUN_KINDS)('of a %s run stays light with a thousand names of ten kilobytes', (kind) => {
    const text = () => 'long '.repeat(2_048);
    const more = kind === 'classify' ? { labels: labelsOf((place) => place, 1_000) } : {};
    expect(pageOf(dataOf(kind, text)).length).toBeLessThan(60_000);
    expect(pageOf(dataOf(kind, (place) => place, more)).length).toBeLessThan(120_000);
  });

  it('says how it goes, what was submitted, and what it came to', () => {
    const words = wordsOf(pageOf(dataOf('classify')));
    for (const shown of [
      'classify M1C0XA done',
      '1,234,567 of 1,234,567',
      '512.3/s',
      'submitter',
      'decode 70 %',
      'IMAGE_EMPTY',
      ERROR_CATALOGUE.IMAGE_EMPTY.meaning,
      'broken image',
      'in 250 labelled images',
      '5 other classes 50',
      'The next 5 classes',
      'Without 1 shard of an earlier version',
      'committed, with errors 2',
      'imagemill status r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
      'conditional put',
      '1: M1C0XB labelled 3 of 12 errors',
    ]) {
      expect(words).toContain(shown);
    }
  });

  it('links to the run it retries, to its own generations, to queues, downloads and pictures', () => {
    const made = pageOf(dataOf('classify'));
    for (const href of [
      `/runs/${NESTED}`,
      '/queues/queue/plan',
      '/queues/queue/classify',
      '/api/v1/runs/r-01JD3ZQ8W5T9V2B6N4K7M1C0XA/download/results.parquet',
      '/runs/r-01JD3ZQ8W5T9V2B6N4K7M1C0XA?errors=0.1.2#errors',
    ]) {
      expect(made).toContain(`href="${href}"`);
    }
    const thumbnail = '/api/v1/runs/r-01JD3ZQ8W5T9V2B6N4K7M1C0XA/pictures/thumbnail/1/2/4';
    expect(made).toMatch(new RegExp(`<img\\s+src="${thumbnail}"\\s+alt="class 1: image"[^>]*loading="lazy"`));
    // One without a known location is called by its place.
    expect(made).toContain('alt="class 2: item 5 of shard 2"');
  });

  it('offers operators what may be done, as forms that need no script, and viewers nothing', () => {
    const running = dataOf('classify', undefined, {
      detail: detailOf('classify', undefined, { actions: ['cancel', 'resume'] }),
    });
    const made = pageOf(running);
    expect(made).toMatch(
      /<form\s+method="post"\s+action="\/runs\/r-01JD3ZQ8W5T9V2B6N4K7M1C0XA\/cancel"\s+data-confirm="Cancel this run\?/,
    );
    expect(made).toContain('/resume"');
    expect(pageOf(running, { mayOperate: false })).not.toContain('<form method="post"');
    expect(pageOf(running, { mayOperate: false })).not.toContain('/cancel"');
  });

  it('says why a run stopped short, and which shards have no result', () => {
    const words = wordsOf(pageOf(dataOf('prepare')));
    expect(words).toContain('SHARDS_FAILED failure');
    expect(words).toContain('1 of its shards without a result');
    expect(words).toContain('3 shard failure');
  });

  it('of a run whose directory is gone shows what the index knows', () => {
    const gone = detailOf('classify', undefined, {
      document: null,
      model: null,
      failure: null,
      shards: { planned: 0, committed: 0, planComplete: false },
      errorsByCode: {},
      stages: { fetch: 0, decode: 0, compute: 0, write: 0 },
      actions: [],
    });
    const overview = {
      ...gone.overview,
      state: 'unreadable',
      items: null,
      total: null,
      errors: null,
      progress: 0,
      imagesPerSecond: null,
      etaSeconds: null,
      finishedAt: null,
    } as const;
    const made = pageOf(
      dataOf('classify', undefined, {
        detail: { ...gone, overview },
        family: { retryOf: null, generations: [], begun: null },
        labels: null,
        errorRows: null,
        shards: { waiting: 0, active: 0, committed: 0, withErrors: 0, failed: 0 },
      }),
    );
    expect(wordsOf(made)).toContain('unreadable');
    expect(made).not.toMatch(/NaN|undefined|null|Infinity/);
  });

  it('of a training run says which epoch is best, and shows the batch that was asked for', () => {
    const made = pageOf(dataOf('train'));
    const words = wordsOf(made);
    expect(words).toContain('Best epoch 2: validation error 25.00 %');
    expect(words).toContain('outbest.safetensors');
    expect(made).toContain('/pictures/minibatch/2/3"');
    expect(made).toContain('?epoch=2&amp;step=2#minibatch');
    expect(made).toContain('?epoch=2&amp;step=4#minibatch');
    expect(made).not.toContain('/download/');
  });

  it('of a training run lets any step be asked for while their number is not known', () => {
    const latest = {
      epoch: 1,
      step: 0,
      steps: 0,
      loss: null,
      top1Error: null,
      learningRate: 0.01,
      imagesPerSecond: 0,
      phase: 'waiting',
    } as const;
    const made = pageOf(dataOf('train', undefined, { training: { epochs: [], latest } }));
    expect(made).toMatch(/<input[^>]*name="step"[^>]*>/);
    expect(made).not.toMatch(/<input[^>]*name="step"[^>]*max=/);
    expect(wordsOf(made)).toContain('Now waiting: epoch 1, step 0');
    expect(wordsOf(made)).not.toContain('step 0 of');
    const training = pageOf(
      dataOf('train', undefined, { training: { epochs: [], latest: { ...latest, steps: 25 } } }),
    );
    expect(training).toMatch(/<input[^>]*name="step"[^>]*max="24"/);
  });

  it('of an evaluation shows the matrix where it can be read', () => {
    const words = wordsOf(pageOf(dataOf('evaluate')));
    expect(words).toContain('Top 1 12.30 %');
    expect(words).toContain('1 image of classes that the model does not have');
    expect(words).toContain('rows are the truth');
  });

  it('of a dataset shows splits, the mean pixel, duplicates and warnings', () => {
    const words = wordsOf(pageOf(dataOf('prepare')));
    for (const shown of [
      'train 1,000 2 1.5 KB',
      '120.4, 110.0, 100.0',
      '2 images more than once, 5 in all, 1 under different labels',
      'occurs under different labels',
      'class 0 100 3',
    ]) {
      expect(words).toContain(shown);
    }
  });

  it.each(RUN_KINDS)('of a %s run has no script and no style that the policy would refuse', (kind) => {
    const made = page({
      title: 'x',
      identity: null,
      canSignOut: false,
      assets: '/assets/x',
      scripts: ['run'],
      styles: ['run'],
      body: html`${[]}`,
    }).concat(pageOf(dataOf(kind)));
    expect(made).not.toMatch(/ style="| on\w+="|javascript:|<script(?![^>]*src=)/);
  });
});
