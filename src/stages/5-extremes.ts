import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import {
  chain64,
  gamma64,
  largest64,
  norm64,
  powerAgainst,
  rowProducts,
  SLACK,
} from "./0-double.ts";
import { normals64 } from "./0-normal.ts";
import { cholesky, type HostMatrix } from "./4-cholesky.ts";
import { hostLanczos } from "./4-krylov.ts";
import { tridiagonalEigen, tridiagonalVectors } from "./4-tridiagonal.ts";

/** An eigenvalue with an interval that surely holds it. */
export interface EnclosedValue {
  readonly value: number;
  readonly bound: number;
}

/** Lanczos steps on the inverse with one factor. */
const STEPS = 16;
/** How much nearer to the eigenvalue the second factor's shift is than the first's. */
const NEARER = 1 / 256;

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
 * **Cost** three or four factorizations, n³ / 3 flops each. **From** Rump 2006.
 */
export async function leastEigenvalue(
  gpu: Gpu,
  matrix: HostMatrix,
  job?: Job,
): Promise<EnclosedValue> {
  const { gram, order: n } = matrix;
  const entry = largest64(gram);
  if (!(entry < Infinity))
    throw new InputError(
      `leastEigenvalue: the largest entry is ${entry}, but every one must be finite. Check the matrix.`,
    );
  if (entry === 0) return { value: 0, bound: 0 };
  if (entry < 2 ** -200 || entry > 2 ** 200) {
    const power = powerAgainst(entry);
    const near = { gram: gram.map((value) => value * power), order: n };
    const { value, bound } = await leastEigenvalue(gpu, near, job);
    return { value: value / power, bound: bound / power + Number.MIN_VALUE };
  }
  const size = norm64(gram);
  const unit = 4 * gamma64(chain64(n) + 80) * size;
  /** The factor of A + shift for the first of ever larger shifts that has one. */
  const factorFrom = async (start: number, step: number) => {
    for (let more = 0, shift = start; ; more = more === 0 ? step : 8 * more) {
      shift = start + more;
      const factor = await cholesky(gpu, matrix, shift, job);
      if (factor.definite) return { factor, shift };
    }
  };
  let { factor, shift } = await factorFrom(0, unit);
  let vector: Float64Array = normals64(11, n);
  let value = 0;
  for (let round = 0; round < 2; round++) {
    const { solve } = factor;
    const inverse = async (v: Float64Array) => (await solve(v, job)).values;
    const { tridiagonal, basis } = await hostLanczos(inverse, vector, Math.min(n, STEPS));
    const [most] = tridiagonalEigen(tridiagonal).values;
    const within = tridiagonalVectors(tridiagonal, [most]);
    vector = new Float64Array(n);
    basis.forEach((q, k) => {
      for (let i = 0; i < n; i++) vector[i] += within[k] * q[i];
    });
    value = quotient(matrix, vector);
    const distance = (value + shift) * NEARER;
    if (round === 0 && distance > unit)
      ({ factor, shift } = await factorFrom(distance - value, distance));
    else break;
  }
  // What rounding may have done to the quotient: |v|ᵀ |A| |v| ≤ ‖A‖_F.
  const rounding = gamma64(3 * chain64(n) + 4) * size;
  for (let below = unit; below < Infinity; below *= 4) {
    const proof = await cholesky(gpu, matrix, below - value, job);
    if (!proof.definite) continue;
    const low = Math.max(proof.least, factor.least);
    return { value, bound: Math.max(value - low, rounding) * SLACK };
  }
  return { value, bound: Infinity };
}

/** The greatest eigenvalue, alike: that of −A from below. */
export async function greatestEigenvalue(
  gpu: Gpu,
  { gram, order }: HostMatrix,
  job?: Job,
): Promise<EnclosedValue> {
  const opposite = { gram: gram.map((value) => -value), order };
  const { value, bound } = await leastEigenvalue(gpu, opposite, job);
  return { value: -value, bound };
}

/** vᵀ A v / vᵀ v. */
function quotient({ gram, order: n }: HostMatrix, vector: Float64Array): number {
  const product = new Float64Array(n);
  rowProducts(vector, 0, 1, gram, n, n, product);
  const sums = new Float64Array(2);
  rowProducts(vector, 0, 1, product, 1, n, sums);
  rowProducts(vector, 0, 1, vector, 1, n, sums.subarray(1));
  return sums[0] / sums[1];
}
