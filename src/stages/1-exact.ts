import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import { phi, phiError64, phiPrime, steepness } from "./0-activation.ts";
import {
  chain64,
  gamma64,
  largest64,
  norm64,
  PANEL,
  powerAgainst,
  rowNorms,
  rowProducts,
  SLACK,
  turned,
  turns,
} from "./0-double.ts";
import type { Layer, Network } from "./0-network.ts";
import type { LayerWeights } from "./0-weights.ts";

/** The way of n samples through the network in f64, with bounds on what rounding did to it. */
export interface ExactPass {
  readonly n: number;
  /** What layer l sees, from the inputs on: `a[l]` [n, fanIn of layer l]. */
  readonly a: readonly Float64Array[];
  /** Pre-activations of layer l: `z[l]` [n, units]. */
  readonly z: readonly Float64Array[];
  /** φ′ of layer l: `slopes[l]` [n, units]; of the output layer, 1. */
  readonly slopes: readonly Float64Array[];
  /** Bounds on ‖δ a[l]‖₂ of each sample, [n]. */
  readonly aErrors: readonly Float64Array[];
  /** Bounds on ‖δ slopes[l]‖₂ of each sample, [n]; a unit whose side of the kink is not sure counts with its jump. */
  readonly slopeErrors: readonly Float64Array[];
  /** Units of samples whose side of the kink is not sure. */
  readonly unsure: number;
}

/** Squarings of W Wᵀ in the bound on ‖W‖₂: with m rows 0, 1, 2 of them leave up to m^¼, m^⅛, m^1/16 too much. */
const SQUARINGS = 2;

/** Flops that are spent on it in any case. */
const CHEAP = 1e8;

/**
 * A bound on ‖W‖₂, W [units, fanIn]: ‖(W Wᵀ)^(2ˢ)‖_F^(1/2^(s+1)), s as large as `budget` flops allow; else ‖W‖_F.
 */
export function spectralBound(
  weight: Float64Array,
  { units, fanIn }: Pick<Layer, "units" | "fanIn">,
  budget: number,
): number {
  const [side, depth] = units <= fanIn ? [units, fanIn] : [fanIn, units];
  const size = largest64(weight);
  if (!(size > 0 && size < Infinity)) return size;
  // Near 1, as powers of it are taken.
  const power = powerAgainst(size);
  const scaled = weight.map((value) => value * power);
  let best = norm64(scaled);
  let square: Float64Array = units <= fanIn ? scaled : turned(scaled, fanIn);
  let left = Math.max(budget, CHEAP);
  for (let s = 0; s <= SQUARINGS; s++) {
    const along = s === 0 ? depth : side;
    left -= 2 * side * side * along;
    if (left < 0) break;
    const next = new Float64Array(side * side);
    rowProducts(square, 0, side, square, side, along, next);
    // What is missing in `next` by rounding, here and in `square`, counts in full.
    const whole = norm64(square);
    const missing = (s + 1) * gamma64(chain64(depth) + s * chain64(side)) * 2 * whole * whole;
    best = Math.min(best, (norm64(next) + missing) ** (1 / 2 ** (s + 1)));
    square = next;
  }
  return (best * SLACK) / power;
}

/**
 * The forward pass in f64 on the CPU, with running error bounds.
 *
 * @param inputs f32 [n, net.inputs] row-major
 *
 * **Error** of a unit |δz| ≤ c ‖W_h‖ (‖δa‖ + γ_k ‖a‖) + γ₃ |β b_h|; of a sample ‖δz‖ ≤ c ‖W‖ ‖δa‖ + what rounding adds;
 * then ‖δa‖ ≤ max |φ′| ‖δz‖ + that of φ. They hold whatever the data, short of underflow; `phiError64` says what they ask
 * of the host.
 * **Cost** 2 · n · parameters flops, and 2 · units² · fanIn a layer where that is less.
 */
export async function exactForward(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  job?: Job,
): Promise<ExactPass> {
  const n = inputs.length / net.inputs;
  const turn = turns(gpu, job, "exact", 2 * n * net.parameters);
  const a = [Float64Array.from(inputs)];
  const aErrors = [new Float64Array(n)];
  const z: Float64Array[] = [];
  const slopes: Float64Array[] = [];
  const slopeErrors: Float64Array[] = [];
  let unsure = 0;
  for (const layer of net.layers) {
    const { index, fanIn, units, activation } = layer;
    const scale = Math.abs(layer.scale);
    const weight = Float64Array.from(weights[index].weight);
    const { bias } = weights[index];
    const rows = rowNorms(weight, fanIn);
    const spectral = spectralBound(weight, layer, 2 * n * layer.parameters);
    const lengths = rowNorms(a[index], fanIn);
    // c is √fan rounded, divided, rounded: two more; times the sum, plus β b: two more.
    const relative = gamma64(chain64(fanIn) + 4);
    const { first, second, jump } = steepness(activation, net.slope);
    const pre = new Float64Array(n * units);
    const out = new Float64Array(n * units);
    const slope = new Float64Array(n * units);
    aErrors.push(new Float64Array(n));
    slopeErrors.push(new Float64Array(n));
    for (let from = 0; from < n; from += PANEL) {
      const to = Math.min(n, from + PANEL);
      rowProducts(a[index], from, to, weight, units, fanIn, pre);
      for (let i = from; i < to; i++) {
        const given = aErrors[index][i];
        let reaches = 0;
        let roundings = 0;
        let values = 0;
        let derivatives = 0;
        let jumps = 0;
        for (let h = 0, at = i * units; h < units; h++, at++) {
          const shifted = bias ? layer.shift * bias[h] : 0;
          const value = layer.scale * pre[at] + shifted;
          pre[at] = value;
          out[at] = phi(activation, net.slope, value);
          slope[at] = phiPrime(activation, net.slope, value);
          const rounding = relative * scale * rows[h] * lengths[i] + gamma64(3) * Math.abs(shifted);
          const reach = scale * rows[h] * given + rounding;
          const error = phiError64(activation, net.slope, value);
          reaches += reach * reach;
          roundings += rounding * rounding;
          values += error.value ** 2;
          derivatives += error.derivative ** 2;
          if (jump > 0 && Math.abs(value) <= reach && reach > 0) {
            jumps += jump * jump;
            unsure += 1;
          }
        }
        const dz = Math.min(Math.sqrt(reaches), scale * spectral * given + Math.sqrt(roundings));
        aErrors[index + 1][i] = first * dz + Math.sqrt(values);
        slopeErrors[index][i] = second * dz + Math.sqrt(derivatives) + Math.sqrt(jumps);
      }
      await turn(2 * (to - from) * fanIn * units);
    }
    z.push(pre);
    a.push(out);
    slopes.push(slope);
  }
  return { n, a, z, slopes, aErrors, slopeErrors, unsure };
}
