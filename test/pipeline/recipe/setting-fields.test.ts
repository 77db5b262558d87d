import { describe, expect, it } from 'vitest';
import { ARCHITECTURE_NAMES } from '../../../src/pipeline/model/architectures.ts';
import { RECIPES } from '../../../src/pipeline/recipe/recipes.ts';
import { SETTING_FIELDS, variantDefaults } from '../../../src/pipeline/recipe/setting-fields.ts';
import { applySettings, settingKeys } from '../../../src/pipeline/recipe/settings.ts';

const base = RECIPES['alexnet-2012'];

describe('settingKeys', () => {
  it('lists every key once, with what it expects, its value and what it needs', () => {
    const keys = settingKeys(base);
    expect(new Set(keys.map(({ key }) => key)).size).toBe(keys.length);
    expect(keys).toContainEqual({
      key: 'learningRate',
      expects: 'a number above 0',
      value: '0.01',
      needs: undefined,
    });
    expect(keys).toContainEqual({
      key: 'schedule.factor',
      expects: 'a number from 0 to 1',
      value: '0.1',
      needs: 'schedule.kind=plateau or steps',
    });
    expect(keys).toContainEqual({
      key: 'augmentation.crop.area',
      expects: 'a number above 0 and a number above 0, separated by a comma',
      value: undefined,
      needs: 'augmentation.crop.kind=random-resized-crop',
    });
    expect(keys).toContainEqual(expect.objectContaining({ key: 'freeze', value: '' }));
  });

  it('covers every value of a recipe but its name and source', () => {
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.entries(value).flatMap(([name, part]) =>
            leaves(part, path === '' ? name : `${path}.${name}`),
          )
        : [path];
    for (const name of ARCHITECTURE_NAMES) {
      const listed = settingKeys(RECIPES[name]).flatMap(({ key, value }) =>
        value === undefined ? [] : [key],
      );
      expect(['name', 'source', ...listed].sort()).toEqual(leaves(RECIPES[name], '').sort());
    }
  });
});

describe('variantDefaults', () => {
  it('are valid for every variant of the schema', () => {
    const choices = SETTING_FIELDS.flatMap(({ chooses, type }) =>
      chooses !== undefined && type.kind === 'choice'
        ? type.options.map((kind) => [chooses, kind] as const)
        : [],
    );
    expect(choices).toHaveLength(7);
    for (const [part, kind] of choices) {
      expect(variantDefaults(base, part, kind)).toHaveProperty('kind', kind);
      expect(applySettings(RECIPES['alexnet-owt'], [`${part}.kind=${kind}`])).toMatchObject(
        part === 'schedule' ? { schedule: { kind } } : { augmentation: { crop: { kind } } },
      );
    }
    expect(() => variantDefaults(base, 'schedule', 'linear')).toThrow('schedule: no defaults for "linear"');
  });
});
