/** Gradient descent against exact laws, and against the same steps in f64. */
import { describe, expect } from "vitest";
import {
  network,
  ntk,
  weights,
  type Gpu,
  type LayerWeights,
  type Network,
  type NetworkSpec,
} from "../../src/index.ts";
import { shuffled } from "../../src/theory/batches.ts";
import { DivergenceError, Training, type Loss, type TrainingOptions } from "../../src/theory.ts";
import { chain, exact, referenceNetwork } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { golden, GOLDEN } from "../reference/npy.ts";
import { descend, lossOf } from "../reference/training.ts";
import { random, sample } from "../shaders/guarded.ts";
import { ENGINE } from "./engine.ts";

const spec = (widths: number[], more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  widths,
  activation: "tanh",
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.1,
  ...more,
});

/** Targets that each loss knows. */
function targetsOf(loss: Loss, n: number, outputs: number, seed: number): Float32Array {
  const next = random(seed);
  if (loss !== "softmax")
    return Float32Array.from({ length: n * outputs }, () => (next() < 0.5 ? -1 : 1));
  const targets = new Float32Array(n * outputs);
  for (let i = 0; i < n; i++) targets[i * outputs + Math.floor(next() * outputs)] = 1;
  return targets;
}

/** Weights as the sums of two f32 that they are. */
const sums = (high: readonly LayerWeights[], low: readonly LayerWeights[]): Float64Array[] =>
  high.flatMap(({ weight, bias }, l) => {
    const add = (a: Float32Array, b: Float32Array) =>
      Float64Array.from(a, (value, at) => value + b[at]);
    return [add(weight, low[l].weight), ...(bias ? [add(bias, low[l].bias!)] : [])];
  });

/** u [n, O] in f64 of weights that are sums. */
function outputsOf(
  given: NetworkSpec,
  high: readonly LayerWeights[],
  inputs: Float32Array,
  rest?: readonly LayerWeights[],
): Float64Array {
  const add = (a: Float32Array, b?: Float32Array | null) =>
    Float64Array.from(a, (value, at) => value + (b?.[at] ?? 0));
  const own = high.map(({ weight, bias }, l) => ({
    weight: add(weight, rest?.[l].weight),
    bias: bias && add(bias, rest?.[l].bias),
  }));
  const outputs = given.widths.at(-1)!;
  const none = new Float32Array((inputs.length / given.widths[0]) * outputs);
  return descend(referenceNetwork(given), own, inputs, none, { steps: 0, rate: 1 }).outputs[0];
}

async function trained(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Float32Array,
  targets: Float32Array,
  options: TrainingOptions,
  steps: number,
) {
  using training = await Training.open(gpu, net, values, inputs, targets, options);
  const found = await training.advance(steps);
  return { ...found, state: await training.state() };
}

