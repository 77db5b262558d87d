import { expect, it } from 'vitest';
import {
  differenceOf,
  EXPECTED,
  FILTER,
  IMAGE,
  MATRIX,
} from '../../../../src/pipeline/engine/doctor/known-sum.ts';

it('has the results that it is said to have', () => {
  const at = (numbers: readonly number[], index: number) => numbers[index] ?? Number.NaN;
  const convolved = [0, 1, 3, 4].map((corner) =>
    [0, 1, 3, 4].reduce((sum, offset, tap) => sum + at(IMAGE, corner + offset) * at(FILTER, tap), 0),
  );
  const product = [0, 1, 2, 3].map((cell) => {
    const [row, column] = [cell - (cell % 2), cell % 2];
    return at(convolved, row) * at(MATRIX, column) + at(convolved, row + 1) * at(MATRIX, 2 + column);
  });
  expect(product).toEqual([...EXPECTED]);
});

it('says what was got in place of it', () => {
  expect(differenceOf(Float32Array.from(EXPECTED))).toBeNull();
  expect(differenceOf([178, 262, 298, 443])).toBe('expected 178, 262, 298, 442, got 178, 262, 298, 443');
  expect(differenceOf([])).toBe('expected 178, 262, 298, 442, got nothing');
});
