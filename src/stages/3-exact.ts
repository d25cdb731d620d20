import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import { chain64, gamma64, rowNorms, rowProducts, turned, turns, U64 } from "./0-double.ts";
import type { Network } from "./0-network.ts";
import { bits } from "./0-normal.ts";
import type { LayerWeights } from "./0-weights.ts";
import { exactForward, PANEL, spectralBound } from "./1-exact.ts";

/** A tangent kernel computed in f64, with what is certain of its errors. */
export interface ExactKernel {
  /** H̃ [n · O, n · O] row-major; `trace`: [n, n]. */
  readonly gram: Float64Array;
  readonly order: number;
  /** ‖δJ‖_F: H̃ is, but for `rounding`, the Gram matrix of a Jacobian this close to the exact one. */
  readonly jacobianError: number;
  /** ‖H̃ − (J + δJ)(J + δJ)ᵀ‖₂: what rounding of the products did. */
  readonly rounding: number;
  /** Units of samples whose side of the kink is not sure; they count in `jacobianError`. */
  readonly unsure: number;
}

/**
 * The tangent kernel in f64 on the CPU, layer by layer, with guaranteed error bounds.
 *
 *   H = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ)
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @param trace the mean over equal outputs instead of every pair
 *
 * **Error** in two parts, as they act differently on eigenvalues: with J̃ = J + δJ the Jacobian that the rounded
 * activations and signals stand for, ‖H̃ − J̃ J̃ᵀ‖_F ≤ γ_k tr H̃, and ‖δJ‖_F² ≤ Σ c² (‖δg‖ ‖a‖ + ‖g + δg‖ ‖δa‖)² + β² ‖δg‖².
 * **Cost** 2 · n · (1 + O) · parameters + Σ (n² fanIn + (n O)² units) flops, about 4 GFLOP/s.
 * @throws the signal's reason when aborted
 */
export async function exactKernel(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  trace: boolean,
  job?: Job,
): Promise<ExactKernel> {
  const pass = await exactForward(gpu, net, weights, inputs, job);
  const { n, a, slopes, aErrors, slopeErrors, unsure } = pass;
  const outputs = net.outputs;
  const rows = n * outputs;
  const order = trace ? n : rows;
  const flops = net.layers.reduce(
    (sum, { fanIn, units }) => sum + n * n * fanIn + rows * rows * units + 2 * rows * fanIn * units,
    0,
  );
  const turn = turns(gpu, job, "gram in f64", flops);
  const gram = new Float64Array(order * order);
  const seen = new Float64Array(n * n);
  const signed = new Float64Array(rows * rows);
  // Signals of the layer at hand: row i · O + o is ∂f_o(x_i) / ∂z, and bounds on their errors.
  let g = Float64Array.from({ length: rows * outputs }, (_, at) =>
    Math.floor(at / outputs) % outputs === at % outputs ? 1 : 0,
  );
  let gErrors = new Float64Array(rows);
  let jacobianSquares = 0;
  let chain = 0;
  for (const layer of [...net.layers].reverse()) {
    const { index, fanIn, units, shift } = layer;
    const scale = Math.abs(layer.scale);
    chain = Math.max(chain, chain64(fanIn) + chain64(units));
    for (let from = 0; from < n; from += PANEL) {
      const to = Math.min(n, from + PANEL);
      rowProducts(a[index], from, to, a[index], n, fanIn, seen, true);
      rowProducts(g, from * outputs, to * outputs, g, rows, units, signed, true);
      for (let i = from; i < to; i++)
        for (let j = 0; j <= i; j++) {
          const factor = scale * scale * seen[i * n + j] + shift * shift;
          for (let o = 0; o < outputs; o++) {
            const row = i * outputs + o;
            if (trace) gram[i * n + j] += factor * signed[row * rows + j * outputs + o];
            else
              for (let p = 0; p < outputs && (j < i || p <= o); p++) {
                const column = j * outputs + p;
                gram[row * rows + column] += factor * signed[row * rows + column];
              }
          }
        }
      await turn((to - from) * (to * fanIn + to * outputs * outputs * units));
    }
    const lengths = rowNorms(a[index], fanIn);
    const signals = rowNorms(g, units);
    for (let row = 0; row < rows; row++) {
      const i = Math.floor(row / outputs);
      const off = gErrors[row];
      const weightPart =
        off * lengths[i] +
        (signals[row] + off) * aErrors[index][i] +
        // c itself is rounded twice.
        3 * U64 * signals[row] * lengths[i];
      jacobianSquares += scale * scale * weightPart ** 2 + shift * shift * off ** 2;
    }
    if (index === 0) break;
    const weight = Float64Array.from(weights[index].weight);
    const back = turned(weight, fanIn);
    const columns = rowNorms(back, units);
    const whole = Math.sqrt(columns.reduce((sum, x) => sum + x * x, 0));
    const spectral = spectralBound(weight, layer, 2 * rows * layer.parameters);
    const relative = gamma64(chain64(units) + 4);
    const below = new Float64Array(rows * fanIn);
    const belowErrors = new Float64Array(rows);
    for (let from = 0; from < rows; from += PANEL) {
      const to = Math.min(rows, from + PANEL);
      rowProducts(g, from, to, back, fanIn, units, below);
      for (let row = from; row < to; row++) {
        const i = Math.floor(row / outputs);
        let steepest = 0;
        let largest = 0;
        let squares = 0;
        for (let h = 0, at = row * fanIn; h < fanIn; h++, at++) {
          const value = layer.scale * below[at];
          const slope = slopes[index - 1][i * fanIn + h];
          steepest = Math.max(steepest, Math.abs(slope));
          largest = Math.max(largest, Math.abs(value));
          below[at] = value * slope;
          squares += below[at] ** 2;
        }
        const error = scale * (spectral * gErrors[row] + relative * whole * signals[row]);
        const off = slopeErrors[index - 1][i];
        belowErrors[row] = steepest * error + (largest + error) * off + U64 * Math.sqrt(squares);
      }
      await turn(2 * (to - from) * fanIn * units);
    }
    g = below;
    gErrors = belowErrors;
  }
  let traceSum = 0;
  for (let i = 0; i < order; i++) {
    for (let j = 0; j <= i; j++) {
      if (trace) gram[i * order + j] /= outputs;
      gram[j * order + i] = gram[i * order + j];
    }
    traceSum += gram[i * order + i];
  }
  // Beside the two products: c twice, its square, · , + β² and β² itself, ∘, the sum over layers (and outputs, and ÷).
  const roundings = chain + 8 + net.layers.length + (trace ? outputs + 1 : 0);
  // Norms and sums of the bounds themselves are rounded too: far less than 2⁻³⁰.
  const slack = 1 + 2 ** -30;
  return {
    gram,
    order,
    jacobianError: slack * Math.sqrt(jacobianSquares / (trace ? outputs : 1)),
    rounding: slack * gamma64(roundings) * traceSum,
    unsure,
  };
}

