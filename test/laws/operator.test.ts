/** The spectrum of a kernel that is never stored is that of the one that is. */
import { describe, expect } from "vitest";
import {
  exactKernel,
  InputError,
  network,
  ntk,
  weights,
  type NetworkSpec,
} from "../../src/index.ts";
import { kernelDifference, kernelSpectrum, operatorNorm } from "../../src/theory.ts";
import { hostLanczos } from "../../src/stages/4-krylov.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { normals } from "../reference/eigen.ts";

const spec = (more: Partial<NetworkSpec>): NetworkSpec => ({
  ...{ widths: [4, 30, 20, 2], activation: "tanh", parameterization: "ntk" },
  ...{ weightScale: 1.2, biasScale: 0.2, ...more },
});

describe("kernelSpectrum", () => {
  gpuTest("both ends lie in their intervals, of networks that f64 knows", async (gpu) => {
    for (const [seed, n, more] of [
      [1, 5, {}],
      [2, 60, {}],
      [3, 90, { activation: "relu", widths: [3, 50, 1], biasScale: null }],
      [4, 40, { parameterization: "standard", activation: "gelu" }],
    ] as const) {
      const net = network(spec(more as Partial<NetworkSpec>));
      const inputs = normals(seed, n * net.inputs);
      const values = weights(net, seed);
      const right = (await ntk(gpu, net, values, inputs, { precision: "verified" })).spectrum;
      const { spectrum } = await kernelSpectrum(gpu, net, values, inputs, { top: 3, bottom: 2 });
      const order = n * net.outputs;
      const at = [0, 1, 2, order - 2, order - 1];
      const exact = at.map((i) => right.eigenvalues[i]);
      const bounds = spectrum.errorBounds.map((bound, i) => bound + right.errorBounds[at[i]]);
      assertWithin(spectrum.eigenvalues, exact, bounds, `seed ${seed}`);
      expect(Math.max(...spectrum.errorBounds.subarray(0, 3))).toBeLessThanOrEqual(
        1e-5 * right.lambdaMax,
      );
      assertWithin([spectrum.trace], [right.trace], 1e-5 * right.trace, "trace");
      // The estimate's deviation is √(2 / 4) of its size at the most, for a spectrum of one value.
      expect(spectrum.effectiveRank / right.effectiveRank).toBeGreaterThan(0.2);
      expect(spectrum.effectiveRank / right.effectiveRank).toBeLessThan(5);
      expect(spectrum.boundKind).toBe("probabilistic");
    }
  });

  gpuTest("of a λ_min that has not converged no more is said than is known", async (gpu) => {
    const net = network(spec({ widths: [2, 40, 1] }));
    const n = 400;
    const inputs = Float32Array.from({ length: 2 * n }, (_, i) =>
      (i % 2 ? Math.sin : Math.cos)((2 * Math.PI * (i >> 1)) / n),
    );
    const values = weights(net, 0);
    const { spectrum } = await kernelSpectrum(gpu, net, values, inputs, { top: 2 });
    const right = (await ntk(gpu, net, values, inputs, { top: 2, precision: "verified" })).spectrum;
    assertWithin(spectrum.eigenvalues, right.eigenvalues, spectrum.errorBounds, "top");
    expect(spectrum.steps).toBeLessThan(n);
    expect(spectrum.condition).toBeNull();
    expect(spectrum.lambdaMin - spectrum.lambdaMinBound).toBeLessThanOrEqual(0);
    expect(spectrum.lambdaMin + spectrum.lambdaMinBound).toBeGreaterThanOrEqual(right.lambdaMin);
  });

  gpuTest("eigenvectors, all eigenvalues and too many are refused", async (gpu) => {
    const net = network(spec({}));
    const inputs = normals(1, 3 * net.inputs);
    for (const wrong of [{ vectors: 1 }, { all: true }, { top: 7 }])
      await expect(kernelSpectrum(gpu, net, weights(net, 0), inputs, wrong)).rejects.toThrow(
        InputError,
      );
  });
});

gpuTest(
  "hostLanczos: Q is orthonormal, A Q = Q T but for the rest, and an exhausted space ends it",
  async () => {
    const n = 30;
    const diagonal = Float64Array.from({ length: n }, (_, i) => Math.floor(i / 6));
    const times = async (v: Float64Array) => v.map((value, i) => diagonal[i] * value);
    const start = Float64Array.from(normals(3, n));
    const { basis, tridiagonal, rest } = await hostLanczos(times, start, n);
    // Five eigenvalues: the Krylov space has five dimensions.
    expect(basis).toHaveLength(5);
    expect(rest).toBe(0);
    for (const [i, q] of basis.entries())
      for (const [j, p] of basis.entries()) {
        const dot = q.reduce((sum, value, k) => sum + value * p[k], 0);
        assertWithin([dot], [i === j ? 1 : 0], 2 ** -48, "QᵀQ");
        const image = q.reduce((sum, value, k) => sum + value * diagonal[k] * p[k], 0);
        const entry =
          i === j
            ? tridiagonal.diagonal[i]
            : Math.abs(i - j) === 1
              ? tridiagonal.beside[Math.min(i, j)]
              : 0;
        assertWithin([image], [entry], 2 ** -44, "T");
      }
  },
);

gpuTest("kernelDifference: ‖H_1 − H_2‖ without either, within its bound", async (gpu) => {
  for (const [widths, n, activation] of [
    [[5, 60, 40, 1], 90, "tanh"],
    [[4, 50, 3], 31, "relu"],
  ] as const) {
    const net = network({
      ...{ widths, activation, parameterization: "ntk", weightScale: 1.3, biasScale: 0.2 },
    } as const);
    const inputs = normals(7, n * net.inputs);
    const near = weights(net, 1);
    const far = near.map(({ weight, bias }) => ({ weight: weight.map((w) => 0.97 * w), bias }));
    const gramOf = async (values: typeof near) =>
      (await exactKernel(gpu, net, values, inputs, false)).gram;
    const [one, two] = [await gramOf(near), await gramOf(far)];
    const order = n * net.outputs;
    const exact = await operatorNorm({ gram: one.map((value, at) => value - two[at]), order });
    const { value, bound } = await kernelDifference(gpu, net, near, far, inputs);
    assertWithin([value], [exact.value], bound + exact.bound, "norm");
    expect(bound).toBeLessThan(0.01 * value);
    const same = await kernelDifference(gpu, net, near, near, inputs);
    expect(same.value).toBeLessThanOrEqual(same.bound);
  }
});
