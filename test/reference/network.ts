/**
 * The network, its forward and its backward pass in f64, with running bounds on what an f32 engine
 * may differ.
 *
 * Layers l = 0 … L−1 (L = widths.length − 1), c_l = weightScale/√fan and β = biasScale (`ntk`) or c
 * = β = 1 (`standard`):
 *
 *   a[0] = inputs,   z[l] = c_l W_l a[l] + β b_l,   a[l+1] = φ_l(z[l]),   f = z[L−1]
 *   g[L−1] = 1,      g[l] = (c_{l+1} W_{l+1}ᵀ g[l+1]) ∘ φ′_l(z[l])        = ∂f_o/∂z[l]
 *
 * dz, da, dg bound, entry by entry, |engine − exact| for an engine that works in f32 under WGSL's
 * rules, keeps W and c apart (both rounded to f32), and evaluates φ and φ′ at its stored z.
 */
import {
  hasKink,
  phi,
  phiPrime,
  phiPrimeMax,
  phiPrimeTerms,
  phiSecondMax,
  type ActivationName,
} from "./activations.ts";
import { gamma, OMEGA, UW } from "./compare.ts";

export interface ReferenceNetwork {
  /** [inputs, hidden…, outputs] */
  widths: readonly number[];
  /** One name a hidden layer. */
  activation: readonly ActivationName[];
  parameterization: "ntk" | "standard";
  weightScale: number;
  /** null: no biases. */
  biasScale: number | null;
  fan: "in" | "out";
  /** leaky_relu's. */
  negativeSlope: number;
}

/** For each layer: weight [out, in] row-major, bias [out] (null exactly when biasScale is). */
export type ReferenceWeights = readonly {
  weight: ArrayLike<number>;
  bias: ArrayLike<number> | null;
}[];

/** What the running bounds suppose of the engine. */
export interface Arithmetic {
  /** Unit roundoff; default 2⁻²³. */
  u: number;
  /**
   * The longest chain of roundings through an inner product of K terms; default K (any order of
   * summation).
   */
  chain: (terms: number) => number;
  /** |engine's φ(z) − φ(z)| at the same z. */
  epsPhi: (name: ActivationName, z: number, negativeSlope: number) => number;
  /** |engine's φ′(z) − φ′(z)| at the same z. */
  epsPhiPrime: (name: ActivationName, z: number, negativeSlope: number) => number;
}

/** What an f32 evaluation of φ or φ′ may lose to underflow, whatever its relative error. */
const TINY = 2 ** -120;

/**
 * relu, linear: exact; leaky_relu: slope and product rounded, 2u; others 8u·|φ| + 2⁻¹²⁰ (sin: 8u,
 * as reduction is absolute).
 */
function epsPhi(name: ActivationName, z: number, slope: number): number {
  if (name === "relu" || name === "linear") return 0;
  if (name === "leaky_relu") return z > 0 ? 0 : 2 * UW * Math.abs(slope * z);
  return 8 * UW * (name === "sin" ? 1 : Math.abs(phi(name, slope, z))) + TINY;
}

/** relu, linear: exact; leaky_relu: the slope rounded, u; others 8u·Σ|terms of φ′| + 2⁻¹²⁰. */
function epsPhiPrime(name: ActivationName, z: number, slope: number): number {
  if (name === "relu" || name === "linear") return 0;
  if (name === "leaky_relu") return z > 0 ? 0 : UW * Math.abs(slope);
  return 8 * UW * phiPrimeTerms(name, slope, z) + TINY;
}

export function arithmetic(given: Partial<Arithmetic> = {}): Arithmetic {
  return { u: UW, chain: (terms) => terms, epsPhi, epsPhiPrime, ...given };
}

export interface Layer {
  fanIn: number;
  fanOut: number;
  /** c */
  scale: number;
  /** β; null without biases. */
  biasScale: number | null;
  /** Of the layer's weights; the bias, if any, follows them. */
  firstParam: number;
}

/**
 * The layers with their scales, and where each layer's parameters start in a row of the Jacobian.
 */
export function layersOf(net: ReferenceNetwork): Layer[] {
  const { widths, parameterization, weightScale, biasScale, fan } = net;
  const standard = parameterization === "standard";
  let firstParam = 0;
  return widths.slice(1).map((fanOut, l) => {
    const fanIn = widths[l];
    const layer: Layer = {
      fanIn,
      fanOut,
      scale: standard ? 1 : weightScale / Math.sqrt(fan === "in" ? fanIn : fanOut),
      biasScale: biasScale === null ? null : standard ? 1 : biasScale,
      firstParam,
    };
    firstParam += fanIn * fanOut + (biasScale === null ? 0 : fanOut);
    return layer;
  });
}

/** p, the number of parameters. */
export function paramsOf(net: ReferenceNetwork): number {
  const last = layersOf(net).at(-1)!;
  return last.firstParam + last.fanOut * (last.fanIn + (last.biasScale === null ? 0 : 1));
}

/**
 * Roundings in multiplying by a scale held in f32: none by 1, the product's, and the scale's own if
 * f32 lacks it.
 */
