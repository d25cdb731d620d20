/** Intervals that are guaranteed: the true value lies inside, always. */
import { describe, expect } from "vitest";
import * as core from "../../src/index.ts";
import {
  ACTIVATIONS,
  InputError,
  network,
  ntk,
  boundedSpectrum,
  type NetworkSpec,
} from "../../src/index.ts";
import { denseEigen, denseValues, solverBound } from "../../src/stages/4-dense.ts";
import { enclose } from "../../src/stages/5-enclosure.ts";
import { draw, exact, exactGram } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { add, wideEigenvalues } from "../reference/wide.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { gramOfJacobian } from "../reference/gram.ts";
import { halfCircle, randomProblem } from "./matrices.ts";

/** |value − truth| where the truth has more digits than f64. */
const distance = (value: number, truth: readonly [number, number]): number =>
  Math.abs(add(truth, [-value, 0])[0]);

const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1];

/** The Gram matrix of 9 random rows of 12 integers: exact, well conditioned. */
function gramMatrix(seed: number): { n: number; matrix: Float64Array } {
  const [n, inner] = [9, 12];
  const rows = normals(seed, n * inner).map((value) => Math.round(4 * value));
  return { n, matrix: gramOfJacobian(rows, inner) };
}

describe("enclose", () => {
  gpuTest(
    "every interval of 520 random matrices of all kinds holds the true value",
    async (gpu) => {
      const ratios: number[] = [];
      for (let seed = 0; seed < 520; seed++) {
        const { n, a, kind } = randomProblem(seed, 9);
        const matrix = Float64Array.from(a);
        const eigen = await denseEigen(gpu, matrix, n);
        const bounds = await enclose(gpu, matrix, n, eigen);
        wideEigenvalues(matrix, n).forEach((truth, i) => {
          const error = distance(eigen.values[i], truth);
          const label = `seed ${seed}, ${kind}, λ_${i}: ${error} beyond ${bounds[i]}`;
          expect(error <= bounds[i], label).toBe(true);
          if (error > 0) ratios.push(bounds[i] / error);
        });
      }
      expect(median(ratios)).toBeLessThanOrEqual(100);
    },
  );

  gpuTest("wrong values and vectors get intervals that still hold the right ones", async (gpu) => {
    for (const seed of [1, 2, 3]) {
      const { n, matrix } = gramMatrix(seed);
      const { values, vectors } = await denseEigen(gpu, matrix, n);
      const off = {
        values: values.map((value, i) => value * (1 + 1e-3 * Math.sin(i + seed))),
        vectors: vectors.map((value, at) => value + 1e-3 * Math.cos(3 * at + seed)),
      };
      const bounds = await enclose(gpu, matrix, n, off);
      wideEigenvalues(matrix, n).forEach((truth, i) => {
        expect(distance(off.values[i], truth)).toBeLessThanOrEqual(bounds[i]);
        expect(bounds[i]).toBeLessThan(Infinity);
      });
    }
  });

  gpuTest("values alone are those with vectors, within what they may be off by", async (gpu) => {
    for (let seed = 0; seed < 104; seed++) {
      const { n, a, kind } = randomProblem(seed);
      const matrix = Float64Array.from(a);
      const { values } = await denseEigen(gpu, matrix, n);
      const places = [0, 1, n - 1].filter((place, i, all) => place < n && all.indexOf(place) === i);
      const alone = await denseValues(gpu, matrix, n, places);
      const bounds = await enclose(gpu, matrix, n, await denseEigen(gpu, matrix, n));
      const off = solverBound(alone.values);
      const sums = bounds.map((bound) => bound + off);
      assertWithin(alone.values, values, sums, `seed ${seed}, ${kind}, n = ${n}`);
      const size = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
      expect(off).toBeLessThanOrEqual(2 ** -45 * n * size);
      places.forEach((place, r) => {
        const v = alone.vectors.subarray(r * n, (r + 1) * n);
        const residual = Array.from(v, (_, i) => {
          let sum = -alone.values[place] * v[i];
          for (let j = 0; j < n; j++) sum += matrix[i * n + j] * v[j];
          return sum;
        });
        expect(Math.hypot(...residual)).toBeLessThanOrEqual(off);
        assertWithin([Math.hypot(...v)], [1], 2 ** -46 * n, "length");
      });
    }
  });

  gpuTest("one eigenpair twice in place of another has no finite interval", async (gpu) => {
    const { n, matrix } = gramMatrix(5);
    const { values, vectors } = await denseEigen(gpu, matrix, n);
    values[3] = values[2];
    vectors.copyWithin(3 * n, 2 * n, 3 * n);
    const bounds = await enclose(gpu, matrix, n, { values, vectors });
    expect([...bounds]).toEqual(Array(n).fill(Infinity));
  });
});

