import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { normals64 } from "./0-normal.ts";
import type { Lanczos } from "./4-lanczos.ts";

/** Random vectors that a norm is tried with, and the smallest share of the top direction that one of them may hold. */
const PROBES = 8;
const SHARE = 0.2;
/** Applications of the map to each probe: more of them leave less of the other directions in the bound. */
const ROUNDS = 4;

/**
 * A bound on the 2-norm of a linear map from how it stretches Gaussian vectors, right with probability
 * 1 − (√(2/π) · 0.2)⁸ > 1 − 5e-7 whatever the map:
 *
 *   ‖S‖⁴ · |⟨v, x⟩| ≤ ‖S⁴ x‖ with v the top direction of S = MᵀM, and some x has |⟨v, x⟩| ≥ 0.2
 *
 * @param size length of the vectors that go in
 * @param square x ↦ MᵀM x, or x ↦ M x for a symmetric M with `symmetric`
 *
 * **Cost** 32 applications. **From** the power method's analysis by Kuczyński & Woźniakowski 1992.
 */
async function normBound(
  size: number,
  square: (x: Float64Array) => Float64Array,
  symmetric: boolean,
  pause: () => Promise<void>,
): Promise<number> {
  let bound = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    let x: Float64Array = normals64(7, size, probe * size);
    let grown = 1;
    for (let round = 0; round < ROUNDS; round++) {
      x = square(x);
      // Kept near 1 between rounds, as tiny maps would underflow.
      const length = norm(x);
      grown *= length;
      if (length > 0) x = x.map((value) => value / length);
      await pause();
    }
    const stretch = (grown / SHARE) ** (1 / ROUNDS);
    bound = Math.max(bound, symmetric ? stretch : Math.sqrt(stretch));
  }
  return bound;
}

const norm = (x: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
};

type Host = Float32Array | Float64Array;

/** rows · x for a row-major matrix [count, x.length] on the host, in f64 by four sums. */
function times(matrix: Host, count: number, x: Float64Array): Float64Array {
  const n = x.length;
  return Float64Array.from({ length: count }, (_, i) => {
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    const at = i * n;
    let j = 0;
    for (; j + 3 < n; j += 4) {
      s0 += matrix[at + j] * x[j];
      s1 += matrix[at + j + 1] * x[j + 1];
      s2 += matrix[at + j + 2] * x[j + 2];
      s3 += matrix[at + j + 3] * x[j + 3];
    }
    for (; j < n; j++) s0 += matrix[at + j] * x[j];
    return s0 + s1 + (s2 + s3);
  });
}

/** xᵀ · rows for a row-major matrix [x.length, n] on the host, in f64. */
function combined(matrix: Host, n: number, x: Float64Array): Float64Array {
  const out = new Float64Array(n);
  for (let k = 0; k < x.length; k++)
    for (let i = 0, at = k * n, xk = x[k]; i < n; i++, at++) out[i] += xk * matrix[at];
  return out;
}

/** T x for a symmetric tridiagonal T. */
const tridiagonalTimes = (
  { diagonal, beside }: Lanczos["tridiagonal"],
  x: Float64Array,
): Float64Array =>
  x.map(
    (value, i) =>
      diagonal[i] * value +
      (i > 0 ? beside[i - 1] * x[i - 1] : 0) +
      (i + 1 < x.length ? beside[i] * x[i + 1] : 0),
  );

/**
 * How far the eigenvalues of T are from values of the matrix, beside the residual that the iteration knows of:
 *
 *   |λ − θ| ≤ residual + (‖F‖ + δ² ‖T‖) / (1 − δ)²,   F = A Q − Q T − β q eᵀ,   δ = ‖QᵀQ − 1‖
 *
 * The loss of orthogonality counts only squared: with Q = U P, P = (QᵀQ)^½ = 1 + Δ, the first order of
 * P T P⁻¹ − T is Δ T − T Δ, which is antisymmetric, while Uᵀ A U − T is symmetric.
 *
 * F and δ are measured in f64 on the CPU by random vectors, so the bound rests on no model of rounding.
 *
 * @param matrix the matrix whose eigenvalues are meant, on the host: [n, n]
 *
 * **Cost** about 130 n² + 450 n · steps operations on the CPU, and reading the basis back.
 */
export async function ritzError(
  gpu: Gpu,
  matrix: Host,
  { basis, steps, tridiagonal, values, rest }: Lanczos,
  job?: Job,
): Promise<number> {
  const n = basis.columns;
  const q = await gpu.read(basis, job);
  let rounds = 0;
  const pause = async () => {
    job?.signal?.throwIfAborted();
    job?.onProgress?.({ stage: "bounds", share: ++rounds / (2 * PROBES * ROUNDS) });
    await gpu.settle(gpu.device.queue.onSubmittedWorkDone());
  };
  const left = (x: Float64Array): Float64Array => {
    const out = times(matrix, n, combined(q, n, x));
    const inside = combined(q, n, tridiagonalTimes(tridiagonal, x));
    const over = rest.beta * x[steps - 1];
    return out.map((value, i) => value - inside[i] - (over === 0 ? 0 : over * rest.vector[i]));
  };
  const right = (y: Float64Array): Float64Array => {
    const out = times(q, steps, times(matrix, n, y));
    const inside = tridiagonalTimes(tridiagonal, times(q, steps, y));
    const f = out.map((value, k) => value - inside[k]);
    if (rest.beta !== 0)
      f[steps - 1] -= rest.beta * y.reduce((sum, value, i) => sum + value * rest.vector[i], 0);
    return f;
  };
  const f = await normBound(steps, (x) => right(left(x)), false, pause);
  const gap = (x: Float64Array) => times(q, steps, combined(q, n, x)).map((v, k) => v - x[k]);
  const delta = await normBound(steps, gap, true, pause);
  const size = Math.max(Math.abs(values[0]), Math.abs(values[steps - 1]));
  return delta < 0.5 ? (f + delta * delta * size) / (1 - delta) ** 2 : Infinity;
}
