import { boundedSpectrum } from "../stages/5-bounded.ts";
import type { EndsSolver } from "../stages/5-spectrum.ts";
import { leastEigenvalues } from "./least.ts";

/** Up to this order all eigenvalues are solved for where those at an end crowd. */
const WHOLE = 4096;

/**
 * Several eigenvalues at both ends of a symmetric matrix in f64 on the CPU with guaranteed intervals, without those
 * between: what `boundedSpectrum` and `ntk` take as `ends`.
 *
 * ```ts
 * const order = 300;
 * const gram = Float64Array.from({ length: order ** 2 }, (_, at) => 1 / (1 + at % order + Math.floor(at / order)));
 * const choice = { top: 3, bottom: 1, ends: extremeEigenvalues };
 * const { eigenvalues, errorBounds } = await boundedSpectrum(gpu, { gram, order }, choice);
 * ```
 *
 * **Error** and **cost** those of {@link leastEigenvalues}, of A and of −A, and 8 n² bytes more; where values crowd so that
 * it cannot tell them apart, those of all eigenvalues, up to order 4096.
 */
export const extremeEigenvalues: EndsSolver = async (gpu, matrix, job, top, bottom) => {
  const { gram, order } = matrix;
  const opposite = { gram: gram.map((value) => -value), order };
  const most = await leastEigenvalues(gpu, opposite, top, job);
  const least = await leastEigenvalues(gpu, matrix, bottom, job);
  if (order <= WHOLE && !(most.separated && least.separated)) {
    const all = await boundedSpectrum(gpu, matrix, { ...job, all: true });
    return { values: all.eigenvalues, solver: all.errorBounds };
  }
  const values = new Float64Array(order).fill(NaN);
  const solver = values.slice();
  most.values.forEach((value, i) => {
    values[i] = -value;
    solver[i] = most.bounds[i];
  });
  least.values.forEach((value, i) => {
    values[order - 1 - i] = value;
    solver[order - 1 - i] = least.bounds[i];
  });
  return { values, solver };
};
