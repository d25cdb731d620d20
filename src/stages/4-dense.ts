import type { Gpu } from "../gpu/device.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { turns, U64 } from "./0-double.ts";
import {
  implicitQl,
  tridiagonalEigen,
  tridiagonalVectors,
  type Tridiagonal,
} from "./4-tridiagonal.ts";

/** Eigenvalues, largest first, and unit eigenvectors [n, n], one a row. */
export interface DenseEigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/**
 * All eigenvalues and eigenvectors of a symmetric matrix in f64 on the CPU: Householder's reduction, then QL.
 *
 * @param matrix [n, n] row-major, of which the lower triangle counts
 *
 * **Error** a small multiple of n · 2⁻⁵³ ‖A‖₂; `enclose` bounds what it really is. **Cost** about 8 n³ flops.
 * **From** Martin, Reinsch & Wilkinson 1968; vectors are rows here, so that every inner loop runs along memory.
 */
export async function denseEigen(
  gpu: Gpu,
  matrix: Float64Array,
  n: number,
  job?: Job,
): Promise<DenseEigen> {
  const turn = turns(gpu, job, "dense", 8 * n ** 3);
  const { a, squares, tridiagonal } = await reduced(matrix, n, turn);
  // Column j of Q, the product of the reflections, is row j; reflection i acts on what the ones before it built.
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const v = a.subarray(i * n, i * n + i);
    basis[i * n + i] = 1;
    if (squares[i] > 0)
      for (let j = 0; j < i; j++) {
        const at = j * n;
        let dot = 0;
        for (let k = 0; k < i; k++) dot += v[k] * basis[at + k];
        dot /= squares[i];
        for (let k = 0; k < i; k++) basis[at + k] -= dot * v[k];
      }
    await turn(4 * i * i);
  }
  const { values, rows } = implicitQl(tridiagonal, basis, n);
  return { values, vectors: rows };
}

/**
 * The eigenvalues by the same way, and eigenvectors of a few: those of T by inverse iteration, reflected back.
 *
 * @param places of the eigenvalues whose vectors are wanted, ascending
 * @returns largest first, and what they are off by at the most as LAPACK judges its own solvers: 60 n ulp of ‖A‖; no
 * proof, where `enclose` gives one. Vectors [places, n], one a row
 *
 * **Cost** 4/3 n³ flops, and 2 n² a vector.
 */
export async function denseValues(
  gpu: Gpu,
  matrix: Float64Array,
  n: number,
  places: readonly number[] = [],
  job?: Job,
): Promise<DenseEigen & { readonly bound: number }> {
  const turn = turns(gpu, job, "dense", (4 * n ** 3) / 3);
  const { a, squares, tridiagonal } = await reduced(matrix, n, turn);
  const { values } = tridiagonalEigen(tridiagonal);
  const size = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
  const vectors = tridiagonalVectors(
    tridiagonal,
    places.map((place) => values[place]),
  );
  for (let i = 1; i < n; i++) {
    if (squares[i] === 0) continue;
    const v = a.subarray(i * n, i * n + i);
    for (let at = 0; at < vectors.length; at += n) {
      let dot = 0;
      for (let k = 0; k < i; k++) dot += v[k] * vectors[at + k];
      dot /= squares[i];
      for (let k = 0; k < i; k++) vectors[at + k] -= dot * v[k];
    }
  }
  return { values, vectors, bound: 120 * n * U64 * size };
}

/** Householder's reduction to T, the vectors of its reflections left in the rows of `a`. */
async function reduced(matrix: Float64Array, n: number, turn: Meter) {
  const a = matrix.slice();
  const beside = new Float64Array(Math.max(n - 1, 0));
  const squares = new Float64Array(n);
  for (let i = n - 1; i >= 1; i--) {
    reflect(a, n, i, beside, squares);
    await turn(4 * i * i);
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => a[i * n + i]);
  return { a, squares, tridiagonal: { diagonal, beside } satisfies Tridiagonal };
}

/**
 * One step of the reduction: row i of the leading matrix of order i + 1 becomes (0, …, 0, beside, diagonal).
 * Leaves v in that row and vᵀv / 2 in `squares`.
 */
function reflect(
  a: Float64Array,
  n: number,
  i: number,
  beside: Float64Array,
  squares: Float64Array,
): void {
  const v = a.subarray(i * n, i * n + i);
  let largest = 0;
  for (let k = 0; k < i - 1; k++) largest = Math.max(largest, Math.abs(v[k]));
  if (largest === 0) {
    beside[i - 1] = v[i - 1];
    v.fill(0);
    return;
  }
  largest = Math.max(largest, Math.abs(v[i - 1]));
  let sum = 0;
  for (let k = 0; k < i; k++) {
    v[k] /= largest;
    sum += v[k] * v[k];
  }
  const root = v[i - 1] > 0 ? -Math.sqrt(sum) : Math.sqrt(sum);
  beside[i - 1] = root * largest;
  const half = sum - v[i - 1] * root;
  v[i - 1] -= root;
  squares[i] = half;
  // p = A v / half by the lower triangle, then q = p − (vᵀp / 2 half) v and A −= v qᵀ + q vᵀ.
  const p = new Float64Array(i);
  for (let j = 0; j < i; j++) {
    const at = j * n;
    const vj = v[j];
    let dot = 0;
    for (let k = 0; k < j; k++) {
      const entry = a[at + k];
      dot += entry * v[k];
      p[k] += entry * vj;
    }
    p[j] += dot + a[at + j] * vj;
  }
  let along = 0;
  for (let k = 0; k < i; k++) {
    p[k] /= half;
    along += p[k] * v[k];
  }
  along /= 2 * half;
  for (let k = 0; k < i; k++) p[k] -= along * v[k];
  for (let j = 0; j < i; j++) {
    const at = j * n;
    const vj = v[j];
    const pj = p[j];
    for (let k = 0; k <= j; k++) a[at + k] -= vj * p[k] + pj * v[k];
  }
}
