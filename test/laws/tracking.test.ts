/** Training watched: what is tracked, the bounds on the loss, the certificate, and predictions. */
import { describe, expect } from "vitest";
import { exactKernel, network, weights, type NetworkSpec } from "../../src/index.ts";
import {
  accuracy,
  alignment,
  ensemble,
  functionTimes,
  predict,
  train,
  Training,
  type TrackedStep,
} from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { referenceNetwork } from "../conformance/problem.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigen } from "../reference/eigen.ts";
import { descend } from "../reference/training.ts";
import { random, sample } from "../shaders/guarded.ts";

const ACTIVATIONS = ["relu", "tanh", "erf", "gelu", "sigmoid", "softplus", "silu", "sin"] as const;

function drawn(seed: number) {
  const next = random(seed);
  const whole = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  const outputs = whole(1, 2);
  const spec: NetworkSpec = {
    widths: [whole(1, 4), ...Array.from({ length: whole(1, 3) }, () => whole(8, 40)), outputs],
    activation: ACTIVATIONS[seed % ACTIVATIONS.length],
    parameterization: seed % 3 === 0 ? "standard" : "ntk",
    weightScale: 1.3,
    biasScale: 0.3,
  };
  const net = network(spec);
  const n = whole(2, 7);
  const inputs = sample("normal", n * net.inputs, seed);
  const targets = sample("normal", n * outputs, seed + 1);
  return { spec, net, n, outputs, inputs, targets, values: weights(net, seed) };
}

describe("bounds", () => {
  gpuTest(
    "Grönwall's is never passed in 60 random problems with tiny steps",
    async (gpu) => {
      let least = Infinity;
      for (let seed = 0; seed < 60; seed++) {
        const { net, inputs, targets, values } = drawn(seed);
        const { tracked, certificate } = await train(gpu, net, values, inputs, targets, {
          ...{ steps: 64, rate: { perLambda: 0.02 }, track: 8, precision: "verified" },
        });
        expect(tracked).toHaveLength(9);
        for (const { step, loss, lossBound, bound, boundOf } of tracked) {
          expect(boundOf).toMatch(/^flow/);
          if (!(loss <= bound! + lossBound))
            throw new Error(`seed ${seed}, step ${step}: L = ${loss}, but at most ${bound}`);
          if (step > 0) least = Math.min(least, loss / bound!);
        }
        // They say something: some of the losses come near.
        const find = (name: string) => certificate!.checks.find((check) => check.name === name)!;
        for (const name of ["Grönwall", "Weyl", "Duhamel", "no critical point"])
          expect(find(name).holds, `seed ${seed}: ${name}`).not.toBe(false);
      }
      expect(least).toBeLessThan(1);
    },
    120_000,
  );

  gpuTest("a step that is too large is bounded as descent, and named as such", async (gpu) => {
    const { net, inputs, targets, values } = drawn(3);
    const options = { steps: 20, rate: { perLambda: 1.9 }, track: 1 } as const;
    const { tracked } = await train(gpu, net, values, inputs, targets, options);
    expect(tracked[20].boundOf).toMatch(/^descent/);
    expect(tracked.every(({ bound }) => bound! > 0)).toBe(true);
  });

  gpuTest(
    "a wide network on a few samples gets its certificate, a narrow one the place of failure",
    async (gpu) => {
      const inputs = Float32Array.of(1, 0, -0.5, 0.8, -0.6, -0.8);
      const run = async (width: number, scale: number) => {
        const net = network({
          ...{ widths: [2, width, 1], activation: "erf", parameterization: "ntk" },
          ...{ weightScale: 1.5, biasScale: 0.3 },
        } as NetworkSpec);
        const values = weights(net, 1);
        const targets = Float32Array.of(scale, -scale, scale);
        const options = { steps: 100, rate: { perLambda: 0.1 }, track: 10 } as const;
        return (await train(gpu, net, values, inputs, targets, options)).certificate!;
      };
      const wide = await run(16384, 0.05);
      expect(
        wide.checks.filter(({ decides, holds }) => decides && !holds).map(({ name }) => name),
      ).toEqual([]);
      expect(wide.holds).toBe(true);
      const narrow = await run(4, 3);
      expect(narrow.holds).toBe(false);
      const drift = narrow.checks.find(({ name }) => name === "drift of the kernel")!;
      expect(drift.holds).toBe(false);
      expect(drift.firstFailure!.step).toBeGreaterThan(0);
      expect(narrow.widths.every(({ width }) => width > 4)).toBe(true);
    },
  );
});

