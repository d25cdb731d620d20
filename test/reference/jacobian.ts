/** J = ∂f/∂θ in f64, with a bound for each entry. */
import { gamma, UW } from "./compare.ts";
import {
  layersOf,
  paramsOf,
  scaleRoundings,
  type Activations,
  type ReferenceNetwork,
  type Signals,
} from "./network.ts";

export interface Jacobian {
  /** n · O */
  rows: number;
  params: number;
  /** [n·O, params], row i·O + o; layers.0.weight row-major, layers.0.bias, layers.1.weight, … */
  jac: Float64Array;
  /** |engine − jac|, entry by entry. */
  bound: Float64Array;
}

/**
 * The rows of J: ∂f_o/∂W_l = c_l g[l] ⊗ a[l], ∂f_o/∂b_l = β g[l].
 *
 *   bound = |c| (|g| da + dg |a| + dg da) + γ_k(u) |c| (|g| + dg)(|a| + da),  β likewise
 *
 * with k = 1 for g·a and the roundings of the scale. `u` as in `Arithmetic`.
 *
 * **Cost** 2 n·O·params numbers of memory.
 */
export function jacobian(
  net: ReferenceNetwork,
  activations: Activations,
  signals: Signals,
  u: number = UW,
): Jacobian {
  const { rows, g, dg } = signals;
  const { a, da, n } = activations;
  const outputs = rows / n;
  const params = paramsOf(net);
  const jac = new Float64Array(rows * params);
  const bound = new Float64Array(rows * params);
  layersOf(net).forEach(({ fanIn, fanOut, scale, biasScale, firstParam }, l) => {
    const size = Math.abs(scale);
    const rounding = gamma(1 + scaleRoundings(scale), u);
    const biasRounding = gamma(scaleRoundings(biasScale ?? 1), u);
    for (let row = 0; row < rows; row++) {
      const sample = Math.floor(row / outputs);
      const start = row * params + firstParam;
      for (let k = 0; k < fanOut; k++) {
        const x = g[l][row * fanOut + k];
        const dx = dg[l][row * fanOut + k];
        const xAbs = Math.abs(x);
        for (let j = 0; j < fanIn; j++) {
          const y = a[l][sample * fanIn + j];
          const dy = da[l][sample * fanIn + j];
          const yAbs = Math.abs(y);
          jac[start + k * fanIn + j] = scale * x * y;
          bound[start + k * fanIn + j] =
            size * (xAbs * dy + dx * yAbs + dx * dy + rounding * (xAbs + dx) * (yAbs + dy));
        }
        if (biasScale === null) continue;
        const at = start + fanOut * fanIn + k;
        jac[at] = biasScale * x;
        bound[at] = Math.abs(biasScale) * (dx + biasRounding * (xAbs + dx));
      }
    }
  });
  return { rows, params, jac, bound };
}
