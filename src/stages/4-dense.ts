import type { Gpu } from "../gpu/device.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { largest64, PANEL, rowProducts, turns, U64 } from "./0-double.ts";
import { dividedEigen } from "./4-divide.ts";
import { tridiagonalEigen, tridiagonalVectors, type Tridiagonal } from "./4-tridiagonal.ts";

/** Eigenvalues, largest first, and unit eigenvectors [n, n], one a row. */
export interface DenseEigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/** Reflections that are applied at once. */
const BLOCK = 32;

/**
 * All eigenvalues and eigenvectors of a symmetric matrix in f64 on the CPU: Householder's reduction to T, whose vectors
 * are found by division and reflected back.
 *
 * @param matrix [n, n] row-major, of which the lower triangle counts
 *
 * **Error** a small multiple of n · 2⁻⁵³ ‖A‖₂; `enclose` bounds what it really is. **Cost** at most 14/3 n³ flops.
 * **From** Martin, Reinsch & Wilkinson 1968 for the reduction; vectors are rows here, so that every inner loop runs
 * along memory.
 */
export async function denseEigen(
  gpu: Gpu,
  matrix: Float64Array,
  n: number,
  job?: Job,
): Promise<DenseEigen> {
  const turn = turns(gpu, job, "dense", (14 * n ** 3) / 3);
  const reduction = await reduced(matrix, n, turn);
  const eigen = await dividedEigen(reduction.tridiagonal, turn);
  await reflectBack(reduction, n, eigen.vectors, turn);
  return eigen;
}

/**
 * The eigenvalues by the same way, and eigenvectors of a few: those of T by inverse iteration, reflected back.
 *
 * @param places of the eigenvalues whose vectors are wanted, ascending
 * @returns largest first; vectors [places, n], one a row
 *
 * **Cost** 4/3 n³ flops, and 2 n² a vector.
 */
export async function denseValues(
  gpu: Gpu,
  matrix: Float64Array,
  n: number,
  places: readonly number[] = [],
  job?: Job,
): Promise<DenseEigen> {
  const turn = turns(gpu, job, "dense", (4 * n ** 3) / 3 + 2 * places.length * n * n);
  const reduction = await reduced(matrix, n, turn);
  const { values } = tridiagonalEigen(reduction.tridiagonal);
  const vectors = tridiagonalVectors(
    reduction.tridiagonal,
    places.map((place) => values[place]),
  );
  if (places.length > 0) await reflectBack(reduction, n, vectors, turn);
  return { values, vectors };
}

/** What all eigenvalues are off by at the most as LAPACK judges its own solvers, 60 n ulp of ‖A‖: no proof, as `enclose` is. */
export const solverBound = (values: Float64Array): number =>
  120 * values.length * U64 * Math.max(Math.abs(values[0]), Math.abs(values[values.length - 1]));

/** T, and the reflections that led to it: vᵢ [i] in row i of `a`, vᵢᵀvᵢ / 2 in `squares`, 0 where there is none. */
interface Reduction {
  readonly a: Float64Array;
  readonly squares: Float64Array;
  readonly tridiagonal: Tridiagonal;
}

/**
 * Eigenvectors of T [?, n], one a row, become those of A: y −= Σᵢ tᵢ vᵢ,  tᵢ = (vᵢᵀy − Σ_{j<i} tⱼ vⱼᵀvᵢ) / squaresᵢ,
 * a block of reflections at once.
 *
 * **From** Schreiber & Van Loan 1989; the triangular factor is solved with, not inverted.
 */
async function reflectBack(
  { a, squares }: Reduction,
  n: number,
  vectors: Float64Array,
  turn: Meter,
): Promise<void> {
  const v = new Float64Array(BLOCK * n);
  const across = new Float64Array(n * BLOCK);
  const between = new Float64Array(BLOCK * BLOCK);
  const t = new Float64Array(PANEL * BLOCK);
  const change = new Float64Array(PANEL * n);
  for (let first = 1; first < n; first += BLOCK) {
    const count = Math.min(BLOCK, n - first);
    const width = first + count - 1;
    for (let r = 0; r < count; r++) {
      const i = first + r;
      v.fill(0, r * n, (r + 1) * n).set(a.subarray(i * n, i * n + i), r * n);
      for (let k = 0; k < width; k++) across[k * count + r] = v[r * n + k];
    }
    rowProducts(v, 0, count, v, count, width, between, true, n);
    for (let from = 0; from < vectors.length; from += PANEL * n) {
      const panel = vectors.subarray(from, from + PANEL * n);
      const rows = panel.length / n;
      rowProducts(panel, 0, rows, v, count, width, t, false, n);
      for (let row = 0; row < rows; row++)
        for (let i = 0, at = row * count; i < count; i++) {
          let sum = t[at + i];
          for (let j = 0; j < i; j++) sum -= t[at + j] * between[i * count + j];
          const square = squares[first + i];
          t[at + i] = square > 0 ? sum / square : 0;
        }
      rowProducts(t, 0, rows, across, width, count, change);
      for (let row = 0; row < rows; row++)
        for (let k = 0; k < width; k++) panel[row * n + k] -= change[row * width + k];
      await turn(4 * rows * count * width);
    }
  }
}