describe("one step", () => {
  const CASES: [NetworkSpec, Loss][] = [
    [spec([3, 17, 1]), "mse"],
    [spec([5, 16, 33, 3], { activation: "gelu" }), "mse"],
    [spec([3, 20, 1], { activation: "erf", parameterization: "standard" }), "logistic"],
    [spec([4, 9, 2], { activation: "sigmoid", biasScale: null }), "logistic"],
    [spec([6, 40, 10], { activation: "tanh", weightScale: 1.5 }), "softmax"],
    [spec([2, 7], { activation: [] }), "softmax"],
  ];
  for (const [given, loss] of CASES)
    gpuTest(
      `${loss}, ${given.widths.join("-")}: loss, gradient and the step of every weight within the running bound`,
      async (gpu) => {
        const net = network(given);
        for (const n of [1, 33, 300]) {
          const values = weights(net, n);
          const inputs = sample("normal", n * net.inputs, n);
          const targets = targetsOf(loss, n, net.outputs, n);
          const rate = 2 ** -4;
          const { losses, gradientNorms, state } = await trained(
            ...([gpu, net, values, inputs, targets, { rate, loss }, 1] as const),
          );
          const own = values as { weight: Float32Array; bias: Float32Array | null }[];
          const reference = exact({ spec: given, weights: own, inputs }, { ...ENGINE, chain });
          const { activations, signals } = reference.pass;
          const u = activations.z.at(-1)!;
          const du = activations.dz.at(-1)!;
          const outputs = net.outputs;
          const of = lossOf(loss, u, targets, outputs);
          const row = (values: Float64Array, i: number) =>
            Array.from(values.subarray(i * outputs, (i + 1) * outputs));
          const dr = new Float64Array(u.length);
          let lossBound = gamma(72, UW) * of.loss;
          for (let i = 0; i < n; i++) {
            const [us, dus] = [row(u, i), row(du, i)];
            const off = Math.max(...dus);
            const spread = Math.max(...us) - Math.min(...us) + 2 * off;
            const top = Math.max(...us) + off;
            const total = us.reduce((sum, value) => sum + Math.exp(value - top), 0);
            for (let o = 0; o < outputs; o++) {
              const at = i * outputs + o;
              const r = Math.abs(of.slopes[at]);
              if (loss === "mse") dr[at] = dus[o] + UW * (r + dus[o]);
              else if (loss === "logistic") dr[at] = dus[o] + 12 * UW * (r + dus[o]);
              else {
                const share = (Math.exp(us[o] - top) / total) * Math.exp(4 * off);
                dr[at] =
                  Math.expm1(2 * off) * share +
                  (2 * spread + outputs + 12) * UW * share +
                  UW * (r + Math.expm1(2 * off) * share);
              }
              lossBound += (r + dr[at]) * dus[o] * (loss === "softmax" ? 2 : 1);
            }
            lossBound += gamma(outputs + 12, UW) * (of.each[i] + spread) + (spread + 8) * UW;
          }
          assertWithin(losses, [of.loss], [lossBound], "loss");

          // δ = Σ_o r_o g_o, then ∂W = c Σ_i δ_i a_i.
          const gradients: Float64Array[] = [];
          const bounds: Float64Array[] = [];
          for (const { index, fanIn, units, scale, shift, hasBias } of net.layers) {
            const [g, dg] = [signals.g[index], signals.dg[index]];
            const [a, da] = [activations.a[index], activations.da[index]];
            const weight = new Float64Array(units * fanIn);
            const weightBound = new Float64Array(units * fanIn);
            const bias = new Float64Array(units);
            const biasBound = new Float64Array(units);
            const k = gamma(chain(n) + 6, UW);
            for (let i = 0; i < n; i++)
              for (let h = 0; h < units; h++) {
                let delta = 0;
                let off = 0;
                let size = 0;
                for (let o = 0; o < outputs; o++) {
                  const at = i * outputs + o;
                  const [x, y] = [of.slopes[at], g[at * units + h]];
                  delta += x * y;
                  size += Math.abs(x * y);
                  off +=
                    Math.abs(x) * dg[at * units + h] + dr[at] * (Math.abs(y) + dg[at * units + h]);
                }
                // The last layer's signals are the slopes themselves.
                bias[h] += shift * delta;
                biasBound[h] += Math.abs(shift) * (off + k * (size + off));
                for (let j = 0; j < fanIn; j++) {
                  const [x, dx] = [a[i * fanIn + j], da[i * fanIn + j]];
                  weight[h * fanIn + j] += scale * delta * x;
                  const spread = (Math.abs(delta) + off) * dx + off * Math.abs(x);
                  weightBound[h * fanIn + j] +=
                    Math.abs(scale) * (spread + k * (size + off) * (Math.abs(x) + dx));
                }
              }
            gradients.push(weight, ...(hasBias ? [bias] : []));
            bounds.push(weightBound, ...(hasBias ? [biasBound] : []));
          }
          const after = sums(state.weights, state.rest);
          const before = values.flatMap(({ weight, bias }) => [weight, ...(bias ? [bias] : [])]);
          let norm = 0;
          let normBound = 0;
          gradients.forEach((gradient, part) => {
            const start = Float64Array.from(before[part]);
            assertWithin(
              after[part],
              gradient.map((value, at) => start[at] - rate * value),
              gradient.map(
                (value, at) =>
                  rate * bounds[part][at] * (1 + 4 * UW) +
                  2 * UW * rate * Math.abs(value) +
                  2 ** -46 * Math.abs(start[at]),
              ),
              `part ${part}`,
            );
            gradient.forEach((value, at) => {
              norm += value * value;
              normBound += bounds[part][at] ** 2;
            });
          });
          const size = Math.sqrt(norm);
          const off = Math.sqrt(normBound);
          assertWithin(gradientNorms, [size], [off + gamma(84, UW) * (size + off)], "norm");
        }
      },
    );
});

