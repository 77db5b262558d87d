import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eigenSymmetric3 } from '../../../src/pipeline/prepare/eigen.ts';

type Vector = [number, number, number];
type Matrix = [Vector, Vector, Vector];

const element = fc.oneof(
  fc.double({ min: -1e4, max: 1e4, noNaN: true }),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -1e-8, max: 1e-8, noNaN: true }),
);
const symmetric = fc
  .tuple(element, element, element, element, element, element)
  .map(([a, b, c, d, e, f]): Matrix => [
    [a, b, c],
    [b, d, e],
    [c, e, f],
  ]);

const dot = (x: readonly number[], y: readonly number[]) =>
  x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
const sizeOf = (matrix: Matrix) => Math.max(1e-300, ...matrix.flat().map(Math.abs));

describe('eigenSymmetric3', () => {
  it('knows a diagonal matrix, and sorts', () => {
    expect(
      eigenSymmetric3([
        [1, 0, 0],
        [0, 5, 0],
        [0, 0, 3],
      ]),
    ).toEqual({
      values: [5, 3, 1],
      vectors: [
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
      ],
    });
  });

  it('knows a matrix with three equal eigenvalues, and zero', () => {
    const zero: Matrix = [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ];
    expect(eigenSymmetric3(zero).values).toEqual([0, 0, 0]);
    expect(eigenSymmetric3(zero).vectors).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it("finds the published eigenvalues of ImageNet's colours again (0.2175, 0.0188, 0.0045)", () => {
    const V = [
      [-0.5675, 0.7192, 0.4009],
      [-0.5808, -0.0045, -0.814],
      [-0.5836, -0.6948, 0.4203],
    ];
    const w = [0.2175, 0.0188, 0.0045];
    const entry = (i: number, j: number) =>
      w.reduce((sum, value, k) => sum + value * (V[i]?.[k] ?? 0) * (V[j]?.[k] ?? 0), 0);
    const row = (i: number): Vector => [entry(i, 0), entry(i, 1), entry(i, 2)];
    const { values, vectors } = eigenSymmetric3([row(0), row(1), row(2)]);
    w.forEach((value, k) => expect(values[k]).toBeCloseTo(value, 4));
    // The published vectors with our signs: the largest component positive.
    expect(vectors[0].map((v) => Number(v.toFixed(2)))).toEqual([0.57, 0.58, 0.58]);
    expect(vectors[1].map((v) => Number(v.toFixed(2)))).toEqual([0.72, -0, -0.69]);
    expect(vectors[2].map((v) => Number(v.toFixed(2)))).toEqual([-0.4, 0.81, -0.42]);
  });

  it('gives descending values whose unit, orthogonal vectors rebuild the matrix', () => {
    fc.assert(
      fc.property(symmetric, (matrix) => {
        const { values, vectors } = eigenSymmetric3(matrix);
        const tolerance = 1e-13 * sizeOf(matrix);
        expect(values[0]).toBeGreaterThanOrEqual(values[1]);
        expect(values[1]).toBeGreaterThanOrEqual(values[2]);
        for (let i = 0; i < 3; i++) {
          for (let j = 0; j < 3; j++) {
            expect(dot(vectors[i] ?? [], vectors[j] ?? [])).toBeCloseTo(i === j ? 1 : 0, 12);
            const rebuilt = values.reduce(
              (sum, value, k) => sum + value * (vectors[k]?.[i] ?? 0) * (vectors[k]?.[j] ?? 0),
              0,
            );
            expect(Math.abs(rebuilt - (matrix[i]?.[j] ?? 0))).toBeLessThanOrEqual(8 * tolerance);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('makes the component of largest magnitude positive, so that a sign never depends on rounding elsewhere', () => {
    fc.assert(
      fc.property(symmetric, (matrix) => {
        for (const vector of eigenSymmetric3(matrix).vectors) {
          const largest = Math.max(...vector.map(Math.abs));
          expect(vector.find((component) => Math.abs(component) === largest)).toBe(largest);
          expect(vector.some((component) => Object.is(component, -0))).toBe(false);
        }
      }),
    );
  });

  it('refuses what is not finite', () => {
    expect(() =>
      eigenSymmetric3([
        [Number.NaN, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ]),
    ).toThrow('finite matrix');
  });
});