describe("what is tracked", () => {
  gpuTest("agrees with kernels, gradients and residuals in f64", async (gpu) => {
    const { spec, net, n, outputs, inputs, targets, values } = drawn(11);
    const seen: TrackedStep[] = [];
    const states: (typeof values)[] = [];
    const rate = 0.01;
    await train(gpu, net, values, inputs, targets, {
      ...{ steps: 30, rate, track: 10, precision: "verified" },
      async onTracked(step, training: Training) {
        seen.push(step);
        states.push(await training.values());
      },
    });
    const order = n * outputs;
    const grams = await Promise.all(
      states.map(async (own) => (await exactKernel(gpu, net, own, inputs, false)).gram),
    );
    const reference = descend(referenceNetwork(spec), values, inputs, targets, { steps: 30, rate });
    for (const [k, step] of seen.entries()) {
      const { values: eigenvalues } = eigen(grams[k], order);
      const sorted = [...eigenvalues].sort((a, b) => b - a);
      const least = sorted[order - 1];
      assertWithin(
        [step.lambdaMax, step.lambdaMin],
        [sorted[0], least],
        [step.lambdaMaxBound, step.lambdaMinBound],
        "λ",
      );
      const difference = grams[k].map((value, at) => value - grams[0][at]);
      const ends = [...eigen(difference, order).values].map(Math.abs);
      assertWithin([step.gramDrift], [Math.max(...ends)], step.gramDriftBound + 1e-12, "drift");
      expect(step.gramDriftBound).toBeLessThan(1e-6 * sorted[0]);
      const close = (a: number, b: number) => expect(Math.abs(a / b - 1)).toBeLessThan(1e-4);
      close(step.loss, reference.losses[10 * k]);
      if (k < 3) close(step.gradientNorm, reference.gradientNorms[10 * k]);
      close(step.residualNorm, Math.sqrt(2 * reference.losses[10 * k]));
      const y = Float64Array.from(targets);
      const hy = y.reduce(
        (sum, value, i) =>
          sum + value * y.reduce((all, other, j) => all + grams[k][i * order + j] * other, 0),
        0,
      );
      close(
        step.alignment!,
        hy / (Math.hypot(...grams[k]) * y.reduce((sum, value) => sum + value * value, 0)),
      );
      const moved = values.map(({ weight, bias }, l) =>
        Math.hypot(
          ...weight.map((value, at) => value - states[k][l].weight[at]),
          ...(bias ?? new Float32Array()).map((value, at) => value - states[k][l].bias![at]),
        ),
      );
      if (k > 0) {
        moved.forEach((drift, l) => close(step.layers[l].drift, drift));
        close(step.parameterDrift, Math.hypot(...moved));
        expect(step.velocity).toBeGreaterThan(0);
      }
      expect(step.gradientBound).toBeLessThanOrEqual(step.gradientNorm * (1 + 2 ** -16));
    }
    expect(seen[0].gramDrift).toBe(0);
    expect(seen[0].eigenvectorChange).toBeLessThan(1e-6);
    expect(seen[0].linearGap).toBeLessThan(1e-6);
    expect(seen[3].linearGap!).toBeGreaterThan(seen[1].linearGap!);
  });

  gpuTest("gone on from a tracked step, the rest is the same to the bit", async (gpu) => {
    const { net, inputs, targets, values } = drawn(5);
    const options = { steps: 30, rate: "auto", track: 10, momentum: 0.5 } as const;
    const kept: { state: Awaited<ReturnType<Training["state"]>>; count: number }[] = [];
    const whole = await train(gpu, net, values, inputs, targets, {
      ...options,
      async onTracked(_, training) {
        kept.push({ state: await training.state(), count: kept.length + 1 });
      },
    });
    const { state, count } = kept[1];
    const tracked = whole.tracked.slice(0, count);
    const rest = await train(gpu, net, values, inputs, targets, {
      ...options,
      resume: { state, tracked },
    });
    expect(rest.state).toEqual(whole.state);
    expect(rest.tracked).toEqual(whole.tracked);
    expect(rest.certificate).toBeNull();
  });
});

describe("alignment", () => {
  gpuTest("centred: that of C H C and C y, each output by itself", () => {
    const [n, outputs] = [7, 2];
    const order = n * outputs;
    const root = sample("normal", order * 5, 1);
    const gram = new Float64Array(order * order);
    for (let i = 0; i < order; i++)
      for (let j = 0; j < order; j++)
        for (let k = 0; k < 5; k++) gram[i * order + j] += root[i * 5 + k] * root[j * 5 + k];
    const y = sample("normal", order, 2);
    // C = 1 − 1/n between rows of the same output.
    const c = Float64Array.from({ length: order * order }, (_, at) => {
      const [i, j] = [Math.floor(at / order), at % order];
      return (i === j ? 1 : 0) - (i % outputs === j % outputs ? 1 / n : 0);
    });
    const product = (a: Float64Array, b: ArrayLike<number>, columns: number) =>
      Float64Array.from({ length: order * columns }, (_, at) => {
        const [i, j] = [Math.floor(at / columns), at % columns];
        let sum = 0;
        for (let k = 0; k < order; k++) sum += a[i * order + k] * b[k * columns + j];
        return sum;
      });
    const centred = product(product(c, gram, order), c, order);
    const cy = product(c, y, 1);
    const along = product(centred, cy, 1).reduce((sum, value, i) => sum + value * cy[i], 0);
    const squares = cy.reduce((sum, value) => sum + value * value, 0);
    const exact = along / (Math.hypot(...centred) * squares);
    assertWithin([alignment(gram, y, outputs, true)!], [exact], 1e-13, "centred");
    const outer = Float64Array.from(
      { length: order * order },
      (_, at) => y[Math.floor(at / order)] * y[at % order],
    );
    assertWithin([alignment(outer, y, outputs)!], [1], 1e-14, "y yᵀ");
  });
});