describe("exact laws", () => {
  /** f′ = (1 − ηλ + η²f²/n) f, λ′ = λ + (ηf²/n)(ηλ − 4), with what rounding in f32 may have added so far. */
  gpuTest("a two-layer linear network follows the catapult's recurrence", async (gpu) => {
    const width = 16;
    const net = network(spec([1, width, 1], { activation: "linear", biasScale: null }));
    const input = Float32Array.of(1);
    const target = Float32Array.of(0);
    const values = weights(net, 5);
    const [first, second] = values.map(({ weight }) => weight);
    const inner = (x: Float32Array, y: Float32Array) =>
      x.reduce((sum, value, i) => sum + value * y[i], 0);
    const f0 = inner(first, second) / Math.sqrt(width);
    const lambda0 = (inner(first, first) + inner(second, second)) / width;
    for (const share of [1, 3, 3.9, 4.1]) {
      const rate = Math.fround(share / lambda0);
      using training = await Training.open(gpu, net, values, input, target, { rate });
      if (share > 4) {
        const error = await training.advance(2000).then(
          () => null,
          (thrown: unknown) => thrown,
        );
        expect(error).toBeInstanceOf(DivergenceError);
        expect((error as DivergenceError).message).toMatch(/of step \d+ .*Lower the rate/);
        continue;
      }
      const steps = 50;
      const { losses } = await training.advance(steps);
      let [f, lambda, df, dl] = [f0, lambda0, 0, 0];
      let most = 0;
      const own = gamma(chain(width) + 8, UW);
      for (let k = 0; k < steps; k++) {
        // What the engine computes as f has the rounding of its own weights and sum: Σ |u v| ≤ n λ / 2.
        const here = (own * Math.sqrt(width) * (lambda + dl)) / 2;
        const seen = df + here + 4 * UW * (Math.abs(f) + df);
        const bound = (Math.abs(f) + seen) * seen + gamma(76, UW) * f * f;
        assertWithin([losses[k]], [(f * f) / 2], [bound], `${share}, step ${k}`);
        most = Math.max(most, bound / ((f * f) / 2 + 1));
        const [square, eta] = [(rate * rate) / width, rate];
        const nextF =
          Math.abs(1 - eta * lambda + 3 * square * f * f) * df +
          eta * Math.abs(f) * dl +
          eta * dl * df +
          3 * square * Math.abs(f) * df * df +
          square * df ** 3 +
          eta * (here + 8 * UW * Math.abs(f)) * (lambda + dl) * (1 + 2 * Math.abs(f) * eta);
        const nextL =
          dl * (1 + square * (Math.abs(f) + df) ** 2) +
          Math.abs((2 * eta * f * df + eta * df * df) / width) * Math.abs(eta * lambda - 4) +
          (2 * eta * (here + 8 * UW * Math.abs(f)) * (lambda + dl)) / Math.sqrt(width) +
          2 * UW * eta * (lambda + dl) * Math.abs(f);
        [f, lambda] = [
          (1 - eta * lambda + square * f * f) * f,
          lambda + ((eta * f * f) / width) * (eta * lambda - 4),
        ];
        [df, dl] = [nextF, nextL];
      }
      // The bound itself says something: at most a twentieth of the loss, or of 1 where that is less.
      expect(most).toBeLessThan(0.05);
      if (share === 1) expect(Math.max(...losses)).toBe(losses[0]);
      if (share > 2) expect(Math.max(...losses)).toBeGreaterThan(losses[0]);
      if (share > 2) expect(lambda * rate).toBeLessThan(2);
    }
  });

  gpuTest("a linear model: r_k = (1 − ηH)^k r_0, with H that stays as it is", async (gpu) => {
    const [n, d, o] = [20, 30, 2];
    const given = spec([d, o], { activation: [], biasScale: 0.5 });
    const net = network(given);
    const values = weights(net, 3);
    const inputs = sample("normal", n * d, 4);
    const targets = sample("normal", n * o, 5);
    const gram = (await ntk(gpu, net, values, inputs, { precision: "verified" })).gram;
    const { lambdaMax } = (await ntk(gpu, net, values, inputs, { precision: "verified" })).spectrum;
    const rate = Math.fround(1 / lambdaMax);
    using training = await Training.open(gpu, net, values, inputs, targets, { rate });
    let r = outputsOf(given, values, inputs).map((value, at) => value - targets[at]);
    for (let k = 0; k < 5; k++) {
      for (let step = 0; step < 10; step++) {
        const hr = r.map((_, i) =>
          r.reduce((sum, value, j) => sum + gram[i * n * o + j] * value, 0),
        );
        r = r.map((value, at) => value - rate * hr[at]);
      }
      await training.advance(10);
      const { weights: high, rest } = await training.state();
      const u = outputsOf(given, high, inputs, rest);
      // Each gradient is off by what its residuals are, γ of sums of 30 and of 20 terms; 1 − ηH lets no error grow.
      const terms = Math.sqrt(n * o) * 4 * Math.sqrt(d) * gamma(chain(d) + chain(n) + 12, UW);
      assertWithin(
        u.map((value, at) => value - targets[at]),
        r,
        10 * (k + 1) * terms,
        `${10 * (k + 1)} steps`,
      );
    }
    const after = await training.state();
    const moved = (await ntk(gpu, net, after.weights, inputs, { precision: "verified" })).gram;
    expect(moved).toEqual(gram);
  });

  gpuTest("‖u_1 − u_0 + ηHr‖ = O(η²): half the rate, a quarter of it", async (gpu) => {
    const given = spec([3, 40, 30, 1], { activation: "tanh", weightScale: 1.4 });
    const net = network(given);
    const values = weights(net, 8);
    const n = 12;
    const inputs = sample("normal", n * 3, 9);
    const targets = sample("normal", n, 10);
    const { gram, spectrum } = await ntk(gpu, net, values, inputs, { precision: "verified" });
    const u = outputsOf(given, values, inputs);
    const hr = u.map((_, i) =>
      u.reduce((sum, value, j) => sum + gram[i * n + j] * (value - targets[j]), 0),
    );
    const off: number[] = [];
    for (const part of [8, 16, 32, 64]) {
      const rate = Math.fround(1 / (part * spectrum.lambdaMax));
      const { state } = await trained(gpu, net, values, inputs, targets, { rate }, 1);
      const after = outputsOf(given, state.weights, inputs, state.rest);
      off.push(Math.hypot(...after.map((value, i) => value - u[i] + rate * hr[i])));
    }
    for (let k = 0; k < 3; k++) expect(Math.abs(off[k] / off[k + 1] / 4 - 1)).toBeLessThan(0.05);
  });
});

