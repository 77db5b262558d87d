import { ImagemillError } from '../../contract/errors.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { parametersOf } from '../model/architecture.ts';
import { architectureOf, coversParameter } from './architecture-of.ts';
import { nearestName } from './nearest-name.ts';
import { quote } from './setting-value.ts';

/**
 * What the schema of a recipe cannot say, since it concerns several values at once.
 * @throws ImagemillError RECIPE_INVALID with every fault
 */
export function checkRecipe(recipe: Recipe): void {
  const faults = [batchFault(recipe), warmupFault(recipe), areaFault(recipe), ...freezeFaults(recipe)].filter(
    (fault) => fault !== undefined,
  );
  if (faults.length > 0) {
    throw new ImagemillError('RECIPE_INVALID', `recipe ${recipe.name}: ${faults.join('; ')}`);
  }
}

/** The largest divisor of `batchSize` that is not above `limit`. */
export function largestDivisor(batchSize: number, limit: number): number {
  let divisor = Math.min(batchSize, limit);
  while (batchSize % divisor !== 0) divisor -= 1;
  return divisor;
}

function batchFault({ batchSize, microBatchSize }: Recipe): string | undefined {
  if (batchSize % microBatchSize === 0) return undefined;
  return (
    `microBatchSize: expected a divisor of batchSize (${batchSize}), got ${microBatchSize}; ` +
    `the next below is ${largestDivisor(batchSize, microBatchSize)}`
  );
}

function warmupFault({ warmupEpochs, epochs }: Recipe): string | undefined {
  if (warmupEpochs <= epochs) return undefined;
  return `warmupEpochs: expected at most the number of epochs (${epochs}), got ${warmupEpochs}`;
}

function areaFault({ augmentation: { crop } }: Recipe): string | undefined {
  if (crop.kind !== 'random-resized-crop' || crop.area[1] <= 1) return undefined;
  return `augmentation.crop.area: expected parts of the image, at most 1, got ${crop.area[1]}`;
}

function freezeFaults(recipe: Recipe): string[] {
  if (recipe.freeze.length === 0) return [];
  const names = parametersOf(architectureOf(recipe, 2)).map(({ name }) => name);
  const known = [...new Set(names.flatMap(prefixes))];
  const faults = recipe.freeze
    .filter((prefix) => !known.includes(prefix))
    .map((prefix) => {
      const near = nearestName(prefix, known);
      const blocks = known.filter((name) => !name.includes('.'));
      return (
        `freeze: expected a block of ${recipe.architecture} with parameters (${blocks.join(', ')}) or the first parts ` +
        `of a parameter's name (${names[0]}), got ${quote(prefix)}${near === undefined ? '' : `; did you mean ${near}?`}`
      );
    });
  const allFrozen = names.every((name) => recipe.freeze.some((prefix) => coversParameter(prefix, name)));
  return allFrozen ? [...faults, 'freeze: expected a parameter that is left to train, got none'] : faults;
}

/** `a`, `a.0` and `a.0.weight` of `a.0.weight`. */
function prefixes(name: string): string[] {
  const parts = name.split('.');
  return parts.map((_, index) => parts.slice(0, index + 1).join('.'));
}