const spec = (activation: NetworkSpec["activation"], more: Partial<NetworkSpec>): NetworkSpec => ({
  ...{ widths: [3, 17, 12, 2], activation, parameterization: "ntk", weightScale: 1.1 },
  ...{ biasScale: 0.3, ...more },
});

describe("ntk, verified", () => {
  const cases = ACTIVATIONS.flatMap((activation) => [
    { ...spec(activation, {}), n: 7, trace: false },
    { ...spec(activation, { parameterization: "standard" }), n: 5, trace: true },
    { ...spec(activation, { widths: [2, 40, 1], biasScale: null }), n: 9, trace: false },
  ]);
  gpuTest("eigenvalues of all activations, forms and shapes lie in the intervals", async (gpu) => {
    for (const [seed, { n, trace, ...each }] of cases.entries()) {
      const problem = draw(core, each, n, seed);
      const { gram, spectrum } = await ntk(
        gpu,
        network(each),
        problem.weights,
        Float32Array.from(problem.inputs),
        { precision: "verified", outputs: trace ? "trace" : "full" },
      );
      const reference = exact(problem);
      const { values } = exactGram(reference, reference, { method: "layerwise", trace });
      const order = Math.sqrt(gram.length);
      const right = eigenvalues(values, order);
      // What the reference itself may be off by in f64.
      const own = 2 ** -47 * order * right[0];
      right.forEach((value, i) => {
        const error = Math.abs(spectrum.eigenvalues[i] - value);
        expect(error <= spectrum.errorBounds[i] + own, `${each.activation}, λ_${i}`).toBe(true);
      });
      expect(spectrum.boundKind).toBe("guaranteed");
      expect(spectrum.errorBounds[0]).toBeLessThanOrEqual(1e-10 * spectrum.lambdaMax);
    }
  });

  gpuTest(
    "λ_min on a half circle is resolved where f32 cannot: κ = 1e5, 1e7, 4e10",
    async (gpu) => {
      for (const [n, condition, width] of [
        [10, 1e5, 1e-6],
        [14, 1e7, 1e-4],
        [20, 4e10, 1e-3],
      ]) {
        const problem = halfCircle(n);
        const { spectrum } = await ntk(
          gpu,
          network(problem.spec),
          problem.weights,
          problem.inputs,
          {
            precision: "verified",
            bottom: 1,
          },
        );
        expect(spectrum.condition).toBeGreaterThan(condition);
        expect(spectrum.lambdaMinBound).toBeLessThanOrEqual(width * spectrum.lambdaMin);
        const reference = exact(problem);
        const { values } = exactGram(reference, reference, { method: "layerwise" });
        const right = eigenvalues(values, n).at(-1)!;
        const own = 2 ** -50 * n * spectrum.lambdaMax;
        expect(Math.abs(spectrum.lambdaMin - right)).toBeLessThanOrEqual(
          spectrum.lambdaMinBound + own,
        );
      }
    },
  );

  gpuTest(
    "many layers and many outputs: the mean over outputs adds up all of them",
    async (gpu) => {
      // All weights 1, one linear unit a layer: the kernel of one sample is its square times the layers.
      const layers = 128;
      const widths = [...Array<number>(layers).fill(1), layers];
      const each = spec("linear", { widths, parameterization: "standard", biasScale: null });
      const values = widths.slice(1).map((units, l) => ({
        weight: new Float32Array(units * widths[l]).fill(1),
        bias: null,
      }));
      for (const x of [1.9765033721923828, 1.4604929685592651, 0.3]) {
        const { spectrum } = await ntk(gpu, network(each), values, Float32Array.of(x), {
          precision: "verified",
          outputs: "trace",
        });
        // Exact in f64: an f32 squared, times a power of two.
        const error = Math.abs(spectrum.lambdaMax - layers * Math.fround(x) ** 2);
        expect(error).toBeLessThanOrEqual(spectrum.errorBounds[0]);
      }
    },
  );

  gpuTest("where products may vanish nothing is said to be sure", async (gpu) => {
    const each = spec("linear", {
      widths: [1, 1, 1, 1, 1, 1],
      biasScale: null,
      weightScale: 1e-38,
    });
    const values = Array.from({ length: 5 }, () => ({ weight: Float32Array.of(1), bias: null }));
    const { spectrum } = await ntk(gpu, network(each), values, Float32Array.of(1), {
      precision: "verified",
    });
    expect(spectrum.errorBounds[0]).toBe(Infinity);
    expect(spectrum.condition).toBeNull();
  });

  gpuTest("duplicate and antipodal samples: λ_min's interval holds 0", async (gpu) => {
    const bare = spec("relu", { widths: [2, 30, 1], biasScale: null });
    const inputs = Float32Array.of(1, 0.5, -0.25, 1, -0.25, 1, 1, -2);
    const { spectrum } = await ntk(gpu, network(bare), draw(core, bare, 4, 3).weights, inputs, {
      precision: "verified",
    });
    expect(spectrum.condition).toBeNull();
    expect(spectrum.lambdaMinBound).toBeGreaterThanOrEqual(Math.abs(spectrum.lambdaMin));
    expect(spectrum.errorBounds[0]).toBeLessThanOrEqual(1e-10 * spectrum.lambdaMax);
  });
});

