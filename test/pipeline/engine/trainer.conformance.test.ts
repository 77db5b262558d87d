import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { initialWeights, TRAINING_CASES, trainingCase } from '../../reference/training/cases.ts';
import { writeCase } from '../../reference/training/write-cases.ts';
import { titleNeeding } from '../../support/needs.ts';
import { ENGINES } from './conformance-engines.ts';
import { expectSame } from './expect-reference.ts';
import { readTrainingReference, runCase } from './training-reference.ts';

const REFERENCES = new URL('../../reference/training/', import.meta.url).pathname;

/** Debian's Python, where python3-torch lives. */
const PYTHON = '/usr/bin/python3';
const hasTorch = spawnSync(PYTHON, ['-c', 'import torch, numpy']).status === 0;

describe.each(TRAINING_CASES)('$name: logits, gradients and ten steps of PyTorch', (training) => {
  const reference = readTrainingReference(join(REFERENCES, `${training.name}.json`));
  /** Drawing sixty million weights takes seconds: once for all engines. */
  let drawn: StateDict | undefined;

  for (const engine of ENGINES) {
    const { title, needs, present } = engine;
    it.skipIf(!present)(
      titleNeeding(needs, present, `to 1e-4 with ${title}`),
      { timeout: 300_000 },
      async () => {
        drawn ??= initialWeights(training);
        expectSame(training, await runCase(training, engine, drawn, reference), reference, drawn);
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
      for (const engine of ENGINES.filter(({ present }) => present)) {
        expectSame(training, await runCase(training, engine, weights, reference), reference, weights);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