export function scaleRoundings(scale: number): number {
  if (scale === 1) return 0;
  return Math.fround(scale) === scale ? 1 : 2;
}

export interface Activations {
  n: number;
  /** a[l] [n, widths[l]], l = 0 … L−1: what layer l reads; a[0] = inputs. */
  a: Float64Array[];
  da: Float64Array[];
  /** z[l] [n, widths[l+1]]; z[L−1] = f. */
  z: Float64Array[];
  dz: Float64Array[];
  /** Units of relu and leaky_relu with |z| ≤ dz ≠ 0: the engine's φ′ may be either. */
  ambiguous: number;
}

/**
 * The forward pass with its running bounds.
 *
 *   dz = |c| |W| da + γ_{chain(K)+k}(u) |c| |W|(|a| + da) + γ_{k'}(u) |β b| + underflow
 *   da' = max|φ′| dz + epsPhi,  the maximum over [z − dz, z + dz]
 *
 * k, k' count the roundings of the scales, of their products and of the sum.
 *
 * `inputs`: [n, widths[0]], taken as exact.
 *
 * **Cost** n · params, three sums each.
 */
export function forward(
  net: ReferenceNetwork,
  weights: ReferenceWeights,
  inputs: ArrayLike<number>,
  n: number,
  given: Partial<Arithmetic> = {},
): Activations {
  const { u, chain, epsPhi } = arithmetic(given);
  const layers = layersOf(net);
  checkShapes(net, weights, inputs, n);
  const a = [Float64Array.from(inputs)];
  const da = [new Float64Array(inputs.length)];
  const z: Float64Array[] = [];
  const dz: Float64Array[] = [];
  let ambiguous = 0;
  layers.forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
    const weight = Float64Array.from(weights[l].weight);
    const bias = weights[l].bias;
    const size = Math.abs(scale);
    const addition = bias === null ? 0 : 1;
    const sumError = gamma(chain(fanIn) + scaleRoundings(scale) + addition, u);
    const biasError = gamma(scaleRoundings(biasScale ?? 1) + addition, u);
    const below = a[l];
    const dBelow = da[l];
    const underflow =
      OMEGA * (3 * fanIn + 4) * (1 + largest(weight) + largest(below) + largest(dBelow));
    const zl = new Float64Array(n * fanOut);
    const dzl = new Float64Array(n * fanOut);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < fanOut; k++) {
        let sum = 0;
        let sumAbs = 0;
        let sumError_ = 0;
        for (let j = 0; j < fanIn; j++) {
          const w = weight[k * fanIn + j];
          const x = below[i * fanIn + j];
          sum += w * x;
          sumAbs += Math.abs(w * x);
          sumError_ += Math.abs(w) * dBelow[i * fanIn + j];
        }
        const shift = bias === null ? 0 : biasScale! * bias[k];
        const at = i * fanOut + k;
        zl[at] = scale * sum + shift;
        dzl[at] =
          size * sumError_ +
          sumError * size * (sumAbs + sumError_) +
          biasError * Math.abs(shift) +
          (sumAbs + sumError_ > 0 ? Math.max(1, size) * underflow : 0);
      }
    }
    z.push(zl);
    dz.push(dzl);
    if (l === layers.length - 1) return;
    const name = net.activation[l];
    const slope = net.negativeSlope;
    const al = new Float64Array(n * fanOut);
    const dal = new Float64Array(n * fanOut);
    for (let at = 0; at < al.length; at++) {
      const [t, dt] = [zl[at], dzl[at]];
      al[at] = phi(name, slope, t);
      dal[at] = phiPrimeMax(name, slope, t, dt) * dt + around(epsPhi, name, slope, t, dt);
      if (isAmbiguous(name, t, dt)) ambiguous++;
    }
    a.push(al);
    da.push(dal);
  });
  return { n, a, da, z, dz, ambiguous };
}

export interface Signals {
  /** Rows of every g: n · O, at i·O + o. */
  rows: number;
  /** g[l] [n·O, widths[l+1]] = ∂f_o(x_i)/∂z[l]. */
  g: Float64Array[];
  dg: Float64Array[];
}

/**
 * The backward pass with its running bounds.
 *
 *   t = c Wᵀ g,  dt as in `forward` (no roundings in the sum over the outputs: g[L−1] is the unit matrix)
 *   g' = t φ′(z),  dg' = |t| dφ′ + |φ′| dt + dt dφ′ + u (|t| + dt)(|φ′| + dφ′)
 *   dφ′ = max|φ″| dz + epsPhiPrime,  |1 − slope| at an ambiguous kink
 *
 * `mask`: for each hidden layer [n, width], nonzero where the engine took a relu or leaky_relu unit
 * as z > 0 (null: decide by z); then φ′ is that, exactly, at ambiguous units too.
 */
