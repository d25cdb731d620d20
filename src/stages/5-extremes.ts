import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import {
  chain64,
  gamma64,
  largest64,
  norm64,
  powerInto,
  rowProducts,
  SLACK,
  turns,
} from "./0-double.ts";
import { normals64 } from "./0-normal.ts";
import { hostFactor, substitute, type HostFactor, type HostMatrix } from "./4-cholesky.ts";
import { hostLanczos } from "./4-krylov.ts";
import { tridiagonalEigen, tridiagonalVectors, type Tridiagonal } from "./4-tridiagonal.ts";

/** An eigenvalue with an interval that surely holds it. */
export interface EnclosedValue {
  readonly value: number;
  readonly bound: number;
}

/** Most steps of one Lanczos iteration. */
const STEPS = 128;
/** A vector has converged when its residual is at most this times its Ritz value: its quotient then is as good as f64. */
const TOLERANCE = 2 ** -24;
/** How much further below its quotient an eigenvalue is looked for next. */
const FURTHER = 32;
/** How often a vector is improved. */
const REFINEMENTS = 2;

/**
 * The least eigenvalue of a symmetric matrix with a guaranteed interval, without any other.
 *
 *   λ_min ≤ vᵀA v / vᵀv         λ_min ≥ μ − ‖E‖, as A − μ has a Cholesky factor
 *
 * v comes from the Lanczos iteration on the inverse, μ from a little below its Rayleigh quotient.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 1, 2);
 * const { value, bound } = await leastEigenvalue(gpu, { gram, order: 2 }); // 1, to a few 2⁻⁵⁰
 * ```
 *
 * **Error** none: the interval is a few γ_k (tr |A| + n |λ|) wide where v has converged, wider where not.
 * **Cost** two factorizations, n³ / 3 flops each; more where eigenvalues crowd. **From** Rump 2006.
 */
export const leastEigenvalue = (gpu: Gpu, matrix: HostMatrix, job?: Job): Promise<EnclosedValue> =>
  inRange(matrix, (near) => least(gpu, near, null, job));

/**
 * The greatest eigenvalue, alike: that of −A from below. v comes from the Lanczos iteration on A itself where that
 * converges, so that one factorization is enough.
 */
export const greatestEigenvalue = (
  gpu: Gpu,
  matrix: HostMatrix,
  job?: Job,
): Promise<EnclosedValue> =>
  inRange(matrix, async ({ gram, order }) => {
    const times = (vector: Float64Array) => productWith(gram, vector);
    const top = await topVector(gpu, times, normals64(11, order), job);
    const opposite = { gram: gram.map((value) => -value), order };
    const { value, bound } = await least(gpu, opposite, top, job);
    return { value: -value, bound };
  });

/** Has a matrix's entries clear of overflow. */
async function inRange(
  matrix: HostMatrix,
  solve: (near: HostMatrix) => Promise<EnclosedValue>,
): Promise<EnclosedValue> {
  const { gram, order } = matrix;
  const entry = largest64(gram);
  if (!(entry < Infinity))
    throw new InputError(
      `leastEigenvalue: the largest entry is ${entry}, but every one must be finite. Check the matrix.`,
    );
  if (entry === 0) return { value: 0, bound: 0 };
  const power = powerInto(entry);
  if (power === 1) return solve(matrix);
  const { value, bound } = await solve({ gram: gram.map((each) => each * power), order });
  return { value: value / power, bound: bound / power + Number.MIN_VALUE };
}

/** A vector, and how far its quotient may be from the greatest eigenvalue; 0 where it has converged. */
interface Top {
  readonly vector: Float64Array;
  readonly off: number;
}

/** The eigenvector of the greatest eigenvalue, as far as one Lanczos iteration gets. */
async function topVector(
  gpu: Gpu,
  times: (vector: Float64Array) => Float64Array,
  start: Float64Array,
  job?: Job,
): Promise<Top> {
  const n = start.length;
  const turn = turns(gpu, job, "lanczos", 2 * n * n * STEPS);
  const offOf = (tridiagonal: Tridiagonal, rest: number) => {
    const { values, last } = tridiagonalEigen(tridiagonal);
    const residual = Math.abs(rest * last[0]);
    return residual <= TOLERANCE * Math.abs(values[0]) ? 0 : residual;
  };
  const { tridiagonal, basis, rest } = await hostLanczos(
    async (vector) => {
      await turn(2 * n * n);
      return times(vector);
    },
    start,
    Math.min(n, STEPS),
    (so, far) => offOf(so, far) === 0,
  );
  const within = tridiagonalVectors(tridiagonal, [tridiagonalEigen(tridiagonal).values[0]]);
  const vector = new Float64Array(n);
  basis.forEach((q, k) => {
    for (let i = 0; i < n; i++) vector[i] += within[k] * q[i];
  });
  return { vector, off: offOf(tridiagonal, rest) };
}

/** @param top the vector to start with, where there is one */
async function least(
  gpu: Gpu,
  matrix: HostMatrix,
  top: Top | null,
  job?: Job,
): Promise<EnclosedValue> {
  const { gram, order: n } = matrix;
  const size = norm64(gram);
  const unit = 4 * gamma64(chain64(n) + 80) * size;
  /** By the Lanczos iteration on (A + shift)⁻¹. */
  const improved = ({ lower }: HostFactor, start: Float64Array) =>
    topVector(
      gpu,
      (v) => {
        const x = v.slice();
        substitute(lower, x);
        return x;
      },
      start,
      job,
    );
  let lowest = -Infinity;
  // The first of ever larger shifts that there is a factor for.
  for (let shift = 0; !top; shift = Math.max(unit, FURTHER * shift)) {
    const factor = await hostFactor(gpu, matrix, shift, job);
    if (!factor.definite) continue;
    lowest = factor.least;
    top = { ...(await improved(factor, normals64(11, n))), off: 0 };
  }
  let value = quotient(gram, top.vector);
  // What rounding may have done to the quotient: |v|ᵀ |A| |v| ≤ ‖A‖_F.
  const rounding = gamma64(3 * chain64(n) + 4) * size;
  let left = REFINEMENTS;
  for (let below = Math.max(unit, top.off); below < Infinity; below *= FURTHER) {
    const proof = await hostFactor(gpu, matrix, below - value, job);
    if (!proof.definite) continue;
    lowest = Math.max(lowest, proof.least);
    if (below === unit || left === 0)
      return { value, bound: Math.max(value - lowest, rounding) * SLACK };
    // Too far off: from so near the factor tells what crowds there.
    left -= 1;
    top = await improved(proof, top.vector);
    value = Math.min(value, quotient(gram, top.vector));
    below = unit / FURTHER; // unit, once more
  }
  return { value, bound: Infinity };
}

/** A v. */
function productWith(gram: Float64Array, vector: Float64Array): Float64Array {
  const n = vector.length;
  const product = new Float64Array(n);
  rowProducts(vector, 0, 1, gram, n, n, product);
  return product;
}

/** vᵀ A v / vᵀ v. */
function quotient(gram: Float64Array, vector: Float64Array): number {
  const n = vector.length;
  const sums = new Float64Array(2);
  rowProducts(vector, 0, 1, productWith(gram, vector), 1, n, sums);
  rowProducts(vector, 0, 1, vector, 1, n, sums.subarray(1));
  return sums[0] / sums[1];
}
