import { describe, expect, it } from 'vitest';
import { nearestName } from '../../../src/pipeline/recipe/nearest-name.ts';

const KNOWN = ['learningRate', 'weights.learningRate', 'augmentation.rotationDegrees', 'epochs'];

describe('nearestName', () => {
  it.each([
    ['learningrate', 'learningRate'],
    ['lerningRate', 'learningRate'],
    ['rotationDegree', 'augmentation.rotationDegrees'],
    ['weight.learningRate', 'weights.learningRate'],
    ['epoch', 'epochs'],
    ['lr', undefined],
    ['colour', undefined],
    ['', undefined],
    ['epochs'.repeat(1000), undefined],
  ])('takes %j for %s', (name, expected) => {
    expect(nearestName(name, KNOWN)).toBe(expected);
  });
});
