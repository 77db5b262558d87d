import { expect } from 'vitest';
import { parametersOf } from '../../../src/pipeline/model/architecture.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { STEPS, type TrainingCase } from '../../reference/training/cases.ts';
import { errorsOf, type CaseResult, type TrainingReference } from './training-reference.ts';

const TOLERANCE = 1e-4;

/** What every case compares: all that PyTorch has, nothing left out. */
function namesOf({ spec }: TrainingCase): string[] {
  const kinds = ['gradient', 'velocity1', 'weight1', `velocity${STEPS}`, `weight${STEPS}`];
  const trained = parametersOf(spec.architecture).filter(({ name }) => spec.parameters.get(name)?.trained);
  return ['logits', ...trained.flatMap(({ name }) => kinds.map((kind) => `${kind}:${name}`))];
}

/** Logits, gradients, losses and states are those of PyTorch, to 1e-4. */
export function expectSame(
  training: TrainingCase,
  result: CaseResult,
  reference: TrainingReference,
  weights: StateDict,
): void {
  const names = namesOf(training);
  expect(Object.keys(reference.tensors).toSorted()).toEqual(names.toSorted());
  const errors = errorsOf(result, reference, weights);
  expect(errors.size).toBe(names.length + STEPS + 1);
  expect([...errors].filter(([, error]) => !(error <= TOLERANCE))).toEqual([]);
  for (const count of ['top1', 'top5'] as const) {
    expect(result.steps.map((step) => step[count])).toEqual(reference.steps.map((step) => step[count]));
    expect(result.evaluation[count]).toBe(reference.evaluation[count]);
  }
}