/** Samples that {@link gramError} recomputes in f64; sets of at most this many are checked whole. */
const CHECKED = 32;

/**
 * How far a computed tangent kernel is from the exact one of its f32 weights and inputs, by recomputing the entries
 * between 32 samples drawn at random in f64.
 *
 *   ‖ΔH‖_F ≤ 3 · rms(ΔH_ij / √(H_ii H_jj)) · tr H
 *
 * @param gram the computed kernel [n · O, n · O] (`trace`: [n, n]) on the host
 * @returns a bound on ‖ΔH‖₂: measured whole for n ≤ 32; else it holds as far as the relative errors of all entries
 * are distributed as those of the drawn samples' (their mean square is then off by 9 with probability below 1e-5)
 *
 * **Cost** 32 · (2 + 2 · outputs) · parameters flops on the CPU.
 */
export async function gramError(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  gram: Float32Array | Float64Array,
  trace: boolean,
  job?: Job,
): Promise<number> {
  const n = inputs.length / net.inputs;
  const each = trace ? 1 : net.outputs;
  const order = n * each;
  const all = Array.from({ length: n }, (_, i) => i);
  const count = Math.min(n, CHECKED);
  // The first `count` places of a shuffle.
  for (let i = 0; i < count; i++) {
    const j = i + (bits(0, i) % (n - i));
    [all[i], all[j]] = [all[j], all[i]];
  }
  const samples = n <= CHECKED ? all.sort((a, b) => a - b) : all.slice(0, count);
  const own = new Float32Array(count * net.inputs);
  samples.forEach((sample, row) =>
    own.set(inputs.subarray(sample * net.inputs, (sample + 1) * net.inputs), row * net.inputs),
  );
  const { gram: exact } = await exactKernel(gpu, net, weights, own, trace, job);
  const size = count * each;
  const at = (row: number) => samples[Math.floor(row / each)] * each + (row % each);
  let whole = 0;
  let relative = 0;
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) {
      const difference = gram[at(i) * order + at(j)] - exact[i * size + j];
      whole += difference ** 2;
      const scale = exact[i * size + i] * exact[j * size + j];
      if (scale > 0) relative += difference ** 2 / scale;
    }
  if (count === n) return Math.sqrt(whole);
  let trH = 0;
  for (let i = 0; i < order; i++) trH += gram[i * order + i];
  return 3 * Math.sqrt(relative / size ** 2) * trH;
}
