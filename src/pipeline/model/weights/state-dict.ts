/** Weights of a model: float32, row-major. `data.length` is the product of `shape`; `[]` is a scalar. */
export interface WeightTensor {
  readonly shape: readonly number[];
  /** May be a view into the file's bytes: treat it as read-only, and it keeps the file in memory. */
  readonly data: Float32Array;
}

/** Weights by name, with the names and layouts that torchvision uses. */
export type StateDict = ReadonlyMap<string, WeightTensor>;

/** Longer shapes are refused; PyTorch's own limit. */
export const MAX_TENSOR_RANK = 64;

/** Whether a number can be a size, an offset or a stride: a non-negative integer that is exact. */
export function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

/**
 * The number of elements of a shape, or null when a size is not a size, when there are more than
 * {@link MAX_TENSOR_RANK} of them, or when the product is too large to be exact.
 */
export function elementCount(shape: readonly number[]): number | null {
  if (shape.length > MAX_TENSOR_RANK) return null;
  let product = 1;
  for (const size of shape) {
    if (!isSize(size)) return null;
    product *= size;
    if (!isSize(product)) return null;
  }
  return product;
}
