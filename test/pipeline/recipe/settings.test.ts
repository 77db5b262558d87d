import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { recipeSchema, type Recipe } from '../../../src/contract/recipe.ts';
import { ARCHITECTURE_NAMES } from '../../../src/pipeline/model/architectures.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';
import { SETTING_FIELDS } from '../../../src/pipeline/recipe/setting-fields.ts';
import type { SettingType } from '../../../src/pipeline/recipe/setting-value.ts';
import { applySettings, settingKeys } from '../../../src/pipeline/recipe/settings.ts';

const base = RECIPES['alexnet-2012'];

/** Texts that often fit the type. */
function textOf(type: SettingType): fc.Arbitrary<string> {
  switch (type.kind) {
    case 'number':
      return type.integer
        ? fc.integer({ min: 1, max: 128 }).map(String)
        : fc.double({ min: 0, max: 1, noNaN: true }).map(String);
    case 'boolean':
      return fc.boolean().map(String);
    case 'choice':
      return fc.constantFrom(...type.options);
    case 'list':
      return fc.subarray(['features', 'features.0', 'classifier', 'avgpool']).map((names) => names.join(','));
    default:
      return fc.tuple(...type.items.map(textOf)).map((texts) => texts.sort().join(','));
  }
}

function messageOf(recipe: Recipe, ...settings: string[]): string {
  try {
    applySettings(recipe, settings);
  } catch (error) {
    expect(error).toBeInstanceOf(ImagemillError);
    expect(error).toHaveProperty('code', 'RECIPE_INVALID');
    return (error as Error).message;
  }
  throw new Error(`nothing was wrong with ${settings.join(' ')}`);
}

describe('applySettings', () => {
  it('sets numbers, booleans, choices, lists and ranges, and leaves the recipe alone', () => {
    const before = structuredClone(RECIPES['alexnet-owt']);
    const recipe = applySettings(RECIPES['alexnet-owt'], [
      'learningRate=2e-2',
      'augmentation.rotationDegrees = 10',
      'nesterov=true',
      'activation=tanh',
      'freeze=features.0, classifier',
      'augmentation.crop.area=.25,1',
      'biases.weightDecay=0',
    ]);
    expect(recipe).toMatchObject({
      learningRate: 0.02,
      nesterov: true,
      activation: 'tanh',
      freeze: ['features.0', 'classifier'],
      biases: { learningRate: 1, weightDecay: 0 },
      augmentation: { rotationDegrees: 10, crop: { area: [0.25, 1], aspectRatio: [0.75, 4 / 3] } },
    });
    expect(recipeSchema.parse(recipe)).toEqual(recipe);
    expect(RECIPES['alexnet-owt']).toEqual(before);
  });

  it('changes nothing without settings, or with the values there are', () => {
    for (const name of ARCHITECTURE_NAMES) {
      const recipe = RECIPES[name];
      const same = settingKeys(recipe).flatMap(({ key, value }) =>
        value === undefined ? [] : [`${key}=${value}`],
      );
      expect(same.length).toBeGreaterThan(20);
      expect(applySettings(recipe, [])).toEqual(recipe);
      expect(applySettings(recipe, same)).toEqual(recipe);
    }
  });

  it('says in the source what differs from the recipe of that name, however often it is changed', () => {
    const once = applySettings(base, ['epochs=10', 'learningRate=0.02']);
    expect(once.source).toBe(`${base.source}; with epochs=10, learningRate=0.02`);
    expect(once).toEqual(applySettings(applySettings(base, ['learningRate=0.02']), ['epochs=10']));
    expect(applySettings(once, ['epochs=90', 'learningRate=0.01'])).toEqual(base);
    const own = { ...base, source: 'measured in our laboratory' };
    expect(applySettings(own, ['epochs=3']).source).toBe('measured in our laboratory; with epochs=3');
  });

  it('does not depend on the order of settings, but the later of two counts', () => {
    const settings = [
      'schedule.epochs=7',
      'schedule.kind=steps',
      'batchSize=32',
      'augmentation.crop.kind=center-crop',
    ];
    expect(applySettings(base, settings)).toEqual(applySettings(base, settings.toReversed()));
    expect(applySettings(base, ['epochs=5', 'epochs=6']).epochs).toBe(6);
  });

  it.each([
    ['schedule.kind=constant', { kind: 'constant' }],
    ['schedule.kind=steps', { kind: 'steps', factor: 0.1, epochs: 30 }],
    ['schedule.kind=cosine', { kind: 'cosine', final: 0 }],
    ['schedule.kind=plateau', { kind: 'plateau', factor: 0.1, patience: 5, drops: 3 }],
  ])('%s starts with defaults', (setting, schedule) => {
    expect(applySettings(base, [setting]).schedule).toEqual(schedule);
  });

  it('keeps the values of a variant that is chosen again', () => {
    const recipe = applySettings(base, ['schedule.patience=2']);
    expect(applySettings(recipe, ['schedule.kind=plateau', 'schedule.drops=1']).schedule).toEqual({
      kind: 'plateau',
      factor: 0.1,
      patience: 2,
      drops: 1,
    });
  });

  it('starts a crop with the size there was, else with that of the architecture', () => {
    const crop = (recipe: Recipe, ...settings: string[]): object =>
      applySettings(recipe, settings).augmentation.crop;
    expect(crop(base, 'augmentation.crop.resizeTo=300', 'augmentation.crop.kind=center-crop')).toEqual({
      kind: 'center-crop',
      resizeTo: 300,
    });
    expect(crop(RECIPES['alexnet-small'], 'augmentation.crop.kind=center-crop')).toHaveProperty(
      'resizeTo',
      72,
    );
    expect(crop(RECIPES['alexnet-owt'], 'augmentation.crop.kind=random-crop')).toHaveProperty(
      'resizeTo',
      256,
    );
    expect(
      crop(RECIPES['alexnet-owt'], 'augmentation.crop.kind=random-crop', 'architecture=alexnet-small'),
    ).toHaveProperty('resizeTo', 64);
    expect(crop(base, 'augmentation.crop.kind=random-resized-crop')).toEqual({
      kind: 'random-resized-crop',
      area: [0.08, 1],
      aspectRatio: [0.75, 4 / 3],
    });
  });

  it.each([
    ['batchSize=256', 64],
    ['batchSize=100', 50],
    ['batchSize=32', 32],
    ['batchSize=131', 1],
  ])('%s alone takes the largest micro-batch that divides it: %d', (setting, microBatchSize) => {
    expect(applySettings(base, [setting]).microBatchSize).toBe(microBatchSize);
  });
});

