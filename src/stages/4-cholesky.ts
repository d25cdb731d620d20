import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { chain64, gamma64, norm64, rowNorms, rowProducts, SLACK, turns, U64 } from "./0-double.ts";

/** A symmetric matrix in f64 on the host. */
export interface HostMatrix {
  /** [order, order] row-major, symmetric to the bit. */
  readonly gram: Float64Array;
  readonly order: number;
}

/** Solutions of (A + shift) X = B. */
export interface Solution {
  /** [columns, n]: one solution a row. */
  readonly values: Float64Array;
  /** ‖b − (A + shift) x‖ / (‖A + shift‖_F ‖x‖ + ‖b‖) of each: how much of a change of A and b explains it. */
  readonly backwardErrors: Float64Array;
}

/** A + shift = L Lᵀ: what follows from it. */
export interface Cholesky {
  readonly definite: true;
  /** log det(A + shift). */
  readonly logDet: number;
  /** A number that λ_min(A) is surely not below: that L could be computed proves it. */
  readonly least: number;
  /**
   * Solves for several right-hand sides, refined by residuals until they are those of f64.
   *
   * @param right [columns, n]: one right-hand side a row
   *
   * **Cost** about 8 n² flops a column.
   */
  solve(right: Float64Array, job?: Job): Promise<Solution>;
}

/** A + shift is not positive definite, as far as f64 can tell. */
export interface Indefinite {
  readonly definite: false;
  /** The row whose pivot is not positive, and the pivot. */
  readonly row: number;
  readonly pivot: number;
}

/** Columns that are factored at once. */
const BLOCK = 64;
/** Roundings on the way of a term to an entry of L Lᵀ: blocks before, the block itself, ÷ or √, the shift. */
const chain = (n: number): number => chain64(n) + BLOCK + 3;
/** Solving again for the residual: from the second time on it changes nothing that f64 holds. */
const REFINEMENTS = 2;

/**
 * Cholesky's factorization of a symmetric matrix in f64 on the CPU, in blocks.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 1, 2);
 * const factor = await cholesky(gpu, { gram, order: 2 });
 * if (factor.definite) console.log(factor.logDet, (await factor.solve(Float64Array.of(1, 0))).values);
 * ```
 *
 * @param shift added to the diagonal
 * @returns what the factor gives, or where it failed
 *
 * **Error** L Lᵀ = A + shift + E with ‖E‖_F ≤ γ_k tr(A + shift) / (1 − γ_k), whatever the data; so success proves
 * λ_min(A) ≥ −shift − ‖E‖. **Cost** n³ / 3 flops, about 3 GFLOP/s.
 * **From** Higham 2002, theorem 10.3; Rump 2006 for the proof of definiteness.
 * @throws InputError for a matrix of another shape
 */
export async function cholesky(
  gpu: Gpu,
  { gram, order: n }: HostMatrix,
  shift = 0,
  job?: Job,
): Promise<Cholesky | Indefinite> {
  if (!(n >= 1 && gram.length === n * n))
    throw new InputError(
      `cholesky: gram holds ${gram.length} values, but must hold ${n} × ${n}. Check its shape.`,
    );
  const turn = turns(gpu, job, "cholesky", n ** 3 / 3);
  const lower = new Float64Array(n * n);
  const sums = new Float64Array(n * BLOCK);
  let trace = 0;
  let largest = 0;
  for (let i = 0; i < n; i++) {
    const entry = gram[i * n + i] + shift;
    trace += entry;
    largest = Math.max(largest, Math.abs(entry));
  }
  for (let first = 0; first < n; first += BLOCK) {
    const width = Math.min(BLOCK, n - first);
    const above = lower.subarray(first * n);
    rowProducts(above, 0, n - first, above, width, first, sums, false, n);
    for (let i = first; i < n; i++) {
      const row = i * n;
      for (let j = first; j < first + width && j <= i; j++) {
        let value = gram[row + j] + (i === j ? shift : 0) - sums[(i - first) * width + (j - first)];
        const other = j * n;
        for (let k = first; k < j; k++) value -= lower[row + k] * lower[other + k];
        if (i === j) {
          if (!(value > 0)) return { definite: false, row: i, pivot: value };
          lower[row + j] = Math.sqrt(value);
        } else lower[row + j] = value / lower[other + j];
      }
    }
    await turn((n - first) * width * (2 * first + width));
  }
  let logDet = 0;
  for (let i = 0; i < n; i++) logDet += 2 * Math.log(lower[i * n + i]);
  const gamma = gamma64(chain(n));
  // Products that vanish count with what is below the normal numbers.
  const lost = n * n * 2 ** -1060;
  const error = ((gamma * trace) / (1 - gamma) + U64 * largest + lost) * SLACK;
  const least = -shift - error;
  const solve = (right: Float64Array, solveJob?: Job) =>
    solved(gpu, { gram, order: n }, shift, lower, right, solveJob);
  return { definite: true, logDet, least: least - 2 * U64 * Math.abs(least), solve };
}

async function solved(
  gpu: Gpu,
  { gram, order: n }: HostMatrix,
  shift: number,
  lower: Float64Array,
  right: Float64Array,
  job?: Job,
): Promise<Solution> {
  const columns = right.length / n;
  if (!(Number.isSafeInteger(columns) && columns >= 1))
    throw new InputError(
      `solve: right holds ${right.length} values, but must hold one or more rows of ${n}. Check its shape.`,
    );
  const turn = turns(gpu, job, "solve", 4 * (REFINEMENTS + 1) * n * n * columns);
  const values = new Float64Array(columns * n);
  let residual = right.slice();
  const product = new Float64Array(columns * n);
  for (let round = 0; round <= REFINEMENTS; round++) {
    for (let c = 0; c < columns; c++) {
      substitute(lower, residual.subarray(c * n, (c + 1) * n));
      await turn(2 * n * n);
    }
    for (let at = 0; at < values.length; at++) values[at] += residual[at];
    rowProducts(values, 0, columns, gram, n, n, product);
    residual = right.map((value, at) => value - product[at] - shift * values[at]);
    await turn(2 * n * n * columns);
  }
  const shifted = gram.slice();
  for (let i = 0; i < n; i++) shifted[i * n + i] += shift;
  const size = norm64(shifted);
  const [lengths, given, left] = [values, right, residual].map((rows) => rowNorms(rows, n));
  return {
    values,
    backwardErrors: left.map((each, c) => (each === 0 ? 0 : each / (size * lengths[c] + given[c]))),
  };
}

/** x ← L⁻ᵀ L⁻¹ x. */
function substitute(lower: Float64Array, x: Float64Array): void {
  const n = x.length;
  for (let i = 0; i < n; i++) {
    const row = i * n;
    let sum = x[i];
    for (let k = 0; k < i; k++) sum -= lower[row + k] * x[k];
    x[i] = sum / lower[row + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    const row = i * n;
    const value = x[i] / lower[row + i];
    x[i] = value;
    for (let k = 0; k < i; k++) x[k] -= lower[row + k] * value;
  }
}
