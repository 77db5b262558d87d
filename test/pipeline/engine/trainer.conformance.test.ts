import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parametersOf } from '../../../src/pipeline/model/architecture.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import {
  initialWeights,
  STEPS,
  TRAINING_CASES,
  trainingCase,
  type TrainingCase,
} from '../../reference/training/cases.ts';
import { writeCase } from '../../reference/training/write-cases.ts';
import { titleNeeding } from '../../support/needs.ts';
import {
  errorsOf,
  readTrainingReference,
  runCase,
  type CaseResult,
  type TrainingReference,
} from './training-reference.ts';
import { FORMS } from './training-support.ts';

const TOLERANCE = 1e-4;
const REFERENCES = new URL('../../reference/training/', import.meta.url).pathname;

/** Debian's Python, where python3-torch lives. */
const PYTHON = '/usr/bin/python3';
const hasTorch = spawnSync(PYTHON, ['-c', 'import torch, numpy']).status === 0;

/** What every case compares: all that PyTorch has, nothing left out. */
function namesOf({ spec }: TrainingCase): string[] {
  const kinds = ['gradient', 'velocity1', 'weight1', `velocity${STEPS}`, `weight${STEPS}`];
  const trained = parametersOf(spec.architecture).filter(({ name }) => spec.parameters.get(name)?.trained);
  return ['logits', ...trained.flatMap(({ name }) => kinds.map((kind) => `${kind}:${name}`))];
}

function expectSame(
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

describe.each(TRAINING_CASES)('$name: logits, gradients and ten steps of PyTorch', (training) => {
  const reference = readTrainingReference(join(REFERENCES, `${training.name}.json`));
  /** Drawing sixty million weights takes seconds: once for both forms. */
  let drawn: StateDict | undefined;

  for (const { title, form, present } of FORMS) {
    it.skipIf(!present)(
      titleNeeding('an x64 processor', present, `to 1e-4 with ${title}`),
      { timeout: 300_000 },
      async () => {
        drawn ??= initialWeights(training);
        expectSame(training, await runCase(training, form, drawn, reference), reference, drawn);
      },
    );
  }
});

it.skipIf(!hasTorch)(
  titleNeeding('PyTorch', hasTorch, 'the script that makes the references agrees on weights it never saw'),
  { timeout: 120_000 },
  async () => {
    const known = trainingCase('odd-sizes');
    const training = { ...known, spec: { ...known.spec, seed: 2 ** 40 + 3 } };
    const folder = mkdtempSync(join(tmpdir(), 'imagemill-training-'));
    try {
      const results = join(folder, 'results');
      mkdirSync(results);
      writeCase(folder, training);
      const script = join(REFERENCES, 'make-reference.py');
      const run = spawnSync(PYTHON, [script, '--into', results, folder, training.name]);
      expect(run.status, run.stderr.toString()).toBe(0);
      const reference = readTrainingReference(join(results, `${training.name}.json`));
      const weights = initialWeights(training);
      for (const { form } of FORMS.filter(({ present }) => present)) {
        expectSame(training, await runCase(training, form, weights, reference), reference, weights);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
