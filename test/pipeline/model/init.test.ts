import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { parametersOf } from '../../../src/pipeline/model/architecture.ts';
import { createArchitecture } from '../../../src/pipeline/model/architectures.ts';
import { initialiseWeights, normalQuantile } from '../../../src/pipeline/model/init.ts';

const small = createArchitecture('alexnet-small', { classes: 10 });

/** SHA-256 of every tensor: weight, bias, weight, bias, …. */
function digests(seed: number): string[] {
  return Array.from(initialiseWeights(small, seed).values(), ({ data }) =>
    createHash('sha256').update(new Uint8Array(data.buffer)).digest('hex'),
  );
}

describe('initialiseWeights', () => {
  it('fills exactly the parameters of the architecture', () => {
    const weights = initialiseWeights(small, 1);
    expect([...weights.keys()]).toEqual(parametersOf(small).map(({ name }) => name));
    expect(weights.get('features.3.weight')?.data).toHaveLength(48 * 16 * 25);
    expect(weights.get('classifier.6.bias')?.data.every((value) => value === 0)).toBe(true);
  });

  it('is a pure function of the seed, and no two tensors share their numbers', () => {
    const [first, again, other] = [1, 1, 2].map((seed) => digests(seed));
    expect(again).toEqual(first);
    const drawn = (list: readonly string[] = []): string[] => list.filter((_, index) => index % 2 === 0);
    const all = [...drawn(first), ...drawn(other)];
    expect(new Set(all).size).toBe(all.length);
  });

  it('has the mean and the variance that the architecture asks for', () => {
    const data = initialiseWeights(small, 3).get('classifier.4.weight')?.data ?? new Float32Array();
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length;
    expect(data).toHaveLength(1024 * 1024);
    expect(Math.abs(mean)).toBeLessThan(2e-4);
    expect(variance / (2 / 1024)).toBeCloseTo(1, 2);
  });
});

describe('normalQuantile', () => {
  // Quantiles of the standard normal distribution to 16 digits, as R's qnorm gives them.
  it.each([
    [0.5, 0],
    [0.75, 0.6744897501960817],
    [0.975, 1.959963984540054],
    [0.999, 3.090232306167813],
    [1e-9, -5.997807015007687],
  ])('of %d is %d', (u, expected) => {
    expect(normalQuantile(u)).toBeCloseTo(expected, 13);
  });

  it('is odd around one half and rises', () => {
    const quantiles = Array.from({ length: 999 }, (_, index) => normalQuantile((index + 1) / 1000));
    quantiles.forEach((value, index) => {
      expect(value).toBeCloseTo(-(quantiles[998 - index] ?? Number.NaN), 12);
      if (index > 0) expect(value).toBeGreaterThan(quantiles[index - 1] ?? Number.NaN);
    });
  });
});
