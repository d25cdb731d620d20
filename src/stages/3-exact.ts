import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import {
  chain64,
  gamma64,
  norm64,
  PANEL,
  rowNorms,
  rowProducts,
  SLACK,
  turned,
  turns,
  U64,
} from "./0-double.ts";
import type { Network } from "./0-network.ts";
import { bits } from "./0-normal.ts";
import type { LayerWeights } from "./0-weights.ts";
import { exactForward, spectralBound } from "./1-exact.ts";

/** Activations and signals of some samples in f64, one row a sample, or a sample and output. */
export interface Features {
  readonly n: number;
  /** What layer l sees: `a[l]` [n, fanIn]. */
  readonly a: readonly Float64Array[];
  /** Signals ∂f_o / ∂z[l]: `g[l]` [n · O, units], row i · O + o. */
  readonly g: readonly Float64Array[];
}

/** Features computed in f64, with what is certain of their errors. */
export interface ExactFeatures extends Features {
  /** ‖δJ‖_F of the Jacobian that the features stand for. */
  readonly jacobianError: number;
  /** Units of samples whose side of the kink is not sure; they count in `jacobianError`. */
  readonly unsure: number;
}

/** A tangent kernel computed in f64, with what is certain of its errors. */
export interface ExactKernel {
  /** H̃ [n · O, n · O] row-major; `trace`: [n, n]. */
  readonly gram: Float64Array;
  readonly order: number;
  /** ‖δJ‖_F: H̃ is, but for `matrixError`, the Gram matrix of a Jacobian this close to the exact one. */
  readonly jacobianError: number;
  /** ‖H̃ − (J + δJ)(J + δJ)ᵀ‖₂: what rounding of the products did. */
  readonly matrixError: number;
  /** Units of samples whose side of the kink is not sure. */
  readonly unsure: number;
}

/**
 * Forward and backward pass in f64 on the CPU, with running error bounds.
 *
 * **Error** ‖δJ‖_F² ≤ Σ c² (‖δg‖ ‖a‖ + ‖g + δg‖ ‖δa‖)² + β² ‖δg‖² over layers, samples and outputs; infinite where
 * a norm is beyond 2^±200.
 * **Cost** 2 · n · (1 + O) · parameters flops.
 */
export async function exactFeatures(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  job?: Job,
): Promise<ExactFeatures> {
  const pass = await exactForward(gpu, net, weights, inputs, job);
  const { n, a, slopes, aErrors, slopeErrors, unsure } = pass;
  const { outputs } = net;
  const rows = n * outputs;
  const turn = turns(gpu, job, "exact", 2 * rows * net.parameters);
  const g: Float64Array[] = Array(net.layers.length);
  g[net.layers.length - 1] = Float64Array.from({ length: rows * outputs }, (_, at) =>
    Math.floor(at / outputs) % outputs === at % outputs ? 1 : 0,
  );
  let gErrors = new Float64Array(rows);
  let squares = 0;
  // Sizes beyond these may have lost products to underflow, which no bound here counts: then nothing is sure.
  const isSound = (size: number) => size === 0 || (size > 2 ** -200 && size < 2 ** 200);
  for (const layer of [...net.layers].reverse()) {
    const { index, fanIn, units, shift } = layer;
    const scale = Math.abs(layer.scale);
    const lengths = rowNorms(a[index], fanIn);
    const signals = rowNorms(g[index], units);
    for (let row = 0; row < rows; row++) {
      const i = Math.floor(row / outputs);
      const off = gErrors[row];
      const weightPart =
        off * lengths[i] +
        (signals[row] + off) * aErrors[index][i] +
        // c itself is rounded twice.
        3 * U64 * signals[row] * lengths[i];
      const sound = isSound(scale) && isSound(lengths[i]) && isSound(signals[row]);
      squares += sound ? scale * scale * weightPart ** 2 + shift * shift * off ** 2 : Infinity;
    }
    if (index === 0) break;
    const weight = Float64Array.from(weights[index].weight);
    const back = turned(weight, fanIn);
    const whole = norm64(weight);
    const spectral = spectralBound(weight, layer, 2 * rows * layer.parameters);
    const relative = gamma64(chain64(units) + 4);
    const below = new Float64Array(rows * fanIn);
    const belowErrors = new Float64Array(rows);
    for (let from = 0; from < rows; from += PANEL) {
      const to = Math.min(rows, from + PANEL);
      rowProducts(g[index], from, to, back, fanIn, units, below);
      for (let row = from; row < to; row++) {
        const i = Math.floor(row / outputs);
        let steepest = 0;
        let largest = 0;
        let size = 0;
        for (let h = 0, at = row * fanIn; h < fanIn; h++, at++) {
          const value = layer.scale * below[at];
          const slope = slopes[index - 1][i * fanIn + h];
          steepest = Math.max(steepest, Math.abs(slope));
          largest = Math.max(largest, Math.abs(value));
          below[at] = value * slope;
          size += below[at] ** 2;
        }
        const error = scale * (spectral * gErrors[row] + relative * whole * signals[row]);
        const off = slopeErrors[index - 1][i];
        belowErrors[row] = steepest * error + (largest + error) * off + U64 * Math.sqrt(size);
      }
      await turn(2 * (to - from) * fanIn * units);
    }
    g[index - 1] = below;
    gErrors = belowErrors;
  }
  return { n, a, g, jacobianError: SLACK * Math.sqrt(squares), unsure };
}

