/** Singular values in f64, and maps that are known by their matrix. */
import { Matrix, SingularValueDecomposition } from "ml-matrix";

/**
 * The singular values of `a` [rows, columns] row-major, descending.
 *
 * **Error** a small multiple of (rows + columns) · 2⁻⁵³ ‖A‖₂ (Golub & Reinsch).
 */
export function singularValues(a: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const matrix = new Matrix(rows, columns);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) matrix.set(i, j, a[i * columns + j]);
  const { diagonal } = new SingularValueDecomposition(matrix, { autoTranspose: true });
  return Float64Array.from(diagonal).sort().reverse();
}

/** A z of a matrix [rows, columns] row-major. */
export function product(a: Float64Array, columns: number, z: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: a.length / columns }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += a[i * columns + j] * z[j];
    return sum;
  });
}

/** Aᵀ x of a matrix [rows, columns] row-major. */
export function backProduct(a: Float64Array, columns: number, x: ArrayLike<number>): Float64Array {
  const out = new Float64Array(columns);
  for (let i = 0; i < a.length / columns; i++)
    for (let j = 0; j < columns; j++) out[j] += a[i * columns + j] * x[i];
  return out;
}

/** A matrix with these singular values, (1 − 2 u uᵀ) D (1 − 2 w wᵀ), with the singular values in D. */
export function withSingularValues(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
  u: ArrayLike<number>,
  w: ArrayLike<number>,
): Float64Array {
  const unit = (x: ArrayLike<number>) => {
    const own = Float64Array.from(x);
    const length = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
    return own.map((value) => value / length);
  };
  const [p, q] = [unit(u), unit(w)];
  const a = new Float64Array(rows * columns);
  let cross = 0;
  for (let k = 0; k < values.length; k++) cross += p[k] * values[k] * q[k];
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) {
      const d = i === j && i < values.length ? values[i] : 0;
      const dq = i < values.length ? values[i] * q[i] : 0;
      const pd = j < values.length ? p[j] * values[j] : 0;
      a[i * columns + j] = d - 2 * p[i] * pd - 2 * dq * q[j] + 4 * p[i] * cross * q[j];
    }
  return a;
}
