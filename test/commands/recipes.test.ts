import { describe, expect, it } from 'vitest';
import { recipeByName, RECIPES } from '../../src/pipeline/recipe/recipes.ts';
import { applySettings, settingKeys } from '../../src/pipeline/recipe/settings.ts';
import { runProgram } from '../support/program.ts';

const NAMES = Object.keys(RECIPES);

describe('imagemill recipes', () => {
  it('lists the recipes with their sources', async () => {
    const { code, stdout } = await runProgram(['recipes']);
    const lines = stdout.trimEnd().split('\n');
    expect([code, lines.map((line) => line.split(' ')[0])]).toEqual([0, NAMES]);
    expect(lines[0]).toContain('Krizhevsky');
    expect(JSON.parse((await runProgram(['recipes', '--json'])).stdout)).toEqual(lines);
  });

  it.each(NAMES)('shows every setting of %s as it would be typed', async (name) => {
    const { code, stdout } = await runProgram(['recipes', name]);
    expect(code).toBe(0);
    const recipe = recipeByName(name);
    const lines = stdout.split('\n').filter((line) => line.startsWith('  '));
    expect(lines).toHaveLength(settingKeys(recipe).length);
    const settings = lines
      .map((line) => line.trim().split(/ {2,}| (?=a |one |true |names )/)[0] ?? '')
      .filter((setting) => !setting.includes('(needs'));
    // What is shown, given back with --set, changes nothing.
    expect(applySettings(recipe, settings)).toEqual(recipe);
    expect(stdout).toContain('(needs schedule.kind=');
  });

  it('prints a recipe as JSON', async () => {
    const { stdout } = await runProgram(['recipes', 'alexnet-2012', '--json']);
    expect(JSON.parse(stdout)).toEqual(recipeByName('alexnet-2012'));
  });

  it('suggests the name that was meant', async () => {
    await expect(runProgram(['recipes', 'alexnet-smal'])).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      message: expect.stringContaining('did you mean alexnet-small?') as string,
    });
  });
});
