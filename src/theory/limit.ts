import { InputError, NonFiniteError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { checkOptions, described, ownValues, type Values } from "../gpu/values.ts";
import type { Activation } from "../stages/0-activation.ts";
import { meter, PANEL, rowProducts } from "../stages/0-double.ts";
import type { Network } from "../stages/0-network.ts";
import { sampleCount } from "../stages/1-forward.ts";
import { closedDual, enter, place, type Closed, type Pair } from "./dual.ts";
import {
  hasSeries,
  seriesApart,
  seriesDual,
  seriesOf,
  type Series,
  type Smooth,
} from "./hermite.ts";

/** Which kernel of infinite width. */
export type LimitKernel = "ntk" | "nngp";

/** Which kernel, and how its computation is followed and stopped. */
export interface LimitOptions extends Job {
  /** `ntk` (default): the tangent kernel Θ; `nngp`: the covariance Σ of the outputs at initialization. */
  readonly kernel?: LimitKernel;
}

/** Samples in f64, with their squared norms. */
interface Samples {
  readonly n: number;
  readonly x: Float64Array;
  readonly squares: Float64Array;
}

/** One hidden layer: what takes a pair through φ. */
interface Step {
  /** Whether 1 ∓ ρ_K is needed to all its digits, for a kink further up. */
  readonly apart: boolean;
  readonly activation: Activation;
  readonly series: Series | null;
  /** K between each sample and itself, for each set. */
  readonly own: readonly Float64Array[];
}

/**
 * The kernel of a dense network of infinite width, in f64 on the CPU, layer by layer from Σ¹ = σ_w² x·x′/d + σ_b²:
 *
 *   Σ⁺ = σ_w² K + σ_b²        Θ⁺ = Σ⁺ + σ_w² K̇ Θ        K = E[φ(u) φ(v)],  K̇ = E[φ′(u) φ′(v)],  (u, v) ~ N(0, Σ)
 *
 * with Θ¹ = Σ¹. In the standard parameterization Θ¹ = x·x′ + 1 and Θ⁺ = n K + σ_w² K̇ Θ + 1, n the width of the layer
 * below and every + 1 only where there are biases: there the kernel grows with the width, and this is its leading part.
 * σ_w is weightScale, σ_b biasScale. Between an output and itself; the kernel of O outputs is this ⊗ the unit matrix.
 *
 * ```ts
 * const inputs = normals(0, 50 * net.inputs);
 * const kernel = await limit(gpu, net, inputs, null); // Θ [50, 50]
 * const covariance = await limit(gpu, net, inputs, null, { kernel: "nngp" });
 * ```
 *
 * @param gpu only lets the event loop run; nothing is computed on it
 * @param inputs f32 [n1, net.inputs] row-major
 * @param others f32 [n2, net.inputs], or null for the kernel of `inputs` with themselves
 * @returns [n1, n2] row-major; with `others` null symmetric to the bit
 *
 * **Error** 3e-14 √(Θ_ii Θ_jj); seen against polar quadrature, for every activation, with and without biases, in up to
 * three hidden layers with variances up to 4: 1.3e-14, and no more between near-duplicates. θ and π − θ of the inputs are
 * right to 2e-15 of themselves, so that what is left between near-antipodes keeps its digits; behind a smooth layer, θ is
 * right to a rounding of 1. Equal rows of inputs give equal rows of the kernel, to the bit.
 * **Cost** n1 n2 (half with `others` null) times 2 d flops and, a hidden layer, 0.1 µs; for series (tanh, sigmoid,
 * softplus, silu) 2 ns a term that is not 0 in its place: tanh has 82 at variance 1, 308 at 4, growing with it, fewer
 * where |ρ| is small; n times as many values are kept. **From** Jacot, Gabriel & Hongler 2018, Lee et al. 2019;
 * Cho & Saul 2009, Williams 1997.
 * @throws InputError where there is no limit (`fan` is out), a variance is beyond a series, or for wrong options;
 * NonFiniteError; the signal's reason when aborted
 */
export async function limit(
  gpu: Gpu,
  net: Network,
  inputs: Values,
  others: Values | null,
  options: LimitOptions = {},
): Promise<Float64Array<ArrayBuffer>> {
  const rest = () => gpu.settle(gpu.device.queue.onSubmittedWorkDone());
  return limitOnHost(rest, net, inputs, others, options);
}

/** The same without a device: `rest` is what lets others have their turn. @internal */
export async function limitOnHost(
  rest: () => Promise<unknown>,
  net: Network,
  inputs: Values,
  others: Values | null,
  options: LimitOptions = {},
): Promise<Float64Array<ArrayBuffer>> {
  const { kernel } = checked(net, inputs, others, options);
  const flops = flopsOf(net, inputs, others);
  return limitInTurns(meter(rest, options, "limit", flops), net, inputs, others, kernel);
}

function checked(
  net: Network,
  inputs: Values,
  others: Values | null,
  options: LimitOptions,
): { kernel: LimitKernel } {
  checkOptions("limit", options, ["kernel", "signal", "onProgress"]);
  const { kernel = "ntk" } = options;
  if (kernel !== "ntk" && kernel !== "nngp")
    throw new InputError(
      `limit: kernel is ${described(kernel)}, but must be ntk or nngp. Choose one.`,
    );
  if (net.spec.fan === "out")
    throw new InputError(
      'limit: fan is "out", but must be "in": divided by its own width, the first layer vanishes and the part of the biases grows with the width, so that there is no limit. Leave fan out.',
    );
  for (const values of others === null ? [inputs] : [inputs, others])
    sampleCount("limit", net, values);
  return { kernel };
}

/** Stand-ins for what a pair takes in a layer, so that the share that is done is about right. */
const flopsOf = (net: Network, inputs: Values, others: Values | null): number =>
  (inputs.length / net.inputs) *
  ((others ?? inputs).length / net.inputs) *
  (others ? 1 : 0.5) *
  (2 * net.inputs + PAIR * net.layers.length);
const PAIR = 100;

async function limitInTurns(
  turn: Meter,
  net: Network,
  inputs: Values,
  others: Values | null,
  kernel: LimitKernel,
): Promise<Float64Array<ArrayBuffer>> {
  const { inputs: d, layers, spec } = net;
  const [w, b] = [spec.weightScale ** 2, (spec.biasScale ?? 0) ** 2];
  const standard = spec.parameterization === "standard";
  const one = standard && layers[0].hasBias ? 1 : 0;
  const left = samples("inputs", inputs, d);
  const right = others === null ? left : samples("others", others, d);
  const steps = await stepsOf(turn, net, others === null ? [left] : [left, right], w, b);
  const [n1, n2] = [left.n, right.n];
  const out = allocated(n1, n2);
  const pair: Pair = { q1: 0, q2: 0, c: 0, far: 1, near: 1, k: 0, kDot: 1 };
  for (let from = 0; from < n1; from += PANEL) {
    const to = Math.min(n1, from + PANEL);
    rowProducts(left.x, from, to, right.x, n2, d, out, others === null);
    for (let i = from; i < to; i++) {
      const end = others === null ? i + 1 : n2;
      for (let j = 0; j < end; j++) {
        const product = out[i * n2 + j];
        angle(pair, left, i, right, j, d, product);
        pair.k = product / d;
        enter(pair, left.squares[i] / d, right.squares[j] / d, w, b);
        let theta = standard ? product + one : pair.c;
        for (let l = 0; l < steps.length; l++) {
          const { own } = steps[l];
          through(steps[l], net.slope, i, j, pair);
          const { k, kDot } = pair;
          enter(pair, own[0][i], own[own.length - 1][j], w, b);
          theta = w * kDot * theta + (standard ? layers[l + 1].fanIn * k + one : pair.c);
        }
        out[i * n2 + j] = kernel === "ntk" ? theta : pair.c;
        if (others === null) out[j * n2 + i] = out[i * n2 + j];
      }
      await turn(end * (2 * d + PAIR * layers.length));
    }
  }
  return finite(out);
}

function samples(operand: string, values: Values, d: number): Samples {
  const x = Float64Array.from(ownValues("limit", operand, values));
  const n = x.length / d;
  const squares = new Float64Array(n);
  // Summed as every other product is, so that a sample and its double are at no distance.
  for (let i = 0; i < n; i++)
    rowProducts(x, i, i + 1, x.subarray(i * d, (i + 1) * d), 1, d, squares);
  return { n, x, squares };
}

function allocated(n1: number, n2: number): Float64Array<ArrayBuffer> {
  try {
    return new Float64Array(n1 * n2);
  } catch {
    throw new InputError(
      `limit: ${n1} × ${n2} values need ${((8 * n1 * n2) / 2 ** 30).toFixed(1)} GiB, but this machine cannot give them in one piece. Take fewer samples at a time.`,
    );
  }
}

/** Beyond it squares of variances, and their products, would overflow. */
const MOST = 2 ** 250;

/** What each hidden layer needs to know of the samples one by one. @throws InputError where a variance overflows */
async function stepsOf(
  turn: Meter,
  net: Network,
  sets: readonly Samples[],
  w: number,
  b: number,
): Promise<Step[]> {
  const d = net.inputs;
  const hidden = net.layers.slice(0, -1).map(({ activation }) => activation);
  const lastKink = hidden.reduce(
    (last, name, l) => (name === "relu" || name === "leaky_relu" ? l : last),
    -1,
  );
  let variances = sets.map(({ squares }) => squares.map((square) => (w * square) / d + b));
  const steps: Step[] = [];
  const pair: Pair = { q1: 0, q2: 0, c: 0, far: 0, near: 2, k: 0, kDot: 0 };
  for (const [l, activation] of hidden.entries()) {
    for (const set of variances)
      for (const q of set)
        if (!(q < MOST))
          throw new InputError(
            `limit: the pre-activations of layer ${l + 1} have variance ${q.toPrecision(3)}, but it must be below 2^250. Scale the inputs or weightScale down.`,
          );
    const apart = isSmooth(activation) && lastKink > l;
    const largest = variances.reduce(
      (most, set) => set.reduce((more, q) => Math.max(more, q), most),
      0,
    );
    const needs = isSmooth(activation) && (!isClosed(activation) || apart);
    const series =
      needs && (!isClosed(activation) || hasSeries(activation, largest))
        ? await seriesOf(activation, variances, l, turn)
        : null;
    const own = variances.map((set, which) =>
      set.map((q, i) => {
        Object.assign(pair, { q1: q, q2: q, c: q, far: q > 0 ? 0 : 1, near: q > 0 ? 2 : 1 });
        const sided = series && { ...series, sets: [series.sets[which]] };
        dualOf(activation, sided, net.slope, i, i, pair);
        return pair.k;
      }),
    );
    steps.push({ apart: apart && series !== null, activation, series, own });
    variances = own.map((set) => set.map((k) => w * k + b));
  }
  return steps;
}

const isSmooth = (name: Activation): name is Smooth =>
  !["relu", "leaky_relu", "linear"].includes(name);

const isClosed = (name: Activation): name is Closed =>
  !["tanh", "sigmoid", "softplus", "silu"].includes(name);

function dualOf(
  activation: Activation,
  series: Series | null,
  slope: number,
  i: number,
  j: number,
  pair: Pair,
): void {
  if (isClosed(activation)) closedDual(activation, slope, pair);
  else seriesDual(series!, i, j, pair);
}

/** Where 1 ∓ ρ_K is below it, it is not taken from a difference. */
const CLOSE = 2 ** -8;

/** A pair through one hidden layer: K and K̇, and far and near of K. */
function through(step: Step, slope: number, i: number, j: number, pair: Pair): void {
  const { activation, series, own } = step;
  dualOf(activation, series, slope, i, j, pair);
  if (!isSmooth(activation)) return;
  const size = Math.sqrt(own[0][i] * own[own.length - 1][j]);
  const close = size * (1 - CLOSE);
  if (step.apart && size > 0 && Math.abs(pair.k) > close) return seriesApart(series!, i, j, pair);
  pair.far = size > 0 ? Math.max(0, (size - pair.k) / size) : 1;
  pair.near = size > 0 ? Math.max(0, (size + pair.k) / size) : 1;
}

/** 1 − ρ² of two inputs below which it is not taken from their products. */
const NARROW = 2 ** -6;

/** far and near of two inputs: |x|² |y|² − (x·y)² from products, or from what is left of y beside x. */
function angle(
  pair: Pair,
  left: Samples,
  i: number,
  right: Samples,
  j: number,
  d: number,
  product: number,
): void {
  const [xx, yy] = [left.squares[i], right.squares[j]];
  const both = xx * yy;
  let determinant = both - product * product;
  if (determinant < NARROW * both) {
    const x = left.x.subarray(i * d, (i + 1) * d);
    const y = right.x.subarray(j * d, (j + 1) * d);
    determinant = isBefore(x, xx, y, yy)
      ? xx * beside(x, xx, y, product)
      : yy * beside(y, yy, x, product);
  }
  place(pair, determinant, Math.sqrt(both), product);
}

/** An order of two samples that does not depend on which is handed in first: the longer one, then the larger entry. */
function isBefore(x: Float64Array, xx: number, y: Float64Array, yy: number): boolean {
  if (xx !== yy) return xx > yy;
  for (let k = 0; k < x.length; k++) if (x[k] !== y[k]) return x[k] > y[k];
  return true;
}

/**
 * |y − (x·y / |x|²) x|², in two steps: a multiple of 24 bits, whose products with f32 entries are exact, and the rest.
 */
function beside(x: Float64Array, xx: number, y: Float64Array, product: number): number {
  const multiple = Math.fround(product / xx);
  let along = 0;
  for (let k = 0; k < x.length; k++) along += x[k] * (y[k] - multiple * x[k]);
  const rest = along / xx;
  let sum = 0;
  for (let k = 0; k < x.length; k++) sum += (y[k] - multiple * x[k] - rest * x[k]) ** 2;
  return sum;
}

function finite(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  let count = 0;
  let first = -1;
  for (let at = 0; at < values.length; at++)
    if (!(Math.abs(values[at]) < Infinity)) {
      if (count === 0) first = at;
      count += 1;
    }
  if (count > 0)
    throw new NonFiniteError("limit", "the kernel", first, count, "Scale weightScale down.");
  return values;
}