describe('applySettings refuses', () => {
  it.each([
    ['learningRate=0', 'learningRate: expected a number above 0, got "0"'],
    ['learningRate=1e999', 'learningRate: expected a number above 0, got "1e999"'],
    ['learningRate=NaN', 'learningRate: expected a number above 0, got "NaN"'],
    ['learningRate=0x10', 'learningRate: expected a number above 0, got "0x10"'],
    ['learningRate=', 'learningRate: expected a number above 0, got ""'],
    ['learningRate=0,1', 'learningRate: expected a number above 0, got "0,1"'],
    ['batchSize=1.5', 'batchSize: expected a whole number from 1 to 65536, got "1.5"'],
    ['batchSize=65537', 'batchSize: expected a whole number from 1 to 65536, got "65537"'],
    ['earlyStopping=-1', 'earlyStopping: expected a whole number of 0 or more, got "-1"'],
    ['dropout=1', 'dropout: expected a number from 0 to 0.99, got "1"'],
    ['nesterov=yes', 'nesterov: expected true or false, got "yes"'],
    ['activation=gelu', 'activation: expected one of relu, tanh, got "gelu"'],
    ['schedule.kind=linear', 'schedule.kind: expected one of constant, plateau, steps, cosine, got "linear"'],
    ['freeze=features,', 'freeze: expected names separated by commas, got "features,"'],
    ['epochs', 'expected KEY=VALUE, got "epochs"'],
    ['=3', 'expected KEY=VALUE, got "=3"'],
    ['schedule.epochs=3', 'schedule.epochs: needs schedule.kind=steps, got plateau'],
    [
      'augmentation.crop.area=0.1,1',
      'augmentation.crop.area: needs augmentation.crop.kind=random-resized-crop, got random-crop',
    ],
    [
      'warmupEpochs=91',
      'recipe alexnet-2012: warmupEpochs: expected at most the number of epochs (90), got 91',
    ],
    [
      'microBatchSize=48',
      'recipe alexnet-2012: microBatchSize: expected a divisor of batchSize (128), got 48; the next below is 32',
    ],
    [
      'freeze=feature',
      'recipe alexnet-2012: freeze: expected a block of alexnet-2012 with parameters (features, classifier) or the ' +
        'first parts of a parameter\'s name (features.0.weight), got "feature"; did you mean features?',
    ],
    [
      'freeze=features,classifier',
      'recipe alexnet-2012: freeze: expected a parameter that is left to train, got none',
    ],
  ])('%s', (setting, message) => {
    expect(messageOf(base, setting)).toBe(message);
  });

  it.each([
    ['area=1,0.08', 'augmentation.crop.area: expected the lower bound first, got 1,0.08'],
    [
      'area=0.5,1.5',
      'recipe alexnet-owt: augmentation.crop.area: expected parts of the image, at most 1, got 1.5',
    ],
    [
      'area=0.08',
      'augmentation.crop.area: expected a number above 0 and a number above 0, separated by a comma, got "0.08"',
    ],
    [
      'aspectRatio=0,1',
      'augmentation.crop.aspectRatio: expected a number above 0 and a number above 0, separated by a comma, got "0,1"',
    ],
  ])('augmentation.crop.%s', (setting, message) => {
    expect(messageOf(RECIPES['alexnet-owt'], `augmentation.crop.${setting}`)).toBe(message);
  });

  it('blocks without parameters, layers without parameters, and names of another architecture', () => {
    for (const name of ['flatten', 'classifier.2', 'features.1']) {
      expect(messageOf(base, `freeze=${name}`)).toContain(`got "${name}"`);
    }
    // The last convolution of alexnet-2012, a pooling layer in alexnet-owt.
    expect(applySettings(base, ['freeze=features.12']).freeze).toEqual(['features.12']);
    expect(messageOf(base, 'freeze=features.12', 'architecture=alexnet-owt')).toContain(
      'a block of alexnet-owt',
    );
  });

  it('unknown keys, with what was probably meant and what there is', () => {
    const message = messageOf(base, 'learningrate=1', 'schedule=cosine', 'name=mine', 'toString=1');
    expect(message).toMatch(
      /^expected a known setting, got "learningrate" \(did you mean learningRate\?\), "schedule", "name", "toString"; known: architecture, activation, dropout, /,
    );
    const known = message.split('known: ')[1]?.split(', ');
    expect(known).toEqual(settingKeys(base).map(({ key }) => key));
    expect(messageOf(base, 'rotationDegrees=1')).toContain('did you mean augmentation.rotationDegrees?');
  });

  it('everything at once, not only the first fault', () => {
    const message = messageOf(base, 'dropout=2', 'nonsense', 'warp=1', 'schedule.final=0');
    expect(message.split('; ')).toHaveLength(5);
    for (const part of ['dropout:', '"nonsense"', '"warp"', 'schedule.final: needs schedule.kind=cosine']) {
      expect(message).toContain(part);
    }
  });

  it('or accepts any text: never another error, never an invalid recipe', () => {
    const setting = fc
      .constantFrom(...SETTING_FIELDS)
      .chain(({ key, type }) =>
        fc
          .oneof({ weight: 4, arbitrary: textOf(type) }, { weight: 1, arbitrary: fc.string() })
          .map((text) => `${key}=${text}`),
      );
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...ARCHITECTURE_NAMES),
        fc.array(setting, { minLength: 1, maxLength: 3 }),
        (name, settings) => {
          try {
            const recipe = applySettings(RECIPES[name], settings);
            expect(recipeSchema.strict().parse(recipe)).toEqual(recipe);
            expect(recipe.batchSize % recipe.microBatchSize).toBe(0);
            expect(applySettings(recipe, [])).toEqual(recipe);
            accepted += 1;
          } catch (error) {
            if (!(error instanceof ImagemillError)) throw error;
            expect(error.code).toBe('RECIPE_INVALID');
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});
