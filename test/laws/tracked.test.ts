/** Every field of a tracked step against f64; networks whose kernel does not move; calls that get in each other's way. */
import { describe, expect } from "vitest";
import { InputError, network, ntk, weights, type NetworkSpec } from "../../src/index.ts";
import {
  Tracker,
  train,
  Training,
  type Loss,
  type TrackedStep,
  type TrainOptions,
} from "../../src/theory.ts";
import { exact } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigen } from "../reference/eigen.ts";
import { gramLayerwise } from "../reference/gram.ts";
import { jacobian } from "../reference/jacobian.ts";
import { lossOf } from "../reference/training.ts";
import { sample } from "../shaders/guarded.ts";

type Own = { weight: Float32Array; bias: Float32Array | null }[];

const norm = (values: ArrayLike<number>): number => Math.hypot(...Array.from(values));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
const minus = (a: ArrayLike<number>, b: ArrayLike<number>): Float64Array =>
  Float64Array.from(a, (value, i) => value - b[i]);
const row = <T extends Float32Array | Float64Array>(a: T, i: number, n: number) =>
  a.subarray(i * n, (i + 1) * n);
const times = (a: Float64Array, v: ArrayLike<number>): Float64Array =>
  Float64Array.from(v, (_, i) => dot(row(a, i, v.length), v));
/** ‖A‖₂ of a symmetric matrix. */
const sizeOf = (a: Float64Array, n: number): number =>
  Math.max(...eigen(a, n).values.map(Math.abs));
/** f(A) v. */
function ofMatrix(a: Float64Array, v: ArrayLike<number>, f: (lambda: number) => number) {
  const n = v.length;
  const { values, vectors } = eigen(a, n);
  const out = new Float64Array(n);
  values.forEach((value, k) => {
    const axis = row(vectors, k, n);
    const part = f(value) * dot(axis, v);
    axis.forEach((x, i) => (out[i] += part * x));
  });
  return out;
}

/** What f64 makes of a network at one moment. */
function lookAt(spec: NetworkSpec, values: Own, inputs: Float32Array, targets: Float32Array) {
  const { net, pass, outputs } = exact({ spec, weights: values, inputs });
  const u = pass.activations.z.at(-1)!;
  const { loss, slopes } = lossOf("mse", u, targets, outputs);
  const { jac, params, rows } = jacobian(net, pass.activations, pass.signals);
  const gradient = Float64Array.from({ length: params }, (_, p) =>
    slopes.reduce((sum, value, i) => sum + value * jac[i * params + p], 0),
  );
  const gram = gramLayerwise(net, pass);
  const largest = Math.max(...Array.from({ length: rows }, (_, i) => norm(row(jac, i, params))));
  return { u, loss, slopes, gradient, gram, largest, ...eigen(gram, rows) };
}

const spec = (widths: number[], more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  ...{ widths, activation: "tanh", parameterization: "ntk", weightScale: 1.5, biasScale: 0.4 },
  ...more,
});