describe("how it is trained", () => {
  const given = spec([4, 24, 24, 2], { activation: "silu" });
  const net = network(given);
  const n = 30;
  const inputs = sample("normal", n * 4, 1);
  const targets = targetsOf("softmax", n, 2, 2);
  const values = weights(net, 4);
  const options = { rate: 0.03, momentum: 0.9, loss: "softmax" } as const;

  gpuTest("momentum: the losses of 100 steps are those of f64", async (gpu) => {
    const exactly = descend(referenceNetwork(given), values, inputs, targets, {
      ...options,
      steps: 100,
    });
    const { losses, gradientNorms, state } = await trained(
      ...([gpu, net, values, inputs, targets, options, 100] as const),
    );
    const terms = gamma(chain(24) + 40, UW) * n;
    assertWithin(losses, exactly.losses.slice(0, 100), 2 * terms, "losses");
    assertWithin(gradientNorms, exactly.gradientNorms, 8 * terms, "norms");
    expect(losses[99]).toBeLessThan(0.2 * losses[0]);
    expect(state.velocity).not.toBeNull();
  });

  gpuTest(
    "batches: every pass takes each sample at most once, in an order of its own",
    async (gpu) => {
      const batch = 7;
      using training = await Training.open(gpu, net, values, inputs, targets, {
        ...options,
        batch,
      });
      const { losses } = await training.advance(12);
      const orders = [0, 1, 2].map((epoch) => shuffled(n, 0, epoch));
      for (const order of orders)
        expect([...order].sort((a, b) => a - b)).toEqual([...Array(n).keys()]);
      expect(orders[0]).not.toEqual(orders[1]);
      const first = Array.from(orders[0].subarray(0, batch));
      const rows = (array: Float32Array, width: number) =>
        Float32Array.from(first.flatMap((i) => [...array.subarray(i * width, (i + 1) * width)]));
      const exactly = descend(
        ...([referenceNetwork(given), values, rows(inputs, 4), rows(targets, 2)] as const),
        { rate: options.rate, loss: "softmax", steps: 0 },
      );
      assertWithin([losses[0]], exactly.losses, gamma(chain(24) + 40, UW) * n, "first batch");
    },
  );

  for (const batch of [n, 8])
    gpuTest(`stopped and gone on, batch ${batch}: the same bits`, async (gpu) => {
      const how = { ...options, batch };
      const whole = await trained(gpu, net, values, inputs, targets, how, 50);
      const part = await trained(gpu, net, values, inputs, targets, how, 17);
      using rest = await Training.open(gpu, net, values, inputs, targets, how, part.state);
      const { losses } = await rest.advance(33);
      expect([...part.losses, ...losses]).toEqual([...whole.losses]);
      expect(await rest.state()).toEqual(whole.state);
    });

  gpuTest("what is wrong is said before anything is computed", async (gpu) => {
    const open = (more: object, y = targets) =>
      Training.open(gpu, net, values, inputs, y, { ...options, ...more });
    for (const [more, word] of [
      [{ rate: 0 }, /rate is 0, but must be from 2⁻¹²⁶/],
      [{ rate: NaN }, /rate is NaN/],
      [{ momentum: 1 }, /momentum is 1/],
      [{ batch: 31 }, /batch is 31, but must be a whole number from 1 to the 30 samples/],
      [{ loss: "hinge" }, /loss is "hinge", but must be one of mse, logistic, softmax/],
      [{ rates: 1 }, /no option "rates"\. Did you mean "rate"\?/],
    ] as const)
      await expect(open(more)).rejects.toThrow(word);
    await expect(open({ loss: "logistic" })).rejects.toThrow(/sample 0 .* must be −1 or 1/);
    await expect(
      open(
        {},
        targets.map((y) => 2 * y),
      ),
    ).rejects.toThrow(/must be from 0 and add up to 1/);
    await expect(open({}, targets.subarray(1))).rejects.toThrow(
      /hold 59 values, but must hold .* 30 × 2/,
    );
  });
});