gpuTest(
  "a matrix times a power of two has the intervals of the matrix, times that",
  async (gpu) => {
    const { n, matrix } = gramMatrix(3);
    const plain = await boundedSpectrum(gpu, { gram: matrix, order: n });
    for (const power of [2 ** -600, 2 ** -490, 2 ** 480]) {
      const gram = matrix.map((value) => value * power);
      const far = await boundedSpectrum(gpu, { gram, order: n });
      wideEigenvalues(matrix, n).forEach((truth, i) => {
        const error = distance(far.eigenvalues[i] / power, truth);
        expect(error).toBeLessThanOrEqual(far.errorBounds[i] / power);
        const ratio = far.errorBounds[i] / power / plain.errorBounds[i];
        expect(ratio).toBeGreaterThan(0.3);
        expect(ratio).toBeLessThan(3);
      });
    }
  },
);

gpuTest("boundedSpectrum: ends, vectors and refusals", async (gpu) => {
  const { n, matrix: gram } = gramMatrix(11);
  const all = await boundedSpectrum(gpu, { gram, order: n });
  const some = await boundedSpectrum(gpu, { gram, order: n }, { top: 2, bottom: 1, vectors: 2 });
  expect([...some.eigenvalues]).toEqual([0, 1, n - 1].map((i) => all.eigenvalues[i]));
  using vectors = some.vectors!;
  const found = await gpu.read(vectors);
  for (let r = 0; r < 2; r++)
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += gram[i * n + j] * found[r * n + j];
      const error = Math.abs(sum - some.eigenvalues[r] * found[r * n + i]);
      expect(error).toBeLessThanOrEqual(2 * 2 ** -24 * n * all.lambdaMax);
    }
  const large = boundedSpectrum(gpu, { gram: new Float64Array(0), order: 4097 });
  await expect(large).rejects.toThrow(InputError);
});
