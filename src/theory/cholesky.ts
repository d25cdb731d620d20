import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { norm64, rowNorms, rowProducts, turns } from "../stages/0-double.ts";
import {
  hostFactor,
  substitute,
  type HostFactor,
  type HostMatrix,
  type Indefinite,
  type Solution,
} from "../stages/4-cholesky.ts";

/** A + shift = L Lᵀ: what follows from it. */
export interface Cholesky extends Omit<HostFactor, "lower"> {
  /**
   * Solves for several right-hand sides, refined by residuals until they are those of f64.
   *
   * @param right [columns, n]: one right-hand side a row
   *
   * **Cost** about 12 n² flops a column.
   */
  solve(right: Float64Array, job?: Job): Promise<Solution>;
}

/** Solving again for the residual: from the second time on it changes nothing that f64 holds. */
const REFINEMENTS = 2;

/**
 * Cholesky's factorization of a symmetric matrix in f64 on the CPU, and what it is good for.
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
 * **Error** success proves λ_min(A) ≥ `least`; log det is that of a matrix within {@link hostFactor}'s bound, and the
 * backward error of each solution comes with it.
 * **Cost** n³ / 3 flops, about 3 GFLOP/s.
 * @throws InputError for a matrix of another shape
 */
export async function cholesky(
  gpu: Gpu,
  matrix: HostMatrix,
  shift = 0,
  job?: Job,
): Promise<Cholesky | Indefinite> {
  const found = await hostFactor(gpu, matrix, shift, job);
  if (!found.definite) return found;
  const { lower, ...known } = found;
  return { ...known, solve: (right, how) => solved(gpu, matrix, shift, lower, right, how) };
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
