import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import { norm64, rowProducts, SLACK, turned, turns, U64 } from "../stages/0-double.ts";
import type { Network } from "../stages/0-network.ts";
import type { LayerWeights } from "../stages/0-weights.ts";
import { exactFeatures } from "../stages/3-exact.ts";
import { isShifted } from "./jacobianMap.ts";

/** Products with a Jacobian J̃ in f64, and what is certain of it. */
export interface ExactProducts {
  /** J̃ z of each z, [n · O]. */
  readonly images: readonly Float64Array[];
  /** J̃ᵀ x of each x, [parameters]. */
  readonly backs: readonly Float64Array[];
  /** What either product is off by at the most in norm, for a vector of length 1. */
  readonly rounding: number;
  /** ‖J̃ − J‖_F, J the exact one of the f32 weights and inputs. */
  readonly jacobianError: number;
  /** ‖J̃‖_F². */
  readonly trace: number;
}

/** Values of features that are held at once. */
const HELD = 2 ** 22;

/**
 * J̃ z and J̃ᵀ x in f64 on the CPU without J̃, some samples at a time, for vectors on either side.
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @param left x [n · O] each
 * @param right z as `jacobianMap` has them
 *
 * **Error** γ_k ‖J̃‖_F a product, k the longest chain of roundings; ‖J̃ − J‖_F as `exactFeatures` bounds it.
 * **Cost** 2 · n · (1 + O) · parameters flops, and 2 · n · parameters a product, at about 4 GFLOP/s.
 */
export async function exactProducts(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  left: readonly Float64Array[],
  right: readonly Float64Array[],
  job: Job,
): Promise<ExactProducts> {
  const { outputs, layers } = net;
  const n = inputs.length / net.inputs;
  const width = layers.reduce((sum, { units }) => sum + units, 0);
  const samples = Math.max(1, Math.min(n, Math.floor(HELD / ((1 + outputs) * width))));
  const images = right.map(() => new Float64Array(n * outputs));
  const backs = left.map(() => new Float64Array(right[0].length));
  const turn = turns(gpu, job, "bounds", 2 * n * net.parameters * (left.length + right.length));
  const followed: Job = { signal: job.signal };
  // What a direction holds of each layer, the weights one unit a row.
  let at = 0;
  const parts = layers.map((layer) => {
    const { fanIn, units } = layer;
    const begin = at;
    at += fanIn * units + (isShifted(layer) ? units : 0);
    const weightsOf = (z: Float64Array) => turned(z.subarray(begin, begin + fanIn * units), units);
    return { begin, weights: right.map(weightsOf) };
  });
  let trace = 0;
  let squares = 0;
  for (let from = 0; from < n; from += samples) {
    const count = Math.min(samples, n - from);
    const own = inputs.subarray(from * net.inputs, (from + count) * net.inputs);
    const { a, g, jacobianError } = await exactFeatures(gpu, net, weights, own, followed);
    squares += jacobianError ** 2;
    for (const layer of layers) {
      const { index, fanIn, units, scale, shift } = layer;
      const { begin, weights } = parts[index];
      const shifted = isShifted(layer);
      for (let i = 0; i < count; i++) {
        const seen = norm64(a[index].subarray(i * fanIn, (i + 1) * fanIn));
        const signals = norm64(g[index].subarray(i * outputs * units, (i + 1) * outputs * units));
        trace += ((scale * seen) ** 2 + shift * shift) * signals ** 2;
      }
      const product = new Float64Array(count * units);
      for (const [k, z] of right.entries()) {
        rowProducts(a[index], 0, count, weights[k], units, fanIn, product);
        for (let row = 0; row < count * outputs; row++) {
          const i = Math.floor(row / outputs);
          let sum = 0;
          for (let h = 0; h < units; h++) {
            const bias = shifted ? shift * z[begin + fanIn * units + h] : 0;
            sum += g[index][row * units + h] * (scale * product[i * units + h] + bias);
          }
          images[k][from * outputs + row] += sum;
        }
        await turn(2 * count * units * fanIn);
      }
      const across = turned(a[index], fanIn);
      const change = new Float64Array(fanIn * units);
      for (const [k, x] of left.entries()) {
        const signals = new Float64Array(units * count);
        for (let row = 0; row < count * outputs; row++) {
          const weight = x[from * outputs + row];
          const i = Math.floor(row / outputs);
          for (let h = 0; h < units; h++)
            signals[h * count + i] += weight * g[index][row * units + h];
        }
        rowProducts(across, 0, fanIn, signals, units, count, change);
        const out = backs[k];
        for (let e = 0; e < change.length; e++) out[begin + e] += scale * change[e];
        for (let h = 0; shifted && h < units; h++) {
          let sum = 0;
          for (let i = 0; i < count; i++) sum += signals[h * count + i];
          out[begin + fanIn * units + h] += shift * sum;
        }
        await turn(2 * count * units * fanIn);
      }
    }
  }
  // The longest chains: over a layer's fan and units, and layers; over outputs, samples, and their groups.
  const forward = layers.reduce((most, { fanIn, units }) => Math.max(most, fanIn + units), 0);
  const chain = Math.max(forward + layers.length, outputs + samples + Math.ceil(n / samples)) + 8;
  return {
    images,
    backs,
    rounding: SLACK * chain * U64 * Math.sqrt(trace),
    jacobianError: SLACK * Math.sqrt(squares),
    trace,
  };
}
