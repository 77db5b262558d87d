/** Adaptive average pooling along one axis, (out, size): row i averages ⌊i·size/out⌋ … ⌈(i+1)·size/out⌉ − 1. */
export function averagingMatrix(size: number, out: number): Float32Array {
  const matrix = new Float32Array(out * size);
  for (let row = 0; row < out; row++) {
    const first = Math.floor((row * size) / out);
    const end = Math.ceil(((row + 1) * size) / out);
    matrix.fill(1 / (end - first), row * size + first, row * size + end);
  }
  return matrix;
}
