import { describe, expect, it } from 'vitest';
import type { Training } from '../../../src/contract/api/training.ts';
import type { StepMetrics, TrainProgress } from '../../../src/contract/training.ts';
import { curvesOf } from '../../../src/dashboard/browser/curves.ts';
import { fakeEpochCommit } from '../../support/fake-training.ts';

const step = (epoch: number, step: number): StepMetrics => ({
  epoch,
  step,
  loss: epoch + step / 10,
  top1Error: 0.5,
  top5Error: 0.1,
  learningRate: 0.01,
  imagesPerSecond: 100,
  dataWaitShare: 0.2,
});
const live = (epoch: number, step: number): TrainProgress => ({
  epoch,
  step,
  steps: 10,
  loss: 9,
  top1Error: 0.4,
  learningRate: 0.02,
  imagesPerSecond: 90,
  phase: 'training',
});
const training = (more: Partial<Training> = {}): Training => ({
  epochs: 3,
  stepsPerEpoch: 10,
  done: [fakeEpochCommit(1, 0.25)],
  steps: [step(1, 4), step(1, 9), step(2, 0)],
  latest: null,
  ...more,
});

describe('curves', () => {
  it('count in epochs; the last step of one and the epoch itself are one point', () => {
    const curves = curvesOf(training(), []);
    expect(curves.x).toEqual([0.5, 1, 1.1]);
    expect(curves.stepLoss).toEqual([1.4, 1.9, 2]);
    expect(curves.validationTop1).toEqual([null, 0.25, null]);
    expect(curves.dataWait).toEqual([0.2, 0.2, 0.2]);
  });

  it('go on with what was reported since, and not with what is committed by now', () => {
    const curves = curvesOf(training(), [live(1, 7), live(2, 1), live(2, 5)]);
    expect(curves.x).toEqual([0.5, 1, 1.1, 1.5]);
    expect(curves.stepLoss.at(-1)).toBe(9);
    for (const column of Object.values(curves)) expect(column).toHaveLength(4);
  });

  it('of a run without a validation split, or without a step, have gaps', () => {
    const done = [{ ...fakeEpochCommit(1, 0), validation: null }];
    expect(curvesOf(training({ done }), []).validationLoss).toEqual([null, null, null]);
    expect(curvesOf(training({ done: [], steps: [], stepsPerEpoch: null }), []).x).toEqual([]);
    // How many steps an epoch has is not known before it has reported once.
    expect(curvesOf(training({ done: [], stepsPerEpoch: null }), []).x).toEqual([]);
  });
});
