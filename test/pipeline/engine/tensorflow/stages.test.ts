import { describe, expect, it } from 'vitest';
import { createArchitecture } from '../../../../src/pipeline/model/architectures.ts';
import { parametersOf } from '../../../../src/pipeline/model/architecture.ts';
import { parameterOf, planStages } from '../../../../src/pipeline/engine/tensorflow/stages.ts';
import { trainingCase } from '../../../reference/training/cases.ts';

const kinds = (name: Parameters<typeof createArchitecture>[0]): string[] =>
  planStages(createArchitecture(name, { classes: 10 })).map(({ kind }) => kind);

describe('planStages', () => {
  it('pools before bias and activation, and leaves out what changes nothing', () => {
    const first = ['convolution', 'maxPool', 'bias', 'relu', 'convolution', 'maxPool', 'bias', 'relu'];
    expect(kinds('alexnet-owt').slice(0, 8)).toEqual(first);
    expect(kinds('alexnet-owt')).not.toContain('averagePool');
    const [, pool, bias] = planStages(createArchitecture('alexnet-owt', { classes: 10 }));
    expect(pool?.input).toEqual([64, 55, 55]);
    expect(bias?.input).toEqual([64, 27, 27]);
  });

  it('leaves pooling where a normalisation comes before it', () => {
    expect(kinds('alexnet-2012').slice(0, 5)).toEqual(['convolution', 'bias', 'relu', 'lrn', 'maxPool']);
  });

  it.each(['alexnet-2012', 'alexnet-owt', 'alexnet-small'] as const)(
    'reads every parameter of %s once',
    (name) => {
      const architecture = createArchitecture(name, { classes: 10 });
      const read = planStages(architecture).map(parameterOf);
      expect(read.filter((parameter) => parameter !== null)).toEqual(
        parametersOf(architecture).map((parameter) => parameter.name),
      );
    },
  );

  it('numbers dropout layers as their masks are numbered', () => {
    const { architecture } = trainingCase('odd-sizes').spec;
    const masks = planStages(architecture).flatMap((stage) =>
      stage.kind === 'dropout' ? [[stage.mask, stage.path]] : [],
    );
    expect(masks).toEqual([
      [0, 'features.8'],
      [1, 'classifier.2'],
    ]);
  });
});
