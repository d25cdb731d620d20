import {
  forward,
  network,
  normals,
  uploadWeights,
  weights,
  type LayerWeights,
  type NetworkSpec,
} from "../../src/index.ts";
import { activationError } from "../../src/stages/0-activation.ts";
import { Training } from "../../src/theory/training.ts";
import type { TrainingState } from "../../src/theory/state.ts";
import { chain, referenceNetwork, type Problem } from "../../test/conformance/problem.ts";
import { phi } from "../../test/reference/activations.ts";
import { backward, layersOf } from "../../test/reference/network.ts";
import { lossOf } from "../../test/reference/training.ts";
import type { Row } from "../run.ts";
import { bySample, bytesOf } from "./operands.ts";
import { productRow } from "./products.ts";
import { gamma, quotient, worse } from "./verify.ts";

/** Steps of gradient descent on all samples, weights and samples on the device. */
export const trainingRows: readonly Row[] = [trainingRow([784, 512, 512, 1], 512)];

/** Far below 2 / λ_max, so that the loss falls however often a step is timed. */
const RATE = 2 ** -10;
/** u of WGSL's "correctly rounded", either neighbour. */
const U = 2 ** -23;

export function trainingRow(widths: readonly number[], n: number): Row {
  const spec: NetworkSpec = {
    ...{ widths, activation: "relu", parameterization: "ntk" },
    ...{ weightScale: Math.SQRT2, biasScale: 0.1 },
  };
  const net = network(spec);
  const draw = () => ({
    weights: weights(net, 0),
    inputs: normals(1, n * net.inputs),
    targets: normals(2, n * net.outputs),
  });
  const parameters = net.layers.reduce((sum, { fanIn, units }) => sum + fanIn * units, 0);
  const [first] = net.layers;
  return {
    name: `training step ${widths.join("-")}`,
    size: { n },
    // Forward, the gradients, and backward, which the first layer has no need of.
    flops: 2 * n * (3 * parameters - first.fanIn * first.units),
    // Each parameter is two numbers, both read and written.
    bytes: bytesOf(n, net.inputs) + bytesOf(n, net.outputs) + 16 * net.parameters,
    traffic: "copy",
    against: productRow("gemm", "store", 512, 512),
    work: () => ({ kind: "step", spec, n, rate: RATE, ...draw() }),
    async make(gpu) {
      const { weights, inputs, targets } = draw();
      const options = { rate: RATE };
      const training = await Training.open(gpu, net, weights, inputs, targets, options);
      const many = async (steps: number) => void (await training.advance(steps));
      return {
        run: () => many(1),
        many,
        destroy: () => training.destroy(),
        async check() {
          using onDevice = uploadWeights(gpu, net, weights);
          using acts = await forward(gpu, net, onDevice, inputs);
          const held = { a: await bySample(gpu, acts.a), z: await bySample(gpu, acts.z) };
          using one = await Training.open(gpu, net, weights, inputs, targets, options);
          const { losses } = await one.advance(1);
          const problem = { spec, weights, inputs };
          return worse(
            checkForward(problem, held),
            checkStep(problem, targets, held, losses[0], await one.state()),
          );
        },
      };
    },
  };
}

/** Units of a layer whose weights are checked one by one; those of others in one sum a unit. */
const ALONE = 16;

/** Activations and pre-activations of the engine, [samples, width] of each layer. */
export interface Held {
  readonly a: readonly Float64Array[];
  readonly z: readonly Float64Array[];
}

/** The largest error ÷ bound of the way forward, each layer from what the device holds of the one below it. */
export function checkForward({ spec, weights, inputs }: Problem, { a, z }: Held): number {
  const net = referenceNetwork(spec);
  const n = inputs.length / spec.widths[0];
  let worst = a[0].every((value, at) => value === inputs[at]) ? 0 : Infinity;
  layersOf(net).forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
    const weight = Float64Array.from(weights[l].weight);
    const most = gamma(chain(fanIn) + 6);
    for (let i = 0; i < n; i++)
      for (let h = 0; h < fanOut; h++) {
        let [sum, size] = [0, 0];
        for (let k = 0; k < fanIn; k++) {
          const term = weight[h * fanIn + k] * a[l][i * fanIn + k];
          sum += term;
          size += Math.abs(term);
        }
        const shift = biasScale === null ? 0 : biasScale * weights[l].bias![h];
        const value = z[l][i * fanOut + h];
        const bound = most * (Math.abs(scale) * size + Math.abs(shift));
        worst = worse(worst, quotient(value - scale * sum - shift, bound));
        if (l === z.length - 1) continue;
        const [name, slope] = [net.activation[l], net.negativeSlope];
        const off = a[l + 1][i * fanOut + h] - phi(name, slope, value);
        worst = worse(worst, quotient(off, activationError(name, slope, value).value));
      }
  });
  return worst;
}

/**
 * The largest error ÷ bound of the first step of a descent from what the device holds of the way forward: of its loss;
 * of each bias; of some units' weights one by one, and of every unit's Σ ± weights. What is judged is how far they
 * moved. The bound is the rounding bound carried back through the network and over the sum of samples.
 *
 * @param given the loss that is to be judged, of the weights before the step
 */
