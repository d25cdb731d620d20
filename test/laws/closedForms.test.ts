/** Spectra that formulas know: kernels on a circle, and random data by Marchenko and Pastur. */
import { describe, expect, test } from "vitest";
import {
  boundedSpectrum,
  InputError,
  forward,
  network,
  normals as streamed,
  spectrum,
  tangentKernel,
  uploadWeights,
  weights,
} from "../../src/index.ts";
import { kernelTimes, operatorDensity, spectralDensity } from "../../src/theory.ts";
import { quadrature } from "../../src/theory/density.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { gramOfJacobian } from "../reference/gram.ts";

const { PI } = Math;

/** Kernels of the angle on a circle, each with its Fourier coefficients c_k. */
const CIRCLES = [
  {
    name: "x·x′ (π − θ) / 2π",
    kernel: (t: number) => (Math.cos(t) * (PI - t)) / (2 * PI),
    coefficient: (k: number) =>
      k === 0
        ? 1 / PI ** 2
        : k === 1
          ? 1 / 8
          : k % 2 === 0
            ? (k * k + 1) / (PI * (k * k - 1)) ** 2
            : 0,
  },
  {
    name: "((x·x′ + 1) / 2) (π − θ) / 2π",
    kernel: (t: number) => ((Math.cos(t) + 1) / 2) * ((PI - t) / (2 * PI)),
    coefficient: (k: number) =>
      k === 0
        ? 1 / (2 * PI ** 2) + 1 / 8
        : k === 1
          ? 1 / (2 * PI ** 2) + 1 / 16
          : k % 2 === 0
            ? (k * k + 1) / (2 * (PI * (k * k - 1)) ** 2)
            : 1 / (2 * (PI * k) ** 2),
  },
  {
    name: "two-layer ReLU without biases",
    kernel: (t: number) =>
      (Math.sin(t) + (PI - t) * Math.cos(t)) / PI + (Math.cos(t) * (PI - t)) / PI,
    coefficient: (k: number) =>
      k === 0
        ? 6 / PI ** 2
        : k === 1
          ? 1 / 2
          : k % 2 === 0
            ? (2 * (k * k + 3)) / (PI * (k * k - 1)) ** 2
            : 0,
  },
];

/** The kernel between n evenly spaced points. */
function onCircle(kernel: (angle: number) => number, n: number): Float64Array {
  const row = Float64Array.from({ length: n }, (_, j) =>
    kernel(Math.min(j, n - j) * ((2 * PI) / n)),
  );
  return Float64Array.from(
    { length: n * n },
    (_, at) => row[Math.abs(Math.floor(at / n) - (at % n))],
  );
}

/** λ_k = n Σ_m c_|k + m n| for k = 0 … n − 1, descending, with what the terms left out come to at the most. */
function closedForm(coefficient: (k: number) => number, n: number) {
  const terms = 20_000;
  const values = Float64Array.from({ length: n }, (_, k) => {
    let sum = 0;
    for (let m = terms; m >= -terms; m--) sum += coefficient(Math.abs(k + m * n));
    return n * sum;
  });
  // c_k ≤ 2.1 / (π k)² beyond k = 10, two tails of it.
  return { values: values.sort().reverse(), left: (n * 2 * 2.1) / (PI * n) ** 2 / (terms - 1) };
}

describe("circles", () => {
  for (const { name, kernel, coefficient } of CIRCLES)
    gpuTest(`${name}: the intervals hold n Σ c_|k + mn|, the odd zeros too`, async (gpu) => {
      for (const n of [3, 8, 33, 64]) {
        const gram = onCircle(kernel, n);
        const { values, left } = closedForm(coefficient, n);
        const found = await boundedSpectrum(gpu, { gram, order: n });
        // The file's entries are rounded: cosines to a few 2⁻⁵³.
        const own = n * 8 * 2 ** -53 * gram[0] + left;
        const bound = found.errorBounds.map((each) => each + own);
        assertWithin(found.eigenvalues, values, bound, `n = ${n}`);
        using h = gpu.upload("H", n, n, Float32Array.from(gram));
        const plain = await spectrum(gpu, h, { values: gram });
        const wide = plain.errorBounds.map((each) => each + own);
        assertWithin(plain.eigenvalues, values, wide, `n = ${n}, f32`);
        if (coefficient(3) === 0 && n % 2 === 0 && n >= 6) expect(found.condition).toBeNull();
      }
    });

  gpuTest("Du's three and eight points have the printed eigenvalues", async (gpu) => {
    for (const printed of [
      [7 / 12, 7 / 12, 1 / 3],
      [1, 1, 0.85355339, 0.5, 0.5, 0.14644661, 0, 0],
    ]) {
      const n = printed.length;
      const gram = onCircle(CIRCLES[0].kernel, n);
      const { eigenvalues: found } = await boundedSpectrum(gpu, { gram, order: n });
      assertWithin(found, printed, 5e-9, `n = ${n}`);
    }
  });
});