describe("a tracked step", () => {
  gpuTest("has every field as f64 has it, at three looks of two outputs", async (gpu) => {
    const given = spec([3, 12, 10, 2]);
    const net = network(given);
    const [n, outputs, rate] = [6, 2, 2 ** -5];
    const order = n * outputs;
    const inputs = sample("normal", n * 3, 1);
    const targets = sample("normal", order, 2);
    const start = weights(net, 3) as Own;
    const limit = lookAt(given, weights(net, 4) as Own, inputs, targets).gram;
    const precision = "verified";
    const passed = [inputs.slice(), targets.slice(), limit.slice()] as const;
    const tracker = new Tracker(gpu, passed[0], passed[1], { precision, limit: passed[2] });
    // What a caller does to them later does not matter.
    passed.forEach((array) => array.fill(9));
    using training = await Training.open(gpu, net, start, inputs, targets, { rate });
    const seen: TrackedStep[] = [];
    const own: Own[] = [];
    const errors: number[] = [];
    const least: number[] = [];
    for (const [steps, largest] of [
      [0, 0],
      [20, 1e6],
      [30, 0.001],
    ]) {
      await training.advance(steps);
      seen.push(await tracker.look(training, undefined, largest));
      own.push((await training.values()) as Own);
      // What the kernel itself may be off by.
      const { spectrum } = await ntk(gpu, net, own.at(-1)!, inputs, { precision });
      spectrum.vectors?.destroy();
      least.push(spectrum.lambdaMinBound);
      errors.push(spectrum.errorTerms.products[0] + spectrum.errorTerms.features[0]);
    }
    const looks = own.map((values) => lookAt(given, values, inputs, targets));
    const [first] = looks;
    // C = 1 − 1/n between rows of the same output.
    const centre = Float64Array.from({ length: order * order }, (_, at) => {
      const [i, j] = [Math.floor(at / order), at % order];
      return (i === j ? 1 : 0) - (i % outputs === j % outputs ? 1 / n : 0);
    });
    const turned = (a: Float64Array) =>
      a.map((_, at) => a[(at % order) * order + Math.floor(at / order)]);
    const product = (a: Float64Array, b: Float64Array) => {
      const columns = turned(b);
      return a.map((_, at) =>
        dot(row(a, Math.floor(at / order), order), row(columns, at % order, order)),
      );
    };
    const aligned = (h: Float64Array, y: ArrayLike<number>) =>
      dot(y, times(h, y)) / (norm(h) * dot(y, y));

    seen.forEach((step, k) => {
      const now = looks[k];
      const [lambdaMax, lambdaMin] = [now.values[0], now.values[order - 1]];
      const close = (name: keyof TrackedStep, be: number, relative: number, absolute = 0) =>
        assertWithin(
          [step[name] as number],
          [be],
          relative * Math.abs(be) + absolute,
          `look ${k}: ${name}`,
        );
      const within = (name: keyof TrackedStep, least: number, most: number) => {
        expect(step[name], `look ${k}: ${name}`).toBeGreaterThanOrEqual(least);
        expect(step[name], `look ${k}: ${name}`).toBeLessThanOrEqual(most);
      };
      expect(step.step).toBe([0, 20, 50][k]);
      expect(step.time).toBe([0, 20, 50][k] * rate);
      // Of outputs in f32.
      const f32 = 1e-5;
      const outputBound = 2 ** -20 * norm(now.u);
      close("loss", now.loss, f32);
      close("outputBound", outputBound, f32);
      close("lossBound", outputBound * (norm(now.slopes) + outputBound), f32);
      expect(step.largestLoss).toBe([step.loss, 1e6, step.loss][k]);
      close("residualNorm", norm(now.slopes), f32);
      close("gradientNorm", norm(now.gradient), f32);
      close("gradientBound", Math.sqrt(lambdaMin) * norm(now.slopes), f32);
      // Of kernels in f64.
      const f64 = 1e-9;
      close("lambdaMax", lambdaMax, f64);
      close("lambdaMin", lambdaMin, f64, 1e-12 * lambdaMax);
      close("lambdaMin", lambdaMin, 0, step.lambdaMinBound);
      close("lambdaMax", lambdaMax, 0, step.lambdaMaxBound);
      within("lambdaMinBound", least[k] * 0.99, least[k] * 1.01);
      within("lambdaMaxBound", errors[k], f64 * lambdaMax);
      close(
        "trace",
        now.values.reduce((sum, value) => sum + value),
        f64,
      );
      close("jacobianNorm", Math.sqrt(lambdaMax), f64);
      close("sigmaMin", Math.sqrt(lambdaMin - step.lambdaMinBound), f64);
      close("largestGradient", now.largest, f64);
      const drift = sizeOf(minus(now.gram, first.gram), order);
      close("gramDrift", drift, 1e-7);
      const both = k === 0 ? 0 : errors[k] + errors[0];
      within("gramDriftBound", both * (1 - 1e-6), both * (1 + 1e-6) + 1e-7 * drift);
      const fromLimit = sizeOf(minus(now.gram, limit), order);
      close("limitDrift", fromLimit, 1e-7);
      within("limitDriftBound", errors[k] * (1 - 1e-6), errors[k] * (1 + 1e-6) + 1e-7 * fromLimit);
      const weight = own[k].map((layer, l) => norm(minus(layer.weight, start[l].weight)));
      const bias = own[k].map((layer, l) => norm(minus(layer.bias!, start[l].bias!)));
      close("parameterDrift", norm([...weight, ...bias]), f64);
      assertWithin(
        step.layers.map((layer) => layer.drift),
        weight.map((moved, l) => Math.hypot(moved, bias[l])),
        ...([f64, "drift of layers"] as const),
      );
      assertWithin(
        step.layers.map((layer) => layer.relative),
        weight.map((moved, l) => moved / norm(start[l].weight)),
        ...([f64, "drift of weights over what they were"] as const),
      );
      close("alignment", aligned(now.gram, targets), f64);
      const centred = product(product(centre, now.gram), centre);
      close("centredAlignment", aligned(centred, times(centre, targets)), f64);
      const before = looks[k - 1]?.gram;
      const turn = before && 1 - dot(now.gram, before) / (norm(now.gram) * norm(before));
      close("velocity", before ? turn / (step.time - seen[k - 1].time) : 0, 1e-6);
      let kept = 0;
      for (let a = 0; a < 5; a++)
        for (let b = 0; b < 5; b++)
          kept += dot(row(first.vectors, a, order), row(now.vectors, b, order)) ** 2;
      close("eigenvectorChange", 1 - kept / 5, 0, 1e-6);
      const vectors = tracker.start!.vectors;
      expect(step.residualAlong).toHaveLength(5);
      const axes = [...step.residualAlong.keys()].map((a) => row(vectors, a, order));
      assertWithin(
        step.residualAlong,
        axes.map((axis) => dot(axis, now.slopes)),
        ...([f32 * norm(first.slopes), `look ${k}: along`] as const),
      );
      assertWithin(
        axes.map((axis, a) => Math.abs(dot(axis, row(first.vectors, a, order)))),
        new Float64Array(5).fill(1),
        ...([1e-6, "the same vectors"] as const),
      );
      const gap = (left: (lambda: number) => number) =>
        norm(minus(now.slopes, ofMatrix(first.gram, first.slopes, left)));
      const off = f32 * norm(first.slopes);
      close(
        "linearGap",
        gap((x) => (1 - rate * x) ** step.step),
        0,
        off,
      );
      close(
        "flowGap",
        gap((x) => Math.exp(-x * step.time)),
        0,
        off,
      );
    });
    // Nothing of this is hidden by a bound: all have moved.
    for (const { linearGap, flowGap, eigenvectorChange, velocity } of seen.slice(1)) {
      expect(Math.min(linearGap!, flowGap!, Math.abs(flowGap! - linearGap!))).toBeGreaterThan(1e-3);
      expect(Math.min(eigenvectorChange, velocity)).toBeGreaterThan(1e-3);
    }
    expect(Math.min(...errors, ...least)).toBeGreaterThan(0);
  });

  gpuTest(
    "tells no gap where steps have momentum or batches or the loss has another slope",
    async (gpu) => {
      const net = network(spec([2, 6, 1]));
      const inputs = sample("normal", 8, 1);
      const targets = Float32Array.of(1, -1, -1, 1);
      const run = (more: Partial<TrainOptions>) =>
        train(gpu, net, weights(net, 1), inputs, targets, { steps: 2, rate: 0.01, ...more });
      const plain = await run({ batch: 4 });
      expect(plain.tracked[1].linearGap).toBeGreaterThan(0);
      expect(plain.tracked[1].limitDrift).toBeNull();
      expect(plain.tracked[1].limitDriftBound).toBeNull();
      expect(plain.certificate).not.toBeNull();
      const [{ sigmaMin, lambdaMin, lambdaMinBound }] = plain.tracked;
      expect(sigmaMin).toBe(Math.sqrt(lambdaMin - lambdaMinBound));
      for (const more of [{ momentum: 0.5 }, { batch: 2 }, { loss: "logistic" }] as const) {
        const { tracked, certificate } = await run(more);
        expect([tracked[1].linearGap, tracked[1].flowGap, certificate]).toEqual([null, null, null]);
        expect(tracked[1].bound === null).toBe(!("loss" in more));
      }
      // The largest loss is that of the steps before, too.
      const { tracked, losses } = await run({ steps: 6, track: 2 });
      expect(losses[0]).toBeGreaterThan(losses[5]);
      for (const { largestLoss } of tracked)
        assertWithin([largestLoss], [losses[0]], 1e-5 * losses[0], "largest loss");
    },
  );

  gpuTest(
    "a rate of its own is 1 over the loss's curvature and λ_max, or the share asked for",
    async (gpu) => {
      const net = network(spec([2, 6, 2]));
      const inputs = sample("normal", 6, 1);
      for (const [loss, curvature, targets] of [
        ["mse", 1, [1, 0, 0, 1, 1, 0]],
        ["logistic", 0.25, [1, -1, -1, 1, 1, -1]],
        ["softmax", 0.5, [1, 0, 0, 1, 1, 0]],
      ] as [Loss, number, number[]][])
        for (const [rate, share] of [
          ["auto", 1 / curvature],
          [{ perLambda: 0.7 }, 0.7],
        ] as const) {
          const options = { steps: 1, rate, loss } as const;
          const y = Float32Array.from(targets);
          const found = await train(gpu, net, weights(net, 1), inputs, y, options);
          expect(found.rate).toBe(Math.fround(share / found.tracked[0].lambdaMax));
          expect(found.tracked[1].time).toBe(found.rate);
        }
    },
  );
});

