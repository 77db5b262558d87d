import type { Dataset } from '../../contract/dataset.ts';
import { ImagemillError } from '../../contract/errors.ts';

type Vector = Dataset['eigenvalues'];
type Matrix = Dataset['eigenvectors'];

const SIZE = 3;
/** Jacobi's method converges quadratically: a 3 × 3 matrix is diagonal to the last bit after five or six sweeps. */
const MAX_SWEEPS = 50;
/** Elements off the diagonal, in the order one sweep removes them. */
const PAIRS = [
  [0, 1],
  [0, 2],
  [1, 2],
] as const;

/**
 * Eigenvalues and eigenvectors of a symmetric 3 × 3 matrix, by Jacobi's rotations (Golub & Van Loan, Matrix
 * Computations, §8.5).
 * @param matrix its upper triangle is read
 * @returns eigenvalues in descending order; row i of `vectors` is the unit eigenvector of value i, and its component
 *   of largest magnitude (the first of equals) is positive
 * @throws ImagemillError INTERNAL where the matrix has elements that are not finite
 */
export function eigenSymmetric3(matrix: Matrix): { values: Vector; vectors: Matrix } {
  if (!matrix.flat().every(Number.isFinite)) {
    throw new ImagemillError('INTERNAL', `expected a finite matrix, got ${JSON.stringify(matrix)}`);
  }
  // Scaled to 1, so that squares neither overflow nor vanish.
  const scale = Math.max(...matrix.flat().map(Math.abs)) || 1;
  const a = new Float64Array(SIZE * SIZE);
  for (let row = 0; row < SIZE; row++) {
    for (let column = row; column < SIZE; column++) {
      a[row * SIZE + column] = a[column * SIZE + row] = (matrix[row]?.[column] ?? 0) / scale;
    }
  }
  /** Columns are eigenvectors. */
  const v = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    if (PAIRS.every(([p, q]) => a[p * SIZE + q] === 0)) break;
    for (const [p, q] of PAIRS) rotate(a, v, p, q);
  }
  const order = [0, 1, 2].sort((i, j) => at(a, j, j) - at(a, i, i));
  const value = (rank: number) => at(a, order[rank] ?? 0, order[rank] ?? 0) * scale;
  const vector = (rank: number) => withSign([0, 1, 2].map((row) => at(v, row, order[rank] ?? 0)));
  return { values: [value(0), value(1), value(2)], vectors: [vector(0), vector(1), vector(2)] };
}

/** One rotation, by the angle that makes a[p][q] zero. */
function rotate(a: Float64Array, v: Float64Array, p: number, q: number): void {
  const off = at(a, p, q);
  if (off === 0) return;
  const theta = (at(a, q, q) - at(a, p, p)) / (2 * off);
  // The smaller of the two angles; with a huge theta its square overflows to Infinity, and t to zero, as it should.
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < SIZE; k++) combine(a, k * SIZE + p, k * SIZE + q, c, s);
  for (let k = 0; k < SIZE; k++) combine(a, p * SIZE + k, q * SIZE + k, c, s);
  for (let k = 0; k < SIZE; k++) combine(v, k * SIZE + p, k * SIZE + q, c, s);
  a[p * SIZE + q] = a[q * SIZE + p] = 0;
}

function combine(m: Float64Array, p: number, q: number, c: number, s: number): void {
  const [x, y] = [m[p] ?? 0, m[q] ?? 0];
  m[p] = c * x - s * y;
  m[q] = s * x + c * y;
}

function withSign(vector: readonly number[]): Vector {
  const [x = 0, y = 0, z = 0] = vector;
  const largest = vector.reduce(
    (best, component) => (Math.abs(component) > Math.abs(best) ? component : best),
    0,
  );
  // Adding zero turns −0 into 0.
  return largest < 0 ? [-x + 0, -y + 0, -z + 0] : [x + 0, y + 0, z + 0];
}

function at(m: Float64Array, row: number, column: number): number {
  return m[row * SIZE + column] ?? 0;
}