/**
 * The kernel of given features in f64 on the CPU, layer by layer.
 *
 *   H = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ)
 *
 * @param trace the mean over equal outputs instead of every pair
 * @returns H [n · O, n · O] (`trace`: [n, n]) and what rounding did to it at the most, ‖ΔH‖_F
 *
 * **Error** γ_k tr H. **Cost** Σ (n² fanIn + (n O)² units) flops, about 4 GFLOP/s.
 */
export async function gramOfFeatures(
  gpu: Gpu,
  net: Network,
  { n, a, g }: Features,
  trace: boolean,
  job?: Job,
): Promise<{ gram: Float64Array; order: number; matrixError: number }> {
  const { outputs } = net;
  const rows = n * outputs;
  const order = trace ? n : rows;
  const flops = net.layers.reduce(
    (sum, { fanIn, units }) => sum + n * n * fanIn + rows * rows * units,
    0,
  );
  const turn = turns(gpu, job, "exact", flops);
  const gram = new Float64Array(order * order);
  const seen = new Float64Array(n * n);
  const signed = new Float64Array(rows * rows);
  let chain = 0;
  for (const { index, fanIn, units, scale, shift } of net.layers) {
    chain = Math.max(chain, chain64(fanIn) + chain64(units));
    for (let from = 0; from < n; from += PANEL) {
      const to = Math.min(n, from + PANEL);
      rowProducts(a[index], from, to, a[index], n, fanIn, seen, true);
      rowProducts(g[index], from * outputs, to * outputs, g[index], rows, units, signed, true);
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
  }
  let traceSum = 0;
  for (let i = 0; i < order; i++) {
    for (let j = 0; j <= i; j++) {
      if (trace) gram[i * order + j] /= outputs;
      gram[j * order + i] = gram[i * order + j];
    }
    traceSum += gram[i * order + i];
  }
  // Beside the two products: c twice, its square, · , + β² and β² itself, ∘; the sum over layers, or over layers and
  // outputs and the division.
  const sums = net.layers.length * (trace ? outputs : 1);
  const roundings = chain + 8 + sums + (trace ? 1 : 0);
  return { gram, order, matrixError: SLACK * gamma64(roundings) * traceSum };
}

/**
 * The tangent kernel in f64 on the CPU, with guaranteed error bounds.
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @param trace the mean over equal outputs instead of every pair
 *
 * **Error** in two parts, as they act differently on eigenvalues: see {@link ExactKernel}.
 * **Cost** those of {@link exactFeatures} and {@link gramOfFeatures}.
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
  const features = await exactFeatures(gpu, net, weights, inputs, job);
  const { jacobianError, unsure } = features;
  const found = await gramOfFeatures(gpu, net, features, trace, job);
  return {
    ...found,
    jacobianError: jacobianError / Math.sqrt(trace ? net.outputs : 1),
    unsure,
  };
}

/** Samples that are recomputed in f64; sets of at most this many are checked whole. */
const CHECKED = 32;

/** Some of n samples, drawn at random, in order; all where they are few. */
export function drawnSamples(n: number): number[] {
  const all = Array.from({ length: n }, (_, i) => i);
  const count = Math.min(n, CHECKED);
  // The first `count` places of a shuffle.
  for (let i = 0; i < count && n > CHECKED; i++) {
    const j = i + (bits(0, i) % (n - i));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.slice(0, count).sort((a, b) => a - b);
}

/** The inputs [samples, width] of some samples. */
export function inputsOf(inputs: Values, width: number, samples: readonly number[]): Values {
  const own = new Float32Array(samples.length * width);
  samples.forEach((sample, row) =>
    own.set(inputs.subarray(sample * width, (sample + 1) * width), row * width),
  );
  return own;
}

/**
 * ‖ΔH‖ from the entries between drawn samples:
 *
 *   ‖ΔH‖_F ≤ 3 · rms(ΔH_ij / √(H_ii H_jj)) · tr H
 *
 * @param gram the computed kernel [n · each, n · each]
 * @param exact the true one of the samples alone
 * @returns measured whole where the samples are all; else it holds as far as the relative errors of all entries are
 * distributed as those of the drawn samples' (their mean square is then off by 9 with probability below 1e-5)
 */
export function sampledError(
  gram: Float32Array | Float64Array,
  n: number,
  each: number,
  exact: Float64Array,
  samples: readonly number[],
): number {
  const order = n * each;
  const size = samples.length * each;
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
  if (samples.length === n) return Math.sqrt(whole);
  let trace = 0;
  for (let i = 0; i < order; i++) trace += gram[i * order + i];
  return 3 * Math.sqrt(relative / size ** 2) * trace;
}

/**
 * How far a computed tangent kernel is from the exact one of its f32 weights and inputs, by recomputing the entries
 * between 32 samples drawn at random in f64, as {@link sampledError} says.
 *
 * @param gram the computed kernel [n · O, n · O] (`trace`: [n, n]) on the host
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
  const samples = drawnSamples(n);
  const own = inputsOf(inputs, net.inputs, samples);
  const { gram: exact } = await exactKernel(gpu, net, weights, own, trace, job);
  return sampledError(gram, n, trace ? 1 : net.outputs, exact, samples);
}
