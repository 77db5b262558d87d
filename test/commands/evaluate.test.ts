import { describe, expect, it } from 'vitest';
import { evaluationLines, evaluationReport } from '../../src/commands/evaluate.ts';
import type { Evaluation } from '../../src/pipeline/finish-evaluate.ts';
import { EvaluationTally } from '../../src/pipeline/evaluation.ts';

const tally = new EvaluationTally(['cat', 'dog', 'emu']);
const scores = [0.5, 0.25, 0.25];
for (const [truth, ids] of [
  [0, [0, 1, 2]],
  [1, [0, 1, 2]],
  [1, [1, 0, 2]],
  [1, [0, 1, 2]],
  [2, [0, 1, 2]],
] as const) {
  tally.add({ truth, ids, scores });
}
const evaluation: Evaluation = {
  ...tally.report(),
  run: 'r-1',
  model: 'memory://m/best.safetensors',
  dataset: 'memory://dataset/',
  split: 'val',
  crops: 10,
  unreadable: 0,
};

describe('evaluationReport', () => {
  it('is the document of evaluate --json', () => {
    expect(evaluationReport(evaluation, 'memory://out/')).toEqual({
      items: 5,
      top1Error: 0.6,
      top5Error: 0,
      crops: 10,
      calibrationError: expect.closeTo(0.1) as number,
      unknownLabel: 0,
      unreadable: 0,
      run: 'r-1',
      out: 'memory://out/',
      model: 'memory://m/best.safetensors',
      split: 'val',
      confusion: 'memory://out/confusion.png',
      details: 'memory://out/evaluation.json',
    });
  });

  it('names no picture where there is none', () => {
    const report = evaluationReport({ ...evaluation, confusion: null }, 'memory://out/');
    expect(report['confusion']).toBeNull();
  });
});

describe('evaluationLines', () => {
  it('tells a person the figures, and the classes that are hardest', () => {
    expect(evaluationLines(evaluation)).toEqual([
      '5 images, 10 crops: top-1 error 60.00 %, top-5 error 0.00 %, calibration error 10.00 %',
      'lowest accuracy: emu 0.00 %, dog 33.33 %',
    ]);
  });

  it('says how many images could not be read, and names five classes at most', () => {
    const perClass = Array.from({ length: 9 }, (_, id) => ({ label: `c${id}`, items: 4, accuracy: id / 8 }));
    const lines = evaluationLines({ ...evaluation, crops: 1, unreadable: 1_200, perClass });
    expect(lines[0]).toMatch(/^5 images, centre crop: /);
    expect(lines.slice(1)).toEqual([
      '1,200 images could not be read',
      'lowest accuracy: c0 0.00 %, c1 12.50 %, c2 25.00 %, c3 37.50 %, c4 50.00 %',
    ]);
  });

  it('has no figures of no images', () => {
    const none = { ...evaluation, ...new EvaluationTally(['cat', 'dog']).report() };
    expect(evaluationLines(none)).toEqual([
      '0 images, 10 crops: top-1 error none, top-5 error none, calibration error none',
    ]);
  });
});
