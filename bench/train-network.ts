import type { TrainerSpec } from '../src/pipeline/engine/trainer.ts';
import type { ModelFacts } from '../src/pipeline/model/checkpoint.ts';
import { architectureOf, parameterGroups } from '../src/pipeline/recipe/architecture-of.ts';
import { recipeByName } from '../src/pipeline/recipe/recipes.ts';

/** What a recipe trains, in batches of one micro-batch, on pixels of no dataset. */
export function initialArchitecture(
  name: string,
  batchSize: number,
  classes: number,
): { readonly spec: TrainerSpec; readonly facts: ModelFacts } {
  const recipe = recipeByName(name);
  const architecture = architectureOf(recipe, classes);
  const { preprocessing } = architecture;
  const spec: TrainerSpec = {
    architecture,
    preprocessing,
    parameters: new Map(parameterGroups(recipe, architecture).map((group) => [group.name, group])),
    sgd: { momentum: recipe.momentum, nesterov: recipe.nesterov },
    labelSmoothing: recipe.labelSmoothing,
    colour: false,
    batchSize,
    microBatchSize: batchSize,
    seed: 0,
  };
  const labels = Array.from({ length: classes }, (_, index) => String(index));
  return { spec, facts: { architecture: architecture.name, labels, preprocessing } };
}