describe("a linear model, whose kernel stays", () => {
  // X = Q S with an orthogonal Q: XXᵀ / 4 has the eigenvalues s² / 4 and the columns of Q as eigenvectors.
  const q = [1, 1, 1, 1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1].map((sign) => sign / 2);
  const lambdas = [1, 2, 3, 4].map((s) => s ** 2 / 4);
  const inputs = Float32Array.from(q, (value, at) => value * ((at % 4) + 1));
  const net = network(spec([4, 1], { activation: [], weightScale: 1, biasScale: null }));
  const values = weights(net, 5);
  /** Trained from a residual that is given along the eigenvectors. */
  const run = async (
    gpu: Parameters<typeof train>[0],
    along: number[],
    rate: number,
    steps = 40,
  ) => {
    const targets = Float32Array.from({ length: 4 }, (_, i) => {
      const u = dot(inputs.subarray(4 * i, 4 * i + 4), values[0].weight) / 2;
      return u - dot(q.slice(4 * i, 4 * i + 4), along);
    });
    const options = { steps, rate, track: 1, precision: "verified" } as const;
    const { tracked, certificate } = await train(gpu, net, values, inputs, targets, options);
    const sums = tracked.map((_, k) =>
      lambdas.reduce(
        (sum, lambda, i) => sum + 0.5 * along[i] ** 2 * (1 - rate * lambda) ** (2 * k),
        0,
      ),
    );
    return { tracked, sums, certificate };
  };

  for (const rate of [2 ** -6, 2 ** -2, 0.46875])
    gpuTest(
      `η λ_max = ${4 * rate}: each loss is Σ ½ (1 − ηλ)^2k r², between the least and the bound`,
      async (gpu) => {
        const { tracked, sums, certificate } = await run(gpu, [1, -2, 1.5, 1], rate);
        const factors = lambdas.map((lambda) => Math.abs(1 - rate * lambda));
        tracked.forEach(({ loss, bound, gramDrift, linearGap, boundOf }, k) => {
          // What f32 leaves of outputs of size 10 or so.
          const off = 1e-5 * sums[k] + 1e-5 * Math.sqrt(sums[k]) + 1e-10;
          assertWithin([loss], [sums[k]], off, `step ${k}`);
          expect(loss).toBeGreaterThanOrEqual(sums[0] * Math.min(...factors) ** (2 * k) - off);
          expect(loss).toBeLessThanOrEqual(bound! + off);
          assertWithin([gramDrift, linearGap!], [0, 0], 1e-5, "it stays");
          expect(boundOf).toMatch(4 * rate <= 1.25 ? /^flow:/ : /^descent:/);
        });
        assertWithin([tracked[40].lambdaMin], [0.25], tracked[40].lambdaMinBound, "λ_min");
        // Known at every step, so that it is told.
        const check = certificate!.checks.find(({ name }) => name === "Grönwall")!;
        expect(check.holds).not.toBe(false);
      },
    );

  for (const [along, rate, sure] of [
    [[2, 0, 0, 0], 2 ** -6, "flow"],
    [[0, 0, 0, 2], 0.484375, "descent"],
  ] as const)
    gpuTest(
      `along the eigenvector of the slowest decay, λ ${along[0] ? "least" : "largest"}, the bound is met within 1 %`,
      async (gpu) => {
        const { tracked } = await run(gpu, [...along], rate);
        for (const { loss, bound, boundOf } of tracked) {
          expect(boundOf).toMatch(new RegExp(`^${sure}:`));
          expect(loss / bound!).toBeGreaterThanOrEqual(0.99);
          expect(loss / bound!).toBeLessThanOrEqual(1 + 1e-4);
        }
        expect(tracked[40].loss).toBeLessThan(0.9 * tracked[0].loss);
      },
    );
});

