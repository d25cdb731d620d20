import { phiPrime } from "./0-activation.ts";
import type { Network } from "./0-network.ts";
import { bits } from "./0-normal.ts";
import type { LayerWeights } from "./0-weights.ts";
import { exactForward, type ExactSample } from "./1-exact.ts";
import type { Values } from "../gpu/values.ts";

/** Signals ∂f_o / ∂z of each layer for one sample and output, in f64. */
function exactBackward(
  net: Network,
  weights: readonly LayerWeights[],
  { z }: ExactSample,
  output: number,
): Float64Array[] {
  const last = net.layers.length - 1;
  const g: Float64Array[] = [];
  g[last] = Float64Array.from({ length: net.outputs }, (_, o) => (o === output ? 1 : 0));
  for (let index = last - 1; index >= 0; index--) {
    const { units, activation } = net.layers[index];
    const above = net.layers[index + 1];
    const { weight } = weights[index + 1];
    const sum = new Float64Array(units);
    for (let o = 0; o < above.units; o++) {
      const signal = g[index + 1][o] * above.scale;
      if (signal !== 0) for (let h = 0; h < units; h++) sum[h] += signal * weight[o * units + h];
    }
    g[index] = sum.map((value, h) => value * phiPrime(activation, net.slope, z[index][h]));
  }
  return g;
}

const dot = (x: Float64Array, y: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
};

/**
 * The tangent kernel of a few samples in f64 on the CPU, layer by layer.
 *
 * @param inputs f32 [n, net.inputs] of the whole set
 * @param samples which of them
 * @param trace the mean over equal outputs instead of every pair
 * @returns [samples · outputs, samples · outputs], or [samples, samples] for `trace`
 *
 * **Error** a few hundred 2⁻⁵³ relative to √(H_ii H_jj): nothing beside f32.
 * **Cost** samples · (2 + 2 · outputs) · parameters flops, and the pairs.
 */
export function exactGram(
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  samples: ArrayLike<number>,
  trace: boolean,
): Float64Array {
  const rows = Array.from(samples, (sample) => {
    const input = inputs.subarray(sample * net.inputs, (sample + 1) * net.inputs);
    const pass = exactForward(net, weights, input);
    const signals = Array.from({ length: net.outputs }, (_, output) =>
      exactBackward(net, weights, pass, output),
    );
    return { ...pass, signals };
  });
  const each = trace ? 1 : net.outputs;
  const order = rows.length * each;
  const gram = new Float64Array(order * order);
  for (const { index, scale, shift } of net.layers)
    rows.forEach((left, i) =>
      rows.forEach((right, j) => {
        if (j > i) return;
        const factor = scale * scale * dot(left.a[index], right.a[index]) + shift * shift;
        for (let a = 0; a < net.outputs; a++)
          for (let b = 0; b < net.outputs; b++) {
            if (trace && a !== b) continue;
            const value = factor * dot(left.signals[a][index], right.signals[b][index]);
            const [row, column] = trace ? [i, j] : [i * each + a, j * each + b];
            gram[row * order + column] += trace ? value / net.outputs : value;
            if (j < i) gram[column * order + row] = gram[row * order + column];
          }
      }),
    );
  return gram;
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
export function gramError(
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  gram: Float32Array,
  trace: boolean,
): number {
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
  const exact = exactGram(net, weights, inputs, samples, trace);
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
