import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import {
  chain64,
  gamma64,
  norm64,
  PANEL,
  rowNorms,
  rowProducts,
  SLACK,
  turns,
  U64,
} from "./0-double.ts";
import type { DenseEigen } from "./4-dense.ts";

/**
 * Half widths of intervals that are sure to hold the eigenvalues of a symmetric matrix, from any approximation of all
 * eigenvalues and eigenvectors: the i-th interval holds the i-th largest eigenvalue, so that none is missed.
 *
 *   |λ_i − θ_i| ≤ ρ = (‖R‖ + δ² max |θ|) / (1 − δ)²     R = A V − V Θ,  δ = ‖VᵀV − 1‖
 *   |λ_i − θ_i| ≤ ‖r_i‖ / ‖v_i‖                         where no other interval of width ρ comes as near as that
 *
 * @param matrix [n, n] row-major in f64, symmetric to the bit
 * @param eigen values, largest first, and vectors [n, n], one a row
 * @returns half widths, [n]; infinite where the vectors are no basis
 *
 * **Error** none: norms are those of Frobenius, and roundings of the residuals count at their largest, γ_k ‖A‖_F.
 * **Cost** 3 n³ flops. **From** Weyl's inequality for Uᵀ A U, V = U P the polar form: of P Θ P⁻¹ − Θ the part of first
 * order is antisymmetric; Parlett 1998, chapters 4 and 10.
 */
export async function enclose(
  gpu: Gpu,
  matrix: Float64Array,
  n: number,
  { values, vectors }: DenseEigen,
  job?: Job,
): Promise<Float64Array> {
  const turn = turns(gpu, job, "bounds", 3 * n ** 3);
  const size = norm64(matrix);
  const rounded = gamma64(chain64(n) + 2);
  const product = new Float64Array(n * n);
  // Row i: A v_i, then r_i.
  for (let from = 0; from < n; from += PANEL) {
    const to = Math.min(n, from + PANEL);
    rowProducts(vectors, from, to, matrix, n, n, product);
    for (let i = from; i < to; i++)
      for (let k = i * n; k < (i + 1) * n; k++) product[k] -= values[i] * vectors[k];
    await turn(2 * (to - from) * n * n);
  }
  const lengths = rowNorms(vectors, n);
  const residuals = rowNorms(product, n).map(
    (r, i) =>
      (r + rounded * size * lengths[i] + 3 * U64 * Math.abs(values[i]) * lengths[i]) * SLACK,
  );
  for (let from = 0; from < n; from += PANEL) {
    const to = Math.min(n, from + PANEL);
    rowProducts(vectors, from, to, vectors, n, n, product, true);
    await turn((to - from) * to * n);
  }
  let off = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++)
      off += (i === j ? 1 : 2) * (product[i * n + j] - (i === j ? 1 : 0)) ** 2;
  const squares = lengths.reduce((sum, length) => sum + length * length, 0);
  const delta = SLACK * (Math.sqrt(off) + rounded * squares);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const whole =
    delta < 0.5
      ? (SLACK * (norm64(residuals) + delta * delta * largest)) / (1 - delta) ** 2
      : Infinity;
  return values.map((value, i) => {
    const own = (SLACK * residuals[i]) / lengths[i];
    const gap = Math.min(
      i > 0 ? values[i - 1] - value : Infinity,
      i + 1 < n ? value - values[i + 1] : Infinity,
    );
    return own < whole && gap * (1 - 4 * U64) > whole + own ? own : whole;
  });
}
