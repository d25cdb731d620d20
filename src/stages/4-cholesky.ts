import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { chain64, gamma64, rowProducts, SLACK, turns, U64 } from "./0-double.ts";

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

/** A + shift = L Lᵀ in f64, and what follows from it. */
export interface HostFactor {
  readonly definite: true;
  /** L [n, n]; 0 above the diagonal. */
  readonly lower: Float64Array;
  /** log det(A + shift). */
  readonly logDet: number;
  /** A number that λ_min(A) is surely not below: that L could be computed proves it. */
  readonly least: number;
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

/**
 * Cholesky's factorization of a symmetric matrix in f64 on the CPU, in blocks.
 *
 * @param shift added to the diagonal
 *
 * **Error** L Lᵀ = A + shift + E with ‖E‖_F ≤ γ_k tr(A + shift) / (1 − γ_k), whatever the data; so success proves
 * λ_min(A) ≥ −shift − ‖E‖. **Cost** n³ / 3 flops, about 3 GFLOP/s.
 * **From** Higham 2002, theorem 10.3; Rump 2006 for the proof of definiteness.
 * @throws InputError for a matrix of another shape
 */
export async function hostFactor(
  gpu: Gpu,
  { gram, order: n }: HostMatrix,
  shift: number,
  job?: Job,
): Promise<HostFactor | Indefinite> {
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
  return { definite: true, logDet, least: least - 2 * U64 * Math.abs(least), lower };
}

/** x ← L⁻ᵀ L⁻¹ x. **Cost** 2 n² flops. */
export function substitute(lower: Float64Array, x: Float64Array): void {
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
