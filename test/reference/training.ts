/**
 * Gradient descent in f64 as plain loops:
 *
 *   v = μ v + ∂L/∂θ        θ −= η v        ∂L/∂W_l = c_l δ_l a_lᵀ,  ∂L/∂b_l = β Σ_i δ_l,  δ_L = ∂L/∂u,
 *   δ_l = (c_{l+1} W_{l+1}ᵀ δ_{l+1}) ∘ φ′(z_l)
 */
import { phi, phiPrime } from "./activations.ts";
import { layersOf, type ReferenceNetwork, type ReferenceWeights } from "./network.ts";

export type ReferenceLoss = "mse" | "logistic" | "softmax";

export interface LossOfSamples {
  /** L, summed over samples and outputs. */
  loss: number;
  /** ∂L/∂u [n, outputs]. */
  slopes: Float64Array;
  /** ℓ_i [n]. */
  each: Float64Array;
}

/** L(u, y) of outputs and targets [n, outputs]. */
export function lossOf(
  kind: ReferenceLoss,
  u: ArrayLike<number>,
  y: ArrayLike<number>,
  outputs: number,
): LossOfSamples {
  const n = u.length / outputs;
  const slopes = new Float64Array(u.length);
  const each = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const at = i * outputs;
    if (kind === "softmax") {
      let top = -Infinity;
      for (let o = 0; o < outputs; o++) top = Math.max(top, u[at + o]);
      let sum = 0;
      for (let o = 0; o < outputs; o++) sum += Math.exp(u[at + o] - top);
      each[i] = Math.log(sum);
      for (let o = 0; o < outputs; o++) {
        each[i] += y[at + o] * (top - u[at + o]);
        slopes[at + o] = Math.exp(u[at + o] - top) / sum - y[at + o];
      }
      continue;
    }
    for (let o = 0; o < outputs; o++) {
      const [f, t] = [u[at + o], y[at + o]];
      if (kind === "mse") {
        each[i] += 0.5 * (f - t) ** 2;
        slopes[at + o] = f - t;
      } else {
        each[i] += Math.max(-t * f, 0) + Math.log1p(Math.exp(-Math.abs(f)));
        slopes[at + o] = -t / (1 + Math.exp(t * f));
      }
    }
  }
  return { loss: each.reduce((sum, value) => sum + value, 0), slopes, each };
}

export interface DescentOptions {
  steps: number;
  rate: number;
  loss?: ReferenceLoss;
  momentum?: number;
}

export interface Descent {
  /** L(θ_k), k = 0 … steps. */
  losses: number[];
  /** ‖∂L/∂θ‖ at θ_k, k = 0 … steps − 1. */
  gradientNorms: number[];
  /** u(θ_k) [n, outputs], k = 0 … steps. */
  outputs: Float64Array[];
  /** Least |z| of a hidden unit at θ_k. */
  margins: number[];
  weights: { weight: Float64Array; bias: Float64Array | null }[];
}

/** Full-batch descent from given weights; `inputs` [n, widths[0]], `targets` [n, outputs]. */
export function descend(
  net: ReferenceNetwork,
  weights: ReferenceWeights,
  inputs: ArrayLike<number>,
  targets: ArrayLike<number>,
  { steps, rate, loss = "mse", momentum = 0 }: DescentOptions,
): Descent {
  const layers = layersOf(net);
  const n = inputs.length / net.widths[0];
  const slope = net.negativeSlope;
  const own = weights.map(({ weight, bias }) => ({
    weight: Float64Array.from(weight),
    bias: bias && Float64Array.from(bias),
  }));
  const velocity = own.map(({ weight, bias }) => ({
    weight: new Float64Array(weight.length),
    bias: bias && new Float64Array(bias.length),
  }));
  const found: Descent = { losses: [], gradientNorms: [], outputs: [], margins: [], weights: own };
  for (let step = 0; step <= steps; step++) {
    const a = [Float64Array.from(inputs)];
    const z: Float64Array[] = [];
    let margin = Infinity;
    layers.forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
      const { weight, bias } = own[l];
      const values = new Float64Array(n * fanOut);
      for (let i = 0; i < n; i++)
        for (let h = 0; h < fanOut; h++) {
          let sum = 0;
          for (let k = 0; k < fanIn; k++) sum += weight[h * fanIn + k] * a[l][i * fanIn + k];
          values[i * fanOut + h] = scale * sum + (bias ? biasScale! * bias[h] : 0);
        }
      z.push(values);
      if (l === layers.length - 1) return;
      for (const value of values) margin = Math.min(margin, Math.abs(value));
      a.push(values.map((value) => phi(net.activation[l], slope, value)));
    });
    const u = z[z.length - 1];
    const of = lossOf(loss, u, targets, u.length / n);
    found.losses.push(of.loss);
    found.outputs.push(u);
    found.margins.push(margin);
    if (step === steps) break;
    const steepness: Float64Array[] = [];
    let delta = of.slopes;
    for (let l = layers.length - 1; l >= 0; l--) {
      steepness[l] = delta;
      if (l === 0) break;
      const { fanIn, fanOut, scale } = layers[l];
      const below = new Float64Array(n * fanIn);
      for (let i = 0; i < n; i++)
        for (let k = 0; k < fanIn; k++) {
          let sum = 0;
          for (let h = 0; h < fanOut; h++)
            sum += own[l].weight[h * fanIn + k] * delta[i * fanOut + h];
          const at = i * fanIn + k;
          below[at] = scale * sum * phiPrime(net.activation[l - 1], slope, z[l - 1][at]);
        }
      delta = below;
    }
    let squares = 0;
    const move = (values: Float64Array, speed: Float64Array, at: number, gradient: number) => {
      squares += gradient * gradient;
      speed[at] = momentum * speed[at] + gradient;
      values[at] -= rate * speed[at];
    };
    layers.forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
      for (let h = 0; h < fanOut; h++) {
        for (let k = 0; k < fanIn; k++) {
          let sum = 0;
          for (let i = 0; i < n; i++) sum += steepness[l][i * fanOut + h] * a[l][i * fanIn + k];
          move(own[l].weight, velocity[l].weight, h * fanIn + k, scale * sum);
        }
        const { bias } = own[l];
        if (!bias) continue;
        let sum = 0;
        for (let i = 0; i < n; i++) sum += steepness[l][i * fanOut + h];
        move(bias, velocity[l].bias!, h, biasScale! * sum);
      }
    });
    found.gradientNorms.push(Math.sqrt(squares));
  }
  return found;
}
