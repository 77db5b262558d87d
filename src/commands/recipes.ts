import { EXIT } from '../contract/errors.ts';
import { describeRecipes, recipeByName } from '../pipeline/recipe/recipes.ts';
import { settingKeys } from '../pipeline/recipe/settings.ts';
import type { Context } from './context.ts';

/** `imagemill recipes [NAME]`: the recipes, or every setting of one with its value. */
export async function recipes(
  context: Context,
  name: string | undefined,
  options: { json: boolean },
): Promise<number> {
  if (name === undefined) {
    const lines = describeRecipes();
    context.stdout.write(options.json ? `${JSON.stringify(lines)}\n` : `${lines.join('\n')}\n`);
    return EXIT.done;
  }
  const recipe = recipeByName(name);
  if (options.json) {
    context.stdout.write(`${JSON.stringify(recipe)}\n`);
    return EXIT.done;
  }
  context.stdout.write(`${recipe.name}: ${recipe.source}\n\n`);
  for (const { key, expects, value, needs } of settingKeys(recipe)) {
    const shown = value === undefined ? `(needs ${needs})` : value;
    context.stdout.write(`  ${`${key}=${shown}`.padEnd(48)} ${expects}\n`);
  }
  return EXIT.done;
}
