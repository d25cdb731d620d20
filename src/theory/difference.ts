import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { ownValues, type Values } from "../gpu/values.ts";
import type { Network } from "../stages/0-network.ts";
import { normals64 } from "../stages/0-normal.ts";
import { uploadWeights, type DeviceWeights, type LayerWeights } from "../stages/0-weights.ts";
import { forward, type Activations } from "../stages/1-forward.ts";
import { decideKinks } from "../stages/1-kinks.ts";
import { backward } from "../stages/2-backward.ts";
import { kernelTimes } from "../stages/2-tangent.ts";
import { drawnSamples, exactKernel, inputsOf } from "../stages/3-exact.ts";
import { inner } from "../stages/4-krylov.ts";
import { minus, normOf, type Measured } from "./kernelMeasures.ts";

/** Random vectors that the products' errors are estimated with. */
const PROBES = 4;

/**
 * ‖H_1 − H_2‖₂ of the tangent kernels that a network has with two sets of weights, as ‖H_t − H_0‖ along training, without
 * storing either: by products with J and Jᵀ alone.
 *
 * ```ts
 * const inputs = normals(1, 100 * net.inputs);
 * const { value, bound } = await kernelDifference(gpu, net, weights(net, 0), weights(net, 1), inputs);
 * ```
 *
 * @param inputs f32 [n, net.inputs] row-major
 *
 * **Error** the iteration's residual, and ‖ΔH‖ of both as their products of vectors on 32 samples show it against f64: not
 * less than about 1e-7 · tr H, so that kernels nearer than that are not told apart. **Cost** 16 · n · parameters flops a
 * step, at most 64 steps.
 */
export async function kernelDifference(
  gpu: Gpu,
  net: Network,
  one: readonly LayerWeights[],
  two: readonly LayerWeights[],
  inputs: Values,
  job: Job = {},
): Promise<Measured> {
  const samples = ownValues("kernelDifference", "inputs", inputs);
  using first = uploadWeights(gpu, net, one);
  using second = uploadWeights(gpu, net, two);
  using firstActs = await forward(gpu, net, first, samples, job);
  using secondActs = await forward(gpu, net, second, samples, job);
  const order = firstActs.n * net.outputs;
  const sides = [
    { values: one, weights: first, acts: firstActs },
    { values: two, weights: second, acts: secondActs },
  ];
  let error = 0;
  const products: ((v: Float64Array) => Promise<Float64Array>)[] = [];
  for (const { values, weights, acts } of sides) {
    const { undecided } = await decideKinks(gpu, net, values, samples, acts, job);
    const times = async (v: Float64Array): Promise<Float64Array> =>
      Float64Array.from(
        await kernelTimes(gpu, net, weights, acts, Float32Array.from(v), { signal: job.signal }),
      );
    products.push(times);
    const share = await productError(gpu, net, values, samples, order, times, job);
    error += undecided > 0 ? Infinity : 3 * share * (await traceOf(gpu, net, weights, acts, job));
  }
  const { value, bound } = await normOf(
    async (v) => minus(await products[0](v), await products[1](v)),
    order,
  );
  return { value, bound: bound + error };
}

/** tr H = Σ_l Σ_i,o (c² ‖a_i‖² + β²) ‖g_io‖², from what the device holds. */
async function traceOf(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  job: Job,
): Promise<number> {
  using signals = await backward(gpu, net, weights, acts, job);
  let trace = 0;
  for (const { index, scale, shift } of net.layers) {
    const [a, g] = [acts.a[index], signals.g[index]];
    const seen = columnSquares(await gpu.read(a, job), a.columns);
    const back = columnSquares(await gpu.read(g, job), g.columns);
    back.forEach((size, column) => {
      const sample = Math.floor(column / net.outputs);
      trace += (scale * scale * seen[sample] + shift * shift) * size;
    });
  }
  return trace;
}

function columnSquares(values: Float32Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let at = 0; at < values.length; at++) sums[at % columns] += values[at] ** 2;
  return sums;
}

/**
 * rms of (ΔH v)_i / √(H_ii Σ v_j² H_jj) over the rows i of drawn samples, for random v that are 0 elsewhere: what the
 * entries of H seem to be off by, relatively to √(H_ii H_jj).
 */
async function productError(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  order: number,
  times: (v: Float64Array) => Promise<Float64Array>,
  job: Job,
): Promise<number> {
  const samples = drawnSamples(inputs.length / net.inputs);
  const own = inputsOf(inputs, net.inputs, samples);
  const { gram, order: size } = await exactKernel(gpu, net, weights, own, false, job);
  const at = (row: number) =>
    samples[Math.floor(row / net.outputs)] * net.outputs + (row % net.outputs);
  let sum = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const small = normals64(100 + probe, size).map(Math.fround);
    const v = new Float64Array(order);
    small.forEach((value, row) => (v[at(row)] = value));
    const found = await times(v);
    let weight = 0;
    small.forEach((value, row) => (weight += value * value * gram[row * size + row]));
    for (let i = 0; i < size; i++) {
      const exact = inner(gram.subarray(i * size, (i + 1) * size), small);
      const scale = gram[i * size + i] * weight;
      if (scale > 0) sum += (found[at(i)] - exact) ** 2 / scale;
    }
  }
  return Math.sqrt(sum / (PROBES * size));
}
