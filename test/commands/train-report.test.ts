import { describe, expect, it } from 'vitest';
import { describeTrainRun, trainReport, type TrainFacts } from '../../src/commands/train-report.ts';
import { trainSummaryDocument } from '../../src/contract/training.ts';
import { fakeEpoch, fakeTrainRun } from '../support/fake-train-run.ts';

const run = fakeTrainRun();
const OUT = 'memory://run/';
const running: TrainFacts = { run, out: OUT, state: 'running', summary: null, epochs: [] };
const model = { model: 'best.safetensors', digest: 'sha256:33' };
const done: TrainFacts = {
  ...running,
  state: 'done',
  epochs: [fakeEpoch(1, 0.5, 0.4), fakeEpoch(2, 0.3, 0.2), fakeEpoch(3, 0.1, 0.2)],
  summary: {
    schema: trainSummaryDocument.id,
    run: run.run,
    epochs: 3,
    stoppedEarly: false,
    best: { epoch: 2, top1Error: 0.2, top5Error: 0.05, ...model },
    last: { epoch: 3, ...model },
    items: 300,
    startedAt: '2026-01-02T03:04:05.000Z',
    finishedAt: '2026-01-02T03:06:10.000Z',
    seconds: 125,
    imagesPerSecond: 2.4,
  },
};

describe('trainReport', () => {
  it('is the document of train --json: the first of the best epochs by the validation split', () => {
    expect(trainReport(done)).toEqual({
      run: run.run,
      state: 'done',
      out: OUT,
      recipe: 'alexnet-small',
      epochs: 3,
      best: {
        epoch: 2,
        top1Error: 0.2,
        top5Error: 0.05,
        model: 'memory://run/best.safetensors',
        digest: 'sha256:33',
      },
      stoppedEarly: false,
      seconds: 125,
      imagesPerSecond: 2.4,
    });
  });

  it('tells of a run in progress what is there', () => {
    const report = trainReport({ ...running, epochs: [fakeEpoch(1, 0.5, 0.4)] });
    expect(report).toMatchObject({ state: 'running', epochs: 1, seconds: null, stoppedEarly: null });
    expect(report).toMatchObject({ best: { epoch: 1, top1Error: 0.4 }, imagesPerSecond: 20 });
    expect(trainReport(running)).toMatchObject({ epochs: 0, best: null, imagesPerSecond: 0 });
  });

  it('goes by the training split where there is no other', () => {
    const epochs = [fakeEpoch(1, 0.5, null), fakeEpoch(2, 0.3, null)];
    expect(trainReport({ ...running, epochs })).toMatchObject({
      best: { epoch: 2, top1Error: 0.3, top5Error: 0.075 },
    });
  });
});

describe('describeTrainRun', () => {
  it('tells a person the same in four lines', () => {
    expect(describeTrainRun(done)).toBe(
      [
        `${run.run} done: alexnet-small, 3 of 3 epochs, 2 min 5 s`,
        'best:   epoch 2, top-1 error 20.00 %, memory://run/best.safetensors',
        'curves: memory://run/curves.png',
        'out:    memory://run/',
      ].join('\n'),
    );
  });

  it('names nothing that is not there yet', () => {
    expect(describeTrainRun(running)).toBe(
      `${run.run} running: alexnet-small, 0 of 3 epochs\nout:    memory://run/`,
    );
  });
});
