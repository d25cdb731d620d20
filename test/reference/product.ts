/** Σ_k a[k, i] · b[k, j] and Σ_k |a[k, i] · b[k, j]| in f64, [rows, columns] each. */
export function sums(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  depth: number,
  rows: number,
  columns: number,
): { readonly sum: Float64Array; readonly size: Float64Array } {
  const sum = new Float64Array(rows * columns);
  const size = new Float64Array(rows * columns);
  for (let k = 0; k < depth; k++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const term = a[k * rows + i] * b[k * columns + j];
        sum[i * columns + j] += term;
        size[i * columns + j] += Math.abs(term);
      }
  return { sum, size };
}