export function backward(
  net: ReferenceNetwork,
  weights: ReferenceWeights,
  activations: Activations,
  given: Partial<Arithmetic> & { mask?: readonly (ArrayLike<number> | null)[] } = {},
): Signals {
  const { u, chain, epsPhiPrime } = arithmetic(given);
  const layers = layersOf(net);
  const { n, z, dz } = activations;
  const outputs = net.widths[net.widths.length - 1];
  const rows = n * outputs;
  const slope = net.negativeSlope;
  const unit = new Float64Array(rows * outputs);
  for (let row = 0; row < rows; row++) unit[row * outputs + (row % outputs)] = 1;
  const g = [unit];
  const dg = [new Float64Array(rows * outputs)];
  for (let l = layers.length - 2; l >= 0; l--) {
    const { fanIn: width, fanOut: above, scale } = layers[l + 1];
    const weight = Float64Array.from(weights[l + 1].weight);
    const size = Math.abs(scale);
    const top = l === layers.length - 2;
    const sumError = gamma((top ? 0 : chain(above)) + scaleRoundings(scale), u);
    const [gAbove, dgAbove] = [g[0], dg[0]];
    const underflow =
      OMEGA * (3 * above + 4) * (1 + largest(weight) + largest(gAbove) + largest(dgAbove));
    const name = net.activation[l];
    const mask = given.mask?.[l] ?? null;
    const prime = new Float64Array(n * width);
    const dPrime = new Float64Array(n * width);
    for (let at = 0; at < prime.length; at++) {
      const [t, dt] = [z[l][at], dz[l][at]];
      if (mask !== null && hasKink(name)) {
        const sign = mask[at] !== 0 ? 1 : -1;
        prime[at] = phiPrime(name, slope, sign);
        dPrime[at] = epsPhiPrime(name, sign, slope);
      } else {
        prime[at] = phiPrime(name, slope, t);
        dPrime[at] =
          phiSecondMax(name, t, dt) * dt +
          around(epsPhiPrime, name, slope, t, dt) +
          (isAmbiguous(name, t, dt) ? Math.abs(1 - (name === "relu" ? 0 : slope)) : 0);
      }
    }
    const gl = new Float64Array(rows * width);
    const dgl = new Float64Array(rows * width);
    const sum = new Float64Array(width);
    const sumAbs = new Float64Array(width);
    const sumError_ = new Float64Array(width);
    for (let row = 0; row < rows; row++) {
      sum.fill(0);
      sumAbs.fill(0);
      sumError_.fill(0);
      for (let k = 0; k < above; k++) {
        const x = gAbove[row * above + k];
        const dx = dgAbove[row * above + k];
        if (x === 0 && dx === 0) continue;
        for (let j = 0; j < width; j++) {
          const w = weight[k * width + j];
          sum[j] += w * x;
          sumAbs[j] += Math.abs(w * x);
          sumError_[j] += Math.abs(w) * dx;
        }
      }
      const sample = Math.floor(row / outputs);
      for (let j = 0; j < width; j++) {
        const t = scale * sum[j];
        const dt =
          size * sumError_[j] +
          sumError * size * (sumAbs[j] + sumError_[j]) +
          (sumAbs[j] + sumError_[j] > 0 ? Math.max(1, size) * underflow : 0);
        const [p, dp] = [prime[sample * width + j], dPrime[sample * width + j]];
        gl[row * width + j] = t * p;
        // A product by 0 or 1 is exact.
        const rounded = dp === 0 && (p === 0 || p === 1) ? 0 : u;
        dgl[row * width + j] =
          Math.abs(t) * dp +
          Math.abs(p) * dt +
          dt * dp +
          rounded * (Math.abs(t) + dt) * (Math.abs(p) + dp);
      }
    }
    g.unshift(gl);
    dg.unshift(dgl);
  }
  return { rows, g, dg };
}

/** |z| ≤ dz at a kink; a z = 0 that the engine computes exactly is not ambiguous. */
function isAmbiguous(name: ActivationName, z: number, dz: number): boolean {
  return hasKink(name) && dz > 0 && Math.abs(z) <= dz;
}

/** The largest of `eps` at z and z ± dz, as the engine evaluates at its own z. */
function around(
  eps: Arithmetic["epsPhi"],
  name: ActivationName,
  slope: number,
  z: number,
  dz: number,
): number {
  return Math.max(eps(name, z, slope), eps(name, z - dz, slope), eps(name, z + dz, slope));
}

function largest(values: Float64Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}

function checkShapes(
  net: ReferenceNetwork,
  weights: ReferenceWeights,
  inputs: ArrayLike<number>,
  n: number,
): void {
  const { widths, activation, biasScale } = net;
  const must = (what: string, is: number, be: number) => {
    if (is !== be) throw new RangeError(`reference forward: ${what} is ${is}, but must be ${be}.`);
  };
  must("number of activations", activation.length, widths.length - 2);
  must("number of layers of weights", weights.length, widths.length - 1);
  must("length of inputs", inputs.length, n * widths[0]);
  weights.forEach(({ weight, bias }, l) => {
    must(`length of weight ${l}`, weight.length, widths[l] * widths[l + 1]);
    must(`length of bias ${l}`, bias?.length ?? 0, biasScale === null ? 0 : widths[l + 1]);
  });
}
