import { norm64 } from "../stages/0-double.ts";
import type { HostMatrix } from "../stages/4-cholesky.ts";
import { normals64 } from "../stages/0-normal.ts";
import { hostLanczos } from "../stages/4-krylov.ts";
import { tridiagonalEigen, type Tridiagonal } from "../stages/4-tridiagonal.ts";

/** A v for a symmetric matrix on the host. */
export function times({ gram, order: n }: HostMatrix, vector: Float64Array): Float64Array {
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    const at = i * n;
    for (let j = 0; j < n; j++) sum += gram[at + j] * vector[j];
    out[i] = sum;
  }
  return out;
}

/** A number with the half width of its interval. */
export interface Measured {
  readonly value: number;
  readonly bound: number;
}

/** Steps after which an operator norm is taken as it is; each eighth looks whether it is known well enough. */
const STEPS = 64;
/** Share of itself that an operator norm may be off by. */
const TOLERANCE = 1e-7;

/**
 * ‖A‖₂ of a symmetric matrix: the largest |Ritz value| of a Lanczos run from a random vector.
 *
 * ```ts
 * const { value } = await operatorNorm({ gram: Float64Array.of(0, 2, 2, 0), order: 2 }); // 2
 * ```
 *
 * @returns with the residual of that Ritz value as half width: an eigenvalue lies so near; that it is the largest is
 * probable, not sure
 *
 * **Cost** up to 64 products with A.
 */
export async function operatorNorm(matrix: HostMatrix): Promise<Measured> {
  return normOf(async (vector) => times(matrix, vector), matrix.order);
}

/** The same for a matrix that is known only by what it makes of vectors. */
export async function normOf(
  product: (vector: Float64Array) => Promise<Float64Array>,
  order: number,
): Promise<Measured> {
  const largest = (tridiagonal: Tridiagonal, rest: number): Measured => {
    const { values, last } = tridiagonalEigen(tridiagonal);
    const place =
      Math.abs(values[0]) >= Math.abs(values[values.length - 1]) ? 0 : values.length - 1;
    return { value: Math.abs(values[place]), bound: Math.abs(rest * last[place]) };
  };
  const steps = Math.min(order, STEPS);
  const { tridiagonal, rest } = await hostLanczos(
    product,
    normals64(17, order),
    steps,
    (soFar, left) => {
      const { value, bound } = largest(soFar, left);
      return bound <= TOLERANCE * value;
    },
  );
  return largest(tridiagonal, rest);
}

/** A − B of matrices on the host. */
export const minus = (a: Float64Array, b: Float64Array): Float64Array =>
  a.map((value, at) => value - b[at]);

/** Σ A_ij B_ij. */
export function innerProduct(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}

/**
 * How well a kernel is aligned with targets: yᵀ H y / (‖H‖_F ‖y‖²), 1 where H is a multiple of y yᵀ.
 *
 * @param gram [n · O, n · O], index i · O + a
 * @param targets [n · O]
 * @param centred first takes the mean over samples away, of the features and of each output's targets
 * @returns null where nothing is left of kernel or targets
 *
 * **From** Cristianini et al. 2001; centred as Cortes, Mohri & Rostamizadeh 2012.
 */
export function alignment(
  gram: Float64Array,
  targets: ArrayLike<number>,
  outputs: number,
  centred = false,
): number | null {
  const order = targets.length;
  const y = Float64Array.from(targets);
  const h = centred ? gram.slice() : gram;
  if (centred) {
    takeMeans(y, 1, outputs);
    takeMeans(h, order, outputs);
    for (let i = 0; i < order; i++) takeMeans(h.subarray(i * order, (i + 1) * order), 1, outputs);
  }
  const along = innerProduct(y, times({ gram: h, order }, y));
  const sizes = norm64(h) * innerProduct(y, y);
  // What centring leaves of equal numbers is rounding.
  const least = centred ? 2 ** -40 * norm64(gram) * innerProduct(targets, targets) : 0;
  return sizes > least ? along / sizes : null;
}

/** Takes from rows [n · O, width] the mean over samples of each output's rows. */
function takeMeans(rows: Float64Array, width: number, outputs: number): void {
  const count = rows.length / width;
  const means = new Float64Array(outputs * width);
  for (let i = 0, o = 0; i < count; i++, o = o + 1 === outputs ? 0 : o + 1)
    for (let k = 0; k < width; k++) means[o * width + k] += (rows[i * width + k] * outputs) / count;
  for (let i = 0, o = 0; i < count; i++, o = o + 1 === outputs ? 0 : o + 1)
    for (let k = 0; k < width; k++) rows[i * width + k] -= means[o * width + k];
}

/**
 * How far the span of some vectors has moved: 1 − ‖V₀ Vᵀ‖²_F / k, 0 where it has not, 1 where all of it is new.
 *
 * @param before, after k orthonormal rows each
 */
export function subspaceChange(before: Float32Array, after: Float32Array, n: number): number {
  const k = before.length / n;
  let sum = 0;
  for (let a = 0; a < k; a++)
    for (let b = 0; b < k; b++) {
      let dot = 0;
      for (let i = 0; i < n; i++) dot += before[a * n + i] * after[b * n + i];
      sum += dot * dot;
    }
  return 1 - sum / k;
}

/**
 * The kernel of several outputs that do not touch each other: K ⊗ 1, index i · O + a.
 *
 * @param kernel [n1, n2], between one output and itself
 */
export function ofOutputs(kernel: Float64Array, n2: number, outputs: number): Float64Array {
  if (outputs === 1) return kernel;
  const n1 = kernel.length / n2;
  const columns = n2 * outputs;
  const out = new Float64Array(n1 * outputs * columns);
  for (let i = 0; i < n1; i++)
    for (let j = 0; j < n2; j++)
      for (let o = 0; o < outputs; o++)
        out[(i * outputs + o) * columns + j * outputs + o] = kernel[i * n2 + j];
  return out;
}