describe("density", () => {
  test("quadrature: a complete T gives every power of the matrix between its first vectors", () => {
    const diagonal = Float64Array.of(1, -2, 0.5, 3);
    const beside = Float64Array.of(0.5, 1.25, 2);
    const { values, weights: shares } = quadrature({ diagonal, beside });
    let x = Float64Array.of(1, 0, 0, 0);
    for (let k = 0; k < 8; k++) {
      const moment = values.reduce((sum, value, i) => sum + shares[i] * value ** k, 0);
      assertWithin([moment], [x[0]], 2 ** -45 * 5 ** k, `power ${k}`);
      x = x.map(
        (value, i) =>
          diagonal[i] * value +
          (i > 0 ? beside[i - 1] * x[i - 1] : 0) +
          (i < 3 ? beside[i] * x[i + 1] : 0),
      );
    }
  });

  gpuTest(
    "random data: moments and density of their kernel, and Marchenko and Pastur's law",
    async (gpu) => {
      const [n, d] = [300, 600];
      const ratio = n / d;
      const gram = gramOfJacobian(normals(5, n * d), d).map((value) => (2 * value) / d);
      using h = gpu.upload("H", n, n, Float32Array.from(gram));
      const found = await spectralDensity(gpu, h, { seed: 3 });
      expect([found.axis, found.probes, found.steps]).toEqual(["linear", 16, 64]);
      const lambda = eigenvalues(gram, n);
      const mean = (f: (value: number) => number) =>
        lambda.reduce((sum, value) => sum + f(value), 0) / n;
      // A deviation of five standard errors, each known from 16 probes, is rarer than 1 in 5 000.
      found.moments.forEach((moment, k) => {
        const exact = mean((value) => value ** (k + 1));
        assertWithin(
          [moment],
          [exact],
          5 * found.momentErrors[k] + 1e-5 * exact,
          `moment ${k + 1}`,
        );
      });
      const { grid, density, densityErrors, width } = found;
      const bump = (x: number) => Math.exp(-0.5 * (x / width) ** 2) / (width * Math.sqrt(2 * PI));
      const smoothed = grid.map((x) => mean((value) => bump(x - value)));
      const top = Math.max(...smoothed);
      // Six standard errors, and what can be seen of 64 nodes through the smoothing.
      const bound = densityErrors.map((error) => 6 * error + 0.02 * top);
      assertWithin(density, smoothed, bound, "density");
      // The law between 2 (1 ∓ √g)², smoothed alike; eigenvalue counts keep to it but for ln n or so of n.
      const [low, high] = [-1, 1].map((sign) => 2 * (1 + sign * Math.sqrt(ratio)) ** 2);
      const law = (x: number) =>
        Math.sqrt((high - x) * (x - low)) / (2 * PI * ratio * 2 * (x / 2)) / 2;
      const count = 4000;
      const places = Array.from(
        { length: count },
        (_, i) => low + ((i + 0.5) / count) * (high - low),
      );
      const share = (high - low) / count;
      const whole = places.reduce((sum, x) => sum + law(x) * share, 0);
      assertWithin([whole], [1], 1e-3, "the law's own mass");
      const exact = grid.map((x) =>
        places.reduce((sum, y) => sum + law(y) * bump(x - y) * share, 0),
      );
      const apart = ((Math.log(n) / n) * 2) / (width * Math.sqrt(2 * PI));
      assertWithin(
        density,
        exact,
        densityErrors.map((error) => 6 * error + 0.02 * top + apart),
        "law",
      );
      expect(apart).toBeLessThan(top);
      const mass = grid.reduce(
        (sum, x, k) =>
          k === 0 ? 0 : sum + ((density[k] + density[k - 1]) / 2) * (x - grid[k - 1]),
        0,
      );
      assertWithin([mass], [1], 1e-3, "mass");
    },
  );

  gpuTest(
    "outliers are taken by themselves: the mean is known to its last digits, not by luck",
    async (gpu) => {
      const n = 200;
      // Rank one of size 1000 beside a bulk around 1, and another eigenvalue there three times.
      const outlier = Float64Array.from(normals(8, n));
      const length = Math.hypot(...outlier);
      const bulk = gramOfJacobian(normals(9, n * 2 * n), 2 * n);
      const gram = bulk.map(
        (value, at) =>
          value / (2 * n) +
          (1000 * outlier[Math.floor(at / n)] * outlier[at % n]) / length ** 2 +
          (at % (n + 1) === 0 && at < 3 * (n + 1) ? 50 : 0),
      );
      for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) gram[j * n + i] = gram[i * n + j];
      using h = gpu.upload("H", n, n, Float32Array.from(gram));
      const found = await spectralDensity(gpu, h, { seed: 1 });
      const lambda = eigenvalues(gram, n);
      found.moments.forEach((moment, k) => {
        const exact = lambda.reduce((sum, value) => sum + value ** (k + 1), 0) / n;
        assertWithin(
          [moment],
          [exact],
          5 * found.momentErrors[k] + 1e-5 * exact,
          `moment ${k + 1}`,
        );
        expect(found.momentErrors[k]).toBeLessThanOrEqual(2e-2 * exact);
      });
      const mass = found.grid.reduce(
        (sum, x, k) =>
          k === 0
            ? 0
            : sum + ((found.density[k] + found.density[k - 1]) / 2) * (x - found.grid[k - 1]),
        0,
      );
      assertWithin([mass], [1], 5e-3, "mass");
    },
  );

  gpuTest(
    "with the matrix and without: moments by either way are those of the eigenvalues",
    async (gpu) => {
      const net = network({
        ...{ widths: [5, 30, 2], activation: "tanh", parameterization: "ntk" },
        ...{ weightScale: 1, biasScale: 0.1 },
      });
      const inputs = streamed(4, 20 * 5);
      const values = weights(net, 1);
      using h = await tangentKernel(gpu, net, values, inputs);
      using onDevice = uploadWeights(gpu, net, values);
      using acts = await forward(gpu, net, onDevice, inputs);
      const how = { probes: 6, steps: 40, axis: "log" } as const;
      const times = (v: Float32Array) => kernelTimes(gpu, net, onDevice, acts, v);
      const lambda = eigenvalues(await gpu.read(h), 40);
      for (const found of [
        await spectralDensity(gpu, h, how),
        await operatorDensity(times, 40, how),
      ])
        found.moments.forEach((moment, k) => {
          const exact = lambda.reduce((sum, value) => sum + value ** (k + 1), 0) / 40;
          // Six probes know their own deviation to a third only.
          const bound = 8 * found.momentErrors[k] + 1e-5 * exact;
          assertWithin([moment], [exact], bound, `moment ${k + 1}`);
        });
    },
  );

  gpuTest("one eigenvalue alone, zeros alone, and refusals", async (gpu) => {
    const n = 20;
    const identity = Float32Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 3 : 0));
    using three = gpu.upload("3", n, n, identity);
    const found = await spectralDensity(gpu, three, { probes: 2 });
    assertWithin(found.moments, [3, 9, 27, 81], 1e-4, "moments");
    expect(found.density.every(Number.isFinite)).toBe(true);
    using zero = gpu.matrix("0", n, n);
    const none = await spectralDensity(gpu, zero, { probes: 2 });
    expect([...none.moments]).toEqual([0, 0, 0, 0]);
    expect(none.density.every(Number.isFinite)).toBe(true);
    for (const wrong of [{ probes: 1 }, { steps: 21 }, { points: 1.5 }, { axis: "polar" as "log" }])
      await expect(spectralDensity(gpu, three, wrong)).rejects.toThrow(InputError);
    await expect(spectralDensity(gpu, zero, { axis: "log" })).rejects.toThrow(/axis is log/);
  });
});