describe("the golden networks", () => {
  for (const name of GOLDEN)
    gpuTest(
      `${name}: 200 steps at η = ½ / λ_max stay within 1e-5 of the same in f64`,
      async (gpu) => {
        const { net: reference, weights: given, inputs, n, out, eig } = golden(name);
        const outputs = out.length / n;
        const next = random(7);
        const targets = Float32Array.from({ length: n * outputs }, () => (next() < 0.5 ? -1 : 1));
        const rate = Math.fround(0.5 / eig[eig.length - 1]);
        const exactly = descend(reference, given, inputs, targets, { steps: 200, rate });
        const net = network({
          ...reference,
          negativeSlope: undefined,
        } as unknown as NetworkSpec);
        const values = given.map(({ weight, bias }) => ({
          weight: Float32Array.from(weight),
          bias: bias && Float32Array.from(bias),
        }));
        const size = Math.hypot(...out);
        using training = await Training.open(gpu, net, values, inputs, targets, { rate });
        const { losses } = await training.advance(200);
        const { weights: after } = await training.state();
        const f = descend(reference, after, inputs, targets, { steps: 0, rate }).outputs[0];
        const u = exactly.outputs[200];
        const off = Math.hypot(...f.map((value, at) => value - u[at])) / size;
        expect(off).toBeLessThanOrEqual(1e-5);
        expect(losses[199]).toBeLessThan(losses[0]);
      },
    );
});
