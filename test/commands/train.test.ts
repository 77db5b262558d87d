import { describe, expect, it } from 'vitest';
import type { TrainProgress } from '../../src/contract/training.ts';
import { asTrainRun, formatTrainProgress, settingsOf } from '../../src/commands/train.ts';
import { recipeByName } from '../../src/pipeline/recipe/recipes.ts';
import { applySettings } from '../../src/pipeline/recipe/settings.ts';
import { fakeRun } from '../support/fake-run.ts';
import { fakeTrainRun } from '../support/fake-train-run.ts';

describe('settingsOf', () => {
  it('makes settings of --epochs and --batch-size, which count more than --set', () => {
    const options = { set: ['momentum=0.5', 'epochs=9', 'batchSize=8'], epochs: 4, batchSize: 6 };
    expect(settingsOf(options)).toEqual([...options.set, 'epochs=4', 'batchSize=6']);
    const recipe = applySettings(recipeByName('alexnet-small'), settingsOf(options));
    expect(recipe).toMatchObject({ epochs: 4, batchSize: 6, momentum: 0.5 });
  });

  it('leaves the recipe as it is where nothing is given', () => {
    expect(settingsOf({ set: [] })).toEqual([]);
  });
});

describe('formatTrainProgress', () => {
  const progress: TrainProgress = {
    epoch: 2,
    step: 150,
    steps: 469,
    loss: 0.123_45,
    top1Error: 0.0412,
    learningRate: 0.029_87,
    imagesPerSecond: 1_234.5,
    phase: 'training',
  };

  it('shows the step, its figures and the rate', () => {
    expect(formatTrainProgress(progress)).toBe(
      'epoch 2 · step 150/469 · loss 0.1235 · error 4.12 % · rate 0.0299 · 1235 images/s',
    );
  });

  it('has no figures before the first step', () => {
    expect(
      formatTrainProgress({ ...progress, step: 0, loss: null, top1Error: null, imagesPerSecond: 0 }),
    ).toBe('epoch 2 · step 0/469 · 0 images/s');
  });

  it.each(['waiting', 'validating', 'yielding'] as const)('says what else goes on: %s', (phase) => {
    expect(formatTrainProgress({ ...progress, phase })).toBe(`epoch 2 · ${phase}`);
  });
});

describe('asTrainRun', () => {
  it('gives a training run, and refuses another by its kind', () => {
    const run = fakeTrainRun();
    expect(asTrainRun(run)).toBe(run);
    expect(() => asTrainRun(fakeRun())).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `expected a training run, got ${fakeRun().run}, a classify run`,
      }),
    );
  });
});
