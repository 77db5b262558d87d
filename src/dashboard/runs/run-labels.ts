import { CLASSES_LISTED_MAX, type RunLabels } from '../../contract/api/labels.ts';
import {
  LISTED_LABEL_CHARS_MAX,
  type LeastConfidentOfRun,
  type Statistics,
} from '../../contract/label-statistics.ts';
import { isLabelRun } from '../../contract/run.ts';
import type { WatchedRun } from '../catalogue/watched-run.ts';
import { requireKind } from '../catalogue/run-catalogue.ts';
import { withinBudget } from './within-budget.ts';

/**
 * What the labels of a run look like: from its summary where it is done, else from the commits that were read.
 * @throws ImagemillError RUN_NOT_FOUND where the run labels no images, STORE_*, CONTRACT_*
 */
export async function runLabels(watched: WatchedRun): Promise<RunLabels> {
  requireKind(watched, ['classify', 'evaluate']);
  const run = await watched.document();
  await withinBudget(watched.refreshWhole());
  const merged = watched.summary?.labels;
  return describeLabels({
    run: run.run,
    names: isLabelRun(run) ? run.model.labels : [],
    statistics: merged ?? watched.labels.statistics(),
    undescribedShards: merged === undefined ? watched.labels.undescribedShards : 0,
  });
}

/** @param names of the model's classes, by index */
export function describeLabels({
  run,
  names,
  statistics,
  undescribedShards,
}: {
  run: string;
  names: readonly string[];
  statistics: Statistics<LeastConfidentOfRun>;
  undescribedShards: number;
}): RunLabels {
  const classes = Object.entries(statistics.classes)
    .map(([id, images]) => ({ id: Number(id), label: nameOf(names, Number(id)), images }))
    .sort((a, b) => b.images - a.images || a.id - b.id);
  const listed = classes.slice(0, CLASSES_LISTED_MAX);
  const images = sum(classes.map((entry) => entry.images));
  return {
    run,
    images,
    undescribedShards,
    classes: listed,
    others: {
      classes: classes.length - listed.length,
      images: images - sum(listed.map((entry) => entry.images)),
    },
    confidence: statistics.confidence,
    leastConfident: statistics.leastConfident,
  };
}

function nameOf(names: readonly string[], id: number): string {
  return (names[id] ?? `class ${id}`).slice(0, LISTED_LABEL_CHARS_MAX);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
