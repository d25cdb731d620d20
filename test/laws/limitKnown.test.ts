/** Kernels of infinite width against what is known of them: circles, and finite networks that they are the mean of. */
import { describe, expect, test } from "vitest";
import {
  tangentKernel,
  weights,
  type Gpu,
  type Network,
  type NetworkSpec,
} from "../../src/index.ts";
import { circle } from "../../src/node.ts";
import { limit } from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { bounds, both, kernelOf, made } from "./limits.ts";

const { PI } = Math;

describe("circles", () => {
  const inputs = (n: number) => Float32Array.from(circle(n).data as ArrayLike<number>);
  const flat = (hidden: number, spec: Partial<NetworkSpec> = {}) =>
    made({ widths: [2, ...Array<number>(hidden).fill(6), 1], ...spec });
  // Coordinates are rounded to f32: each entry of Θ, of size 2 (hidden + 1), is off by 2⁻²² of it at the most.
  const moved = (n: number, size: number) => n * size * 2 ** -22;
  /** λ_k = n Σ_m c_|k + mn|, descending; what is left out of the sum is below 1e-9 n. */
  const sums = (coefficient: (k: number) => number, n: number) =>
    Float64Array.from({ length: n }, (_, k) => {
      let sum = 0;
      for (let m = 20_000; m >= -20_000; m--) sum += coefficient(Math.abs(k + m * n));
      return n * sum;
    })
      .sort()
      .reverse();

  test("two-layer ReLU: eigenvalues are n Σ c_|k + mn|, the odd ones 0", async () => {
    const coefficient = (k: number) =>
      k === 0
        ? 6 / PI ** 2
        : k === 1
          ? 0.5
          : k % 2
            ? 0
            : (2 * (k * k + 3)) / (PI * (k * k - 1)) ** 2;
    for (const n of [4, 8, 33, 64]) {
      const found = eigenvalues(await kernelOf(flat(1), inputs(n)), n);
      const left = (n * 4 * 2.1) / (PI * n) ** 2 / 19_999;
      assertWithin(found, sums(coefficient, n), moved(n, 4) + left, `n = ${n}`);
    }
  });

  test("Du's kernel is Θ − Σ of one hidden layer, halved, with the printed eigenvalues", async () => {
    for (const printed of [
      [7 / 12, 7 / 12, 1 / 3],
      [1, 1, 0.85355339, 0.5, 0.5, 0.14644661, 0, 0],
    ]) {
      const n = printed.length;
      const { ntk, nngp } = await both(flat(1), inputs(n));
      const du = ntk.map((value, at) => (value - nngp[at]) / 2);
      assertWithin(eigenvalues(du, n), printed, 5e-9 + moved(n, 1), `n = ${n}`);
    }
  });

  test("biases trained from 0: the standard parameterization has their part, odd coefficients 1/(2π²k²)", async () => {
    const coefficient = (k: number) =>
      k === 0
        ? 1 / (2 * PI ** 2) + 1 / 8
        : k === 1
          ? 1 / (2 * PI ** 2) + 1 / 16
          : k % 2 === 0
            ? (k * k + 1) / (2 * (PI * (k * k - 1)) ** 2)
            : 1 / (2 * (PI * k) ** 2);
    const n = 33;
    const net = flat(1, { parameterization: "standard", biasScale: 0 });
    const { ntk, nngp } = await both(net, inputs(n));
    // Θ = 6 K + 2 K̇ (x·x′ + 1) + 1 and Σ = 2 K
    const part = ntk.map((value, at) => (value - 3 * nngp[at] - 1) / 4);
    const left = (n * 2.1) / (PI * n) ** 2 / 19_999;
    assertWithin(eigenvalues(part, n), sums(coefficient, n), moved(n, 2) + left, "Θ̇");
  });

  test("eight points: singular with one hidden layer, λ_min = 0.548 with two", async () => {
    const least = await Promise.all(
      [1, 2].map(async (hidden) => eigenvalues(await kernelOf(flat(hidden), inputs(8)), 8)[7]),
    );
    assertWithin(least, [0, 0.548], [moved(8, 4), 5e-4 + moved(8, 6)], "λ_min");
  });
});

describe("finite networks", () => {
  const n = 4;
  /** Mean of Θ over seeds, entry by entry, and the standard error of it. */
  async function meanOf(gpu: Gpu, net: Network, inputs: Float32Array, seeds: number) {
    const all: Float32Array[] = [];
    for (let seed = 0; seed < seeds; seed++) {
      using h = await tangentKernel(gpu, net, weights(net, seed), inputs, null);
      all.push(await gpu.read(h));
    }
    const mean = Float64Array.from(all[0], (_, at) =>
      all.reduce((sum, each) => sum + each[at] / seeds, 0),
    );
    const error = mean.map((middle, at) =>
      Math.sqrt(all.reduce((sum, each) => sum + (each[at] - middle) ** 2, 0) / (seeds - 1) / seeds),
    );
    return { mean, error };
  }

  for (const [activation, parameterization, biasScale] of [
    ["relu", "ntk", null],
    ["tanh", "ntk", 0.5],
    ["gelu", "standard", 0.5],
    ["silu", "standard", null],
  ] as const)
    gpuTest(
      `one hidden layer, ${activation}, ${parameterization}: the mean over 200 seeds is the limit at width 24`,
      async (gpu) => {
        const net = made({ widths: [4, 24, 1], activation, parameterization, biasScale });
        const inputs = normals(11, 4 * n);
        const { mean, error } = await meanOf(gpu, net, inputs, 200);
        const kernel = await limit(gpu, net, inputs, null);
        // Four standard errors, and f32's roundings.
        const f32 = bounds(kernel, 2 ** -18);
        const bound = error.map((each, at) => 4 * each + f32[at]);
        assertWithin(mean, kernel, bound, "Θ");
        // The statement is not an empty one: the errors are small.
        expect(Math.max(...error)).toBeLessThan(0.1 * Math.max(...kernel));
      },
      60_000,
    );

  gpuTest(
    "two hidden layers of 512, standard: within the seeds' error of the limit, and O(1/512)",
    async (gpu) => {
      const net = made({
        widths: [4, 512, 512, 1],
        activation: ["tanh", "relu"],
        parameterization: "standard",
        biasScale: 0.3,
      });
      const inputs = normals(12, 4 * n);
      const { mean, error } = await meanOf(gpu, net, inputs, 16);
      const kernel = await limit(gpu, net, inputs, null);
      // Of O(1/width), about as many as there are layers.
      const next = bounds(kernel, 4 / 512);
      const bound = error.map((each, at) => 5 * each + next[at]);
      assertWithin(mean, kernel, bound, "Θ");
    },
    60_000,
  );
});
