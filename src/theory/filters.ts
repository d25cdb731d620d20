import { hostLanczos } from "../stages/4-krylov.ts";
import { implicitQl, type Tridiagonal } from "../stages/4-tridiagonal.ts";
import { norm64 } from "../stages/0-double.ts";
import type { HostMatrix } from "../stages/4-cholesky.ts";
import { times } from "./kernelMeasures.ts";

/** What training of a linear model makes of the residual along an eigenvector of the kernel, by its eigenvalue. */
export interface Filter {
  /** What is left of it: e^(−λt) or (1 − ηλ)^k. */
  left(lambda: number): number;
  /** What was learnt of it over λ: (1 − left) / λ, finite at λ = 0. */
  gain(lambda: number): number;
}

/**
 * Gradient flow for a time t, in the convention of the sum loss: left = e^(−λt), gain = t φ₁(−λt), φ₁(z) = (e^z − 1) / z.
 *
 * @param time from 0; at ∞ the gain is 1 / λ, and 0 where λ counts as 0
 * @param floor eigenvalues up to it count as 0, as nothing tells them from it: what lies along them is not learnt, and as
 * positive semidefinite kernels are 0 there in every block, gains do not matter and are 0
 */
export function flowFilter(time: number, floor = 0): Filter {
  if (time === Infinity)
    return {
      left: (lambda) => (lambda > floor ? 0 : 1),
      gain: (lambda) => (lambda > floor ? 1 / lambda : 0),
    };
  return {
    left: (lambda) => (lambda > floor ? Math.exp(-lambda * time) : 1),
    gain: (lambda) =>
      lambda > floor ? -Math.expm1(-lambda * time) / lambda : floor > 0 ? 0 : time,
  };
}

/** k steps of descent at rate η: left = (1 − ηλ)^k, gain = (1 − left) / λ; `floor` as for the flow. */
export function descentFilter(rate: number, steps: number, floor = 0): Filter {
  return {
    left: (lambda) => (lambda > floor ? (1 - rate * lambda) ** steps : 1),
    gain(lambda) {
      if (!(lambda > floor)) return floor > 0 ? 0 : rate * steps;
      const x = rate * lambda;
      return x < 0.5
        ? -Math.expm1(steps * Math.log1p(-x)) / lambda
        : (1 - (1 - x) ** steps) / lambda;
    },
  };
}

/** Most Lanczos steps that a function of a matrix is approximated with. */
const STEPS = 256;
/** Share of max |f| · ‖v‖ that eight further steps may still change. */
const TOLERANCE = 1e-10;

/**
 * f(A) v for a symmetric matrix on the host without its eigenvectors: ‖v‖ Q f(T) e₁ of a Lanczos run that goes on until
 * what eight steps change falls below 1e-10 · max |f| · ‖v‖, or 256 steps are done.
 *
 * @param f of eigenvalues, smooth where they lie
 *
 * **Cost** as many products with A as the run has steps, at most 256. **From** Saad 1992.
 */
export async function functionTimes(
  matrix: HostMatrix,
  f: (lambda: number) => number,
  vector: Float64Array,
): Promise<Float64Array> {
  const size = norm64(vector);
  const n = matrix.order;
  if (size === 0) return new Float64Array(n);
  let before: Float64Array = new Float64Array(0);
  let largest = 0;
  /** f(T) e₁. */
  const ofSteps = (tridiagonal: Tridiagonal): Float64Array => {
    const m = tridiagonal.diagonal.length;
    const unit = new Float64Array(m * m);
    for (let k = 0; k < m; k++) unit[k * m + k] = 1;
    const { values, rows } = implicitQl(tridiagonal, unit, m);
    const out = new Float64Array(m);
    for (let row = 0; row < m; row++) {
      const value = f(values[row]);
      largest = Math.max(largest, Math.abs(value));
      for (let k = 0; k < m; k++) out[k] += value * rows[row * m] * rows[row * m + k];
    }
    return out;
  };
  const { tridiagonal, basis } = await hostLanczos(
    async (v) => times(matrix, v),
    vector,
    Math.min(n, STEPS),
    (soFar) => {
      const now = ofSteps(soFar);
      const change = Math.hypot(...now.map((value, k) => value - (before[k] ?? 0)));
      before = now;
      return change <= TOLERANCE * largest;
    },
  );
  const weights = ofSteps(tridiagonal);
  const out = new Float64Array(n);
  basis.forEach((q, k) => {
    for (let i = 0; i < n; i++) out[i] += size * weights[k] * q[i];
  });
  return out;
}