describe("predictions", () => {
  gpuTest(
    "a singular kernel at t = ½: the known value to 1e-12, and sense at every time",
    async (gpu) => {
      const gram = Float64Array.of(1, 1, 1, 1);
      const at = (time: number) => predict(gpu, { gram, cross: gram, targets: [1, 2] }, { time });
      const { mean, rank } = await at(0.5);
      assertWithin(mean, [0.9481808382428365, 0.9481808382428365], 1e-12, "t = ½");
      expect(rank).toBe(1);
      assertWithin((await at(Infinity)).mean, [1.5, 1.5], 1e-12, "t = ∞");
      assertWithin((await at(0)).mean, [0, 0], 0, "t = 0");
      const zero = new Float64Array(4);
      const none = await predict(
        gpu,
        { gram: zero, cross: zero, targets: [1, 2] },
        { time: Infinity },
      );
      expect([...none.mean, none.rank]).toEqual([0, 0, 0]);
    },
  );

  gpuTest(
    "by eigenvectors and by Krylov spaces: the same, and as descent does it step by step",
    async (gpu) => {
      const n = 40;
      const root = sample("normal", n * n, 1);
      const gram = new Float64Array(n * n);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++)
          for (let k = 0; k < n / 2; k++) gram[i * n + j] += root[i * n + k] * root[j * n + k];
      const targets = sample("normal", n, 2);
      const start = sample("normal", n, 3);
      const r = Float64Array.from(start, (value, i) => value - targets[i]);
      const [rate, steps] = [0.004, 70];
      let stepped = r;
      for (let k = 0; k < steps; k++)
        stepped = stepped.map(
          (value, i) => value - rate * stepped.reduce((sum, x, j) => sum + gram[i * n + j] * x, 0),
        );
      const blocks = { gram, cross: gram, targets, start, startTest: start };
      const found = await predict(gpu, blocks, { rate, steps });
      assertWithin(found.residual, stepped, 1e-11 * Math.hypot(...r), "residual");
      // On the training points themselves f_t = y + r_t.
      assertWithin(
        found.mean,
        stepped.map((value, i) => value + targets[i]),
        1e-11 * Math.hypot(...r),
        "mean",
      );
      const flow = await predict(gpu, blocks, { time: 0.1 });
      const krylov = await functionTimes({ gram, order: n }, (x) => Math.exp(-0.1 * x), r);
      assertWithin(krylov, flow.residual, 1e-9 * Math.hypot(...r), "Krylov");
      expect(found.rank).toBe(n / 2);
    },
  );

  gpuTest(
    "an ensemble at t = ∞ has no variance where it was trained, and at t = 0 that of the prior",
    async (gpu) => {
      const n = 6;
      const gram = Float64Array.from({ length: n * n }, (_, at) =>
        Math.exp(-(((at % n) - Math.floor(at / n)) ** 2)),
      );
      const nngp = gram.map((value, at) => value + (at % (n + 1) === 0 ? 0.5 : 0));
      const targets = [1, -1, 2, 0, 1, 1];
      const blocks = [
        { gram, cross: gram },
        { gram: nngp, cross: nngp, test: nngp },
        targets,
      ] as const;
      const end = await ensemble(gpu, ...blocks, { time: Infinity });
      assertWithin(end.mean, targets, 1e-10, "mean");
      assertWithin(end.covariance, new Float64Array(n * n), 1e-9, "covariance");
      const begin = await ensemble(gpu, ...blocks, { time: 0 });
      assertWithin(begin.covariance, nngp, 1e-15, "prior");
    },
  );

  gpuTest(
    "t = ∞ beyond the order whose eigenvectors are computed: solved, or refused where singular",
    async (gpu) => {
      const order = 2100;
      const gram = new Float64Array(order * order).fill(1);
      for (let i = 0; i < order; i++) gram[i * (order + 1)] = 2;
      const targets = sample("normal", order, 3);
      const cross = gram.slice(0, 3 * order);
      const found = await predict(gpu, { gram, cross, targets }, { time: Infinity });
      // On training points themselves.
      assertWithin(found.mean, targets.subarray(0, 3), 1e-9, "mean");
      gram.fill(1);
      await expect(predict(gpu, { gram, cross, targets }, { time: Infinity })).rejects.toThrow(
        /singular/,
      );
    },
  );

  gpuTest("accuracy counts signs of one output and places of several", () => {
    expect(accuracy([0.1, -2, 3], [1, 1, 1], 1)).toBe(2 / 3);
    expect(accuracy([0, 1, 5, 4], [0, 1, 0, 1], 2)).toBe(0.5);
  });
});
