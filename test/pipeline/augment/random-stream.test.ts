import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../../src/pipeline/augment/random-stream.ts';

const DRAW = { seed: 7, epoch: 3, item: 41 };
const COUNT = 20_000;

function take(draw: (random: RandomStream) => number, count = COUNT): number[] {
  const random = new RandomStream('augmentation', DRAW);
  return Array.from({ length: count }, () => draw(random));
}

function momentsOf(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

describe('RandomStream', () => {
  it('gives these numbers, whatever the machine', () => {
    const random = new RandomStream('augmentation', DRAW);
    const numbers = [
      random.uniform(),
      random.between(-10, 10),
      random.integer(1000),
      random.normal(),
      random.logUniform(3 / 4, 4 / 3),
    ];
    expect(numbers).toEqual(GOLDEN);
  });

  it('has another stream for every seed, epoch, item and purpose', () => {
    const streams = [
      new RandomStream('augmentation', DRAW),
      new RandomStream('augmentation', { ...DRAW, seed: 8 }),
      new RandomStream('augmentation', { ...DRAW, seed: 7 + 2 ** 40 }),
      new RandomStream('augmentation', { ...DRAW, epoch: 4 }),
      new RandomStream('augmentation', { ...DRAW, item: 42 }),
      new RandomStream('augmentation', { ...DRAW, item: 0xffff_ffff }),
      new RandomStream('shuffle', DRAW),
    ];
    const drawn = streams.flatMap((random) => Array.from({ length: 8 }, () => random.uniform()));
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  it('is uniform on [0, 1)', () => {
    const values = take((random) => random.uniform());
    const { mean, std } = momentsOf(values);
    expect(mean).toBeCloseTo(0.5, 2);
    expect(std).toBeCloseTo(Math.sqrt(1 / 12), 2);
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it('draws every integer about as often', () => {
    const counts = Array<number>(9).fill(0);
    for (const value of take((random) => random.integer(9)))
      counts[value] = (counts[value] ?? Number.NaN) + 1;
    expect(counts).toHaveLength(9);
    for (const count of counts) expect(Math.abs(count - COUNT / 9)).toBeLessThan(5 * Math.sqrt(COUNT / 9));
  });

  it('is standard normal', () => {
    const { mean, std } = momentsOf(take((random) => random.normal()));
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(std).toBeCloseTo(1, 1);
  });

  it('is uniform in the logarithm', () => {
    const logs = take((random) => random.logUniform(0.5, 8)).map(Math.log2);
    const { mean, std } = momentsOf(logs);
    expect(mean).toBeCloseTo(1, 1);
    expect(std).toBeCloseTo(4 * Math.sqrt(1 / 12), 1);
    expect(Math.min(...logs)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...logs)).toBeLessThan(3);
  });

  it('takes the power that the same word gives by exp and log', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 1, max: 100, noNaN: true }),
        (item, low, high) => {
          const word = new RandomStream('augmentation', { ...DRAW, item }).uniform();
          const value = new RandomStream('augmentation', { ...DRAW, item }).logUniform(low, high);
          expect(value / (low * (high / low) ** word)).toBeCloseTo(1, 13);
        },
      ),
    );
  });

  it('gives the bound where both bounds are equal', () => {
    expect(take((random) => random.between(0.3, 0.3), 3)).toEqual([0.3, 0.3, 0.3]);
    expect(take((random) => random.logUniform(0.3, 0.3), 3)).toEqual([0.3, 0.3, 0.3]);
  });

  it('refuses a seed out of range', () => {
    expect(() => new RandomStream('augmentation', { ...DRAW, seed: -1 }).uniform()).toThrow(RangeError);
  });
});

const GOLDEN = [0.5229239806067199, 2.209996022284031, 419, -0.9009325534092835, 1.1935398145944085];