/**
 * Householder's reduction to T. Step i makes row i of the leading matrix of order i + 1 (0, …, 0, beside, diagonal).
 *
 *   v = row ∓ ‖row‖ e,  p = A v / half,  q = p − (vᵀp / 2 half) v,  A −= v qᵀ + q vᵀ    half = vᵀv / 2
 *
 * A is passed over once a step: it is changed by the step before while it is multiplied by v.
 */
async function reduced(matrix: Float64Array, n: number, turn: Meter): Promise<Reduction> {
  const a = matrix.slice();
  const beside = new Float64Array(Math.max(n - 1, 0));
  const squares = new Float64Array(n);
  const none = new Float64Array(n);
  let [lastV, lastQ] = [none, none];
  let [q, spare] = [new Float64Array(n), new Float64Array(n)];
  for (let i = n - 1; i >= 1; i--) {
    const v = a.subarray(i * n, i * n + i);
    for (let k = 0; k <= i; k++) a[i * n + k] -= lastV[i] * lastQ[k] + lastQ[i] * lastV[k];
    const half = reflection(v, beside);
    squares[i] = half;
    // Nothing to do where nothing changes: of a diagonal matrix each row.
    if (half === 0 && lastV === none) continue;
    pass(a, n, i, lastV, lastQ, v, q);
    await turn(4 * i * i);
    if (half === 0) {
      [lastV, lastQ] = [none, none];
      continue;
    }
    let along = 0;
    for (let k = 0; k < i; k++) {
      q[k] /= half;
      along += q[k] * v[k];
    }
    along /= 2 * half;
    for (let k = 0; k < i; k++) q[k] -= along * v[k];
    [lastV, lastQ, q, spare] = [v, q, spare, q];
  }
  if (n > 0) a[0] -= 2 * lastV[0] * lastQ[0];
  const diagonal = Float64Array.from({ length: n }, (_, i) => a[i * n + i]);
  return { a, squares, tridiagonal: { diagonal, beside } };
}

/** A row before its diagonal becomes v, and what is left of it `beside`. Returns vᵀv / 2, or 0 where v is 0. */
function reflection(v: Float64Array, beside: Float64Array): number {
  const end = v.length - 1;
  if (largest64(v.subarray(0, end)) === 0) {
    beside[end] = v[end];
    v.fill(0);
    return 0;
  }
  const largest = largest64(v);
  let sum = 0;
  for (let k = 0; k <= end; k++) {
    v[k] /= largest;
    sum += v[k] * v[k];
  }
  const root = v[end] > 0 ? -Math.sqrt(sum) : Math.sqrt(sum);
  beside[end] = root * largest;
  const half = sum - v[end] * root;
  v[end] -= root;
  return half;
}

/** Of the lower triangle of order i: A −= x yᵀ + y xᵀ, and with that p = A v; four rows at once. */
function pass(
  a: Float64Array,
  n: number,
  i: number,
  x: Float64Array,
  y: Float64Array,
  v: Float64Array,
  p: Float64Array,
): void {
  p.fill(0);
  // The first rows are fewer, so that all others come in fours.
  for (let j = 0, end = i % 4 || 4; j < i; j = end, end += 4) {
    if (j > 0) {
      const a0 = j * n;
      const a1 = a0 + n;
      const a2 = a1 + n;
      const a3 = a2 + n;
      const [x0, x1, x2, x3] = [x[j], x[j + 1], x[j + 2], x[j + 3]];
      const [y0, y1, y2, y3] = [y[j], y[j + 1], y[j + 2], y[j + 3]];
      const [v0, v1, v2, v3] = [v[j], v[j + 1], v[j + 2], v[j + 3]];
      let p0 = 0;
      let p1 = 0;
      let p2 = 0;
      let p3 = 0;
      for (let k = 0; k < j; k++) {
        const xk = x[k];
        const yk = y[k];
        const vk = v[k];
        const e0 = a[a0 + k] - (x0 * yk + y0 * xk);
        a[a0 + k] = e0;
        p0 += e0 * vk;
        const e1 = a[a1 + k] - (x1 * yk + y1 * xk);
        a[a1 + k] = e1;
        p1 += e1 * vk;
        const e2 = a[a2 + k] - (x2 * yk + y2 * xk);
        a[a2 + k] = e2;
        p2 += e2 * vk;
        const e3 = a[a3 + k] - (x3 * yk + y3 * xk);
        a[a3 + k] = e3;
        p3 += e3 * vk;
        p[k] += e0 * v0 + e1 * v1 + e2 * v2 + e3 * v3;
      }
      p.set([p0, p1, p2, p3], j);
    }
    for (let row = j; row < end; row++)
      for (let k = j; k <= row; k++) {
        const entry = (a[row * n + k] -= x[row] * y[k] + y[row] * x[k]);
        p[row] += entry * v[k];
        if (k < row) p[k] += entry * v[row];
      }
  }
}