describe("what is under way", () => {
  const net = network(spec([3, 9, 1]));
  const drawn = () => ({
    values: weights(net, 2) as Own,
    inputs: sample("normal", 15, 3),
    targets: sample("normal", 5, 4),
  });

  gpuTest("is not disturbed by a second call to advance, which is refused", async (gpu) => {
    const { values, inputs, targets } = drawn();
    const open = () => Training.open(gpu, net, values, inputs, targets, { rate: 0.05 });
    using alone = await open();
    const undisturbed = await alone.advance(40);
    using training = await open();
    const first = training.advance(40);
    const second = training.advance(3);
    await expect(second).rejects.toThrow(InputError);
    await expect(second).rejects.toThrow(/advance/);
    expect(await first).toEqual(undisturbed);
    expect(training.step).toBe(40);
    expect(await training.state()).toEqual(await alone.state());
    await training.advance(2);
    expect(training.step).toBe(42);
    // Nor does a call that fails leave it closed.
    await expect(training.advance(-1)).rejects.toThrow(/steps is -1/);
    expect((await training.advance(1)).losses).toHaveLength(1);
  });

  gpuTest("is not changed by what a caller writes into arrays after calling train", async (gpu) => {
    const limit = Float64Array.from({ length: 25 }, (_, at) => (at % 6 === 0 ? 2 : 1));
    const run = (spoil: boolean) => {
      const { values, inputs, targets } = drawn();
      const own = limit.slice();
      const options = { steps: 12, rate: "auto", track: 6, limit: own } as const;
      const under = train(gpu, net, values, inputs, targets, options);
      if (spoil) {
        values.forEach(({ weight, bias }) => [weight, bias!].forEach((array) => array.fill(7)));
        [inputs, targets, own].forEach((array) => array.fill(-3));
      }
      return under;
    };
    const undisturbed = await run(false);
    const found = await run(true);
    expect(found.losses).toEqual(undisturbed.losses);
    expect(found.tracked).toEqual(undisturbed.tracked);
    expect(found.state).toEqual(undisturbed.state);
    expect(found.losses[0]).toBeGreaterThan(found.losses[11]);
  });
});