export function checkStep(
  problem: Problem,
  targets: Float32Array,
  { a, z }: Held,
  given: number,
  after: Pick<TrainingState, "weights" | "rest">,
): number {
  const net = referenceNetwork(problem.spec);
  const outputs = net.widths[net.widths.length - 1];
  const n = targets.length / outputs;
  const none = (list: readonly Float64Array[]) =>
    list.map(({ length }) => new Float64Array(length));
  const passed = { n, a: [...a], da: none(a), z: [...z], dz: none(z), ambiguous: 0 };
  const signals = backward(net, problem.weights, passed, {
    chain,
    epsPhiPrime: (name, z, slope) => activationError(name, slope, z).derivative,
  });
  const { loss, slopes: r, each } = lossOf("mse", z[z.length - 1], targets, outputs);
  const off = each.reduce((sum, value) => sum + gamma(outputs + 12) * value, gamma(72) * loss);
  let worst = quotient(given - loss, off);

  /** How far parameters moved from where they were, of a gradient with its bound. */
  const judge = (moved: number, gradient: number, bound: number, start: number, size: number) => {
    const rounded = RATE * (bound * (1 + 4 * U) + 2 * U * size) + 2 ** -46 * start;
    worst = worse(worst, quotient(moved + RATE * gradient, rounded));
  };
  layersOf(net).forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
    const moves = movesOf(problem.weights[l], after.weights[l], after.rest[l]);
    const [first, most] = [problem.weights[l].weight, gamma(chain(n) + 6)];
    const signs = Float64Array.from({ length: fanIn }, (_, k) =>
      Math.imul(k + 1, 0x9e3779b1) & 0x10000 ? 1 : -1,
    );
    // Of each sample Σ_k ± a_k and Σ |a_k|.
    const [sums, sizes] = [new Float64Array(n), new Float64Array(n)];
    for (let i = 0; i < n; i++)
      for (let k = 0; k < fanIn; k++) {
        sums[i] += signs[k] * a[l][i * fanIn + k];
        sizes[i] += Math.abs(a[l][i * fanIn + k]);
      }
    const apart = Math.max(1, Math.floor(fanOut / ALONE));
    for (let h = 0; h < fanOut; h++) {
      const signal = signalOf(signals.g[l], signals.dg[l], h, fanOut);
      /** Σ_i δ_i x_i with its bound and Σ |δ_i x_i|, for any x of the samples, itself a sum of size |x|. */
      const gradient = (factor: number, of: (i: number) => readonly [number, number]) => {
        let [sum, bound, all] = [0, 0, 0];
        for (let i = 0; i < n; i++) {
          const { delta, size, off } = signal(i);
          const [x, length] = of(i);
          sum += delta * x;
          all += size * length;
          bound += (off + most * (size + off)) * length;
        }
        return [factor * sum, Math.abs(factor) * bound, Math.abs(factor) * all] as const;
      };
      if (moves.bias) {
        const [value, bound, size] = gradient(biasScale!, () => [1, 1]);
        judge(moves.bias[h], value, bound, Math.abs(problem.weights[l].bias![h]), size);
      }
      const row = h * fanIn;
      let [moved, start] = [0, 0];
      for (let k = 0; k < fanIn; k++) {
        moved += signs[k] * moves.weight[row + k];
        start += Math.abs(first[row + k]);
      }
      const [value, bound, size] = gradient(scale, (i) => [sums[i], sizes[i]]);
      judge(moved, value, bound, start, size);
      if (h % apart !== 0 && h !== fanOut - 1) continue;
      for (let k = 0; k < fanIn; k++) {
        const [value, bound, size] = gradient(scale, (i) => {
          const x = a[l][i * fanIn + k];
          return [x, Math.abs(x)];
        });
        judge(moves.weight[row + k], value, bound, Math.abs(first[row + k]), size);
      }
    }
  });
  return worst;

  /** δ = Σ_o r_o g_o of one unit and any sample, Σ |r_o g_o|, and what they are off by. */
  function signalOf(g: Float64Array, dg: Float64Array, h: number, units: number) {
    const all = Array.from({ length: n }, (_, i) => {
      let [delta, size, off] = [0, 0, 0];
      for (let at = i * outputs; at < (i + 1) * outputs; at++) {
        const [y, dy] = [g[at * units + h], dg[at * units + h]];
        delta += r[at] * y;
        size += Math.abs(r[at] * y);
        off += Math.abs(r[at]) * (dy + U * (Math.abs(y) + dy));
      }
      return { delta, size, off };
    });
    return (i: number) => all[i];
  }
}

/** What was added to the parameters of a layer, which are sums of two f32. */
function movesOf(before: LayerWeights, weights: LayerWeights, rest: LayerWeights) {
  const move = (from: Float32Array, to: Float32Array, low: Float32Array): Float64Array =>
    Float64Array.from(to, (value, at) => value - from[at] + low[at]);
  return {
    weight: move(before.weight, weights.weight, rest.weight),
    bias: before.bias && move(before.bias, weights.bias!, rest.bias!),
  };
}
