/** Both ends of a kernel that is never stored, by bidiagonalization of J: intervals hold, whatever the iteration did. */
import { describe, expect, test } from "vitest";
import * as core from "../../src/index.ts";
import { InputError, network, ntk, weights, type NetworkSpec } from "../../src/index.ts";
import { kernelSpectrum } from "../../src/theory.ts";
import { bidiagonalEnds, type LinearMap } from "../../src/theory/bidiagonal.ts";
import { exactProducts } from "../../src/theory/exactProducts.ts";
import { directionLength } from "../../src/theory/jacobianMap.ts";
import { singular } from "../../src/theory/singular.ts";
import { leastAtMost, tripletIntervals } from "../../src/theory/tripletIntervals.ts";
import { draw, exactGram } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { jacobian } from "../reference/jacobian.ts";
import { backProduct, product, singularValues, withSingularValues } from "../reference/singular.ts";
import { halfCircle } from "./matrices.ts";

const U64 = 2 ** -53;
const spec = (more: Partial<NetworkSpec>): NetworkSpec => ({
  ...{ widths: [5, 40, 30, 1], activation: "tanh", parameterization: "ntk" },
  ...{ weightScale: 1.3, biasScale: 0.2, ...more },
});

/** H's eigenvalues in f64 from the formula, and what they may be off by: the sums, and the solver. */
function reference(problem: ReturnType<typeof draw>): { values: Float64Array; error: number } {
  const { values: gram } = exactGram(problem.reference, problem.reference, { method: "layerwise" });
  const order = Math.round(Math.sqrt(gram.length));
  let trace = 0;
  for (let i = 0; i < order; i++) trace += gram[i * order + i];
  // A sum of the passes has a few hundred terms; LAPACK's own measure of a solver is 60 n ulp.
  return { values: eigenvalues(gram, order), error: (2000 + 120 * order) * U64 * trace };
}

/** Passes in f64, φ and φ′ to a few units in the last place of 1. */
const F64 = { u: U64, epsPhi: () => 4 * U64, epsPhiPrime: () => 8 * U64 };

/** A map of f64 with f32 results, as a device's are. */
const mapOf = (a: Float64Array, rows: number, columns: number): LinearMap => ({
  ...{ rows, columns },
  times: async (z) => Float32Array.from(product(a, columns, z)),
  transposed: async (x) => Float32Array.from(backProduct(a, columns, x)),
});

const shares = (list: ArrayLike<number>, at: readonly number[]) => at.map((k) => list[k]);

describe("kernelSpectrum", () => {
  gpuTest(
    "every interval holds the eigenvalue in its place, of random networks of all kinds",
    async (gpu) => {
      let seed = 0;
      for (const parameterization of ["ntk", "standard"] as const)
        for (const outputs of [1, 3])
          for (const activation of ["relu", "tanh", "gelu"] as const)
            for (const n of [1, 2, 37]) {
              seed += 1;
              const biasScale = seed % 3 === 0 ? null : 0.2;
              const widths = [3 + (seed % 4), 24 + (seed % 5), 20, outputs];
              const of = spec({ widths, activation, parameterization, biasScale });
              const problem = draw(core, of, n, 10 * seed);
              const order = n * outputs;
              const [top, bottom] = [Math.min(3, order), Math.min(2, order)];
              const { values, error } = reference(problem);
              const { spectrum } = await kernelSpectrum(
                gpu,
                network(of),
                problem.weights,
                problem.inputs,
                { top, bottom },
              );
              const at = Array.from({ length: order }, (_, i) => i).filter(
                (i) => i < top || i >= order - bottom,
              );
              const label = `${parameterization} ${activation} ${outputs} n=${n}`;
              const bounds = spectrum.errorBounds.map((bound) => bound + error);
              assertWithin(spectrum.eigenvalues, shares(values, at), bounds, label);
              expect(spectrum.converged, label).toBe(true);
              // Of what has converged: 2 · 2⁻²² σ of σ_max, or 2 · 2⁻¹⁰ of itself; twice that for its own roundings.
              const limit = spectrum.eigenvalues.map(
                (value) =>
                  2 *
                  Math.max(2 ** -21 * Math.sqrt(Math.max(0, value) * values[0]), 2 ** -9 * value),
              );
              at.forEach((_, i) =>
                expect(spectrum.errorBounds[i], label).toBeLessThanOrEqual(
                  limit[i] + 2 ** -42 * values[0],
                ),
              );
            }
    },
  );

  gpuTest("of 200 samples both ends are those of `verified`, after restarts too", async (gpu) => {
    for (const of of [
      spec({ widths: [8, 64, 64, 1], activation: "relu", biasScale: 0.1 }),
      spec({ widths: [8, 48, 40, 3], activation: "gelu", parameterization: "standard" }),
    ]) {
      const net = network(of);
      const n = 200 / (net.outputs === 3 ? 4 : 1);
      const inputs = normals(3, n * net.inputs);
      const drawn = weights(net, 1);
      const right = (await ntk(gpu, net, drawn, inputs, { precision: "verified" })).spectrum;
      const order = n * net.outputs;
      const at = [0, 1, 2, order - 3, order - 2, order - 1];
      const pair = order + directionLength(net);
      for (const vectors of net.outputs === 1 ? [192, 24] : [24]) {
        const memory = 4 * (vectors + 2) * pair + 24 * 6 * pair;
        const options = { top: 3, bottom: 3, memory, steps: 3000 };
        const { spectrum, plan } = await kernelSpectrum(gpu, net, drawn, inputs, options);
        const bounds = spectrum.errorBounds.map((bound, i) => bound + right.errorBounds[at[i]]);
        const label = `${net.outputs} outputs, ${vectors} vectors`;
        assertWithin(spectrum.eigenvalues, shares(right.eigenvalues, at), bounds, label);
        expect(spectrum.converged, label).toBe(true);
        expect(plan.basis, label).toBe(Math.min(order, vectors));
        expect(plan.bytes, label).toBeLessThanOrEqual(memory);
        expect(spectrum.condition, label).not.toBeNull();
        if (vectors < order) expect(spectrum.steps, label).toBeGreaterThan(vectors);
      }
    }
  });

  gpuTest("λ_min keeps digits where H in f32 has none: σ is not squared", async (gpu) => {
    const { spec, inputs, weights: drawn } = halfCircle(14);
    const net = network(spec);
    const right = (await ntk(gpu, net, drawn, inputs, { precision: "verified" })).spectrum;
    const { spectrum } = await kernelSpectrum(gpu, net, drawn, inputs, { top: 1, bottom: 1 });
    assertWithin(
      [spectrum.lambdaMin],
      [right.lambdaMin],
      spectrum.lambdaMinBound + right.lambdaMinBound,
      "λ_min",
    );
    // Below what one rounding of H in f32 does, 2⁻²⁴ λ_max; known to 2 · 2⁻²¹ σ_max σ_min.
    expect(right.lambdaMin).toBeLessThan(2 ** -24 * right.lambdaMax);
    expect(spectrum.lambdaMinBound).toBeLessThanOrEqual(
      2 ** -20 * Math.sqrt(right.lambdaMin * right.lambdaMax),
    );
    expect(spectrum.condition).not.toBeNull();
  });

  gpuTest(
    "of a kernel whose values fall below all rounding no more is said than is sure",
    async (gpu) => {
      for (const n of [24, 40, 100, 260]) {
        const { spec, inputs, weights: drawn } = halfCircle(n);
        const net = network(spec);
        const right = (await ntk(gpu, net, drawn, inputs, { precision: "verified" })).spectrum;
        for (const options of [
          { top: 2, bottom: 3, steps: 400 },
          { top: 2, bottom: 3, steps: 60, memory: 2 ** 25 },
        ]) {
          const { spectrum } = await kernelSpectrum(gpu, net, drawn, inputs, options);
          const at = [0, 1, n - 3, n - 2, n - 1];
          const bounds = spectrum.errorBounds.map((bound, i) => bound + right.errorBounds[at[i]]);
          const label = `${n} points, ${options.steps} steps`;
          assertWithin(spectrum.eigenvalues, shares(right.eigenvalues, at), bounds, label);
          if (n > 24) expect(spectrum.condition, label).toBeNull();
        }
      }
    },
  );

  gpuTest(
    "a singular kernel is not given a condition: duplicates, and too few parameters",
    async (gpu) => {
      const net = network(spec({ widths: [4, 30, 30, 1] }));
      const inputs = normals(4, 40 * 4);
      inputs.copyWithin(4, 0, 4);
      inputs.copyWithin(12, 8, 12);
      const drawn = weights(net, 2);
      const { spectrum } = await kernelSpectrum(gpu, net, drawn, inputs, { top: 1, bottom: 3 });
      expect(spectrum.condition).toBeNull();
      for (const place of [2, 3])
        expect(spectrum.eigenvalues[place] - spectrum.errorBounds[place]).toBeLessThanOrEqual(0);
      // Not told from 0, but told to be as small as roundings of σ, squared.
      const most = spectrum.eigenvalues[3] + spectrum.errorBounds[3];
      expect(most).toBeLessThanOrEqual(2 ** -40 * spectrum.lambdaMax);

      const linear = network(spec({ widths: [4, 3], activation: [] }));
      const wide = normals(5, 30 * 4);
      const values = weights(linear, 1);
      const choice = { top: 4, bottom: 76 };
      const { spectrum: low } = await kernelSpectrum(gpu, linear, values, wide, choice);
      const right = (await ntk(gpu, linear, values, wide, { precision: "verified" })).spectrum;
      // Fifteen parameters, each eigenvalue thrice: the copies are found, and 75 of 90 are 0 exactly.
      const at = Array.from({ length: 90 }, (_, i) => i).filter((i) => i < 4 || i >= 14);
      const bounds = low.errorBounds.map((bound, i) => bound + right.errorBounds[at[i]]);
      assertWithin(low.eigenvalues, shares(right.eigenvalues, at), bounds, "copies");
      expect(low.eigenvalues.subarray(5)).toEqual(new Float64Array(75));
      expect(low.errorBounds.subarray(5)).toEqual(new Float64Array(75));
      expect(low.eigenvalues[4]).toBeGreaterThan(low.errorBounds[4]);
      expect(low.condition).toBeNull();
    },
  );

  gpuTest("stopped early it says what is sure, and that it has not converged", async (gpu) => {
    const net = network(spec({ widths: [8, 64, 64, 1], activation: "relu", biasScale: 0.1 }));
    const inputs = normals(3, 200 * net.inputs);
    const drawn = weights(net, 1);
    const right = (await ntk(gpu, net, drawn, inputs, { precision: "verified" })).spectrum;
    const options = { top: 3, bottom: 3, steps: 20 };
    const { spectrum } = await kernelSpectrum(gpu, net, drawn, inputs, options);
    const at = [0, 1, 2, 197, 198, 199];
    const bounds = spectrum.errorBounds.map((bound, i) => bound + right.errorBounds[at[i]]);
    assertWithin(spectrum.eigenvalues, shares(right.eigenvalues, at), bounds, "20 steps");
    expect(spectrum.steps).toBe(20);
    expect(spectrum.converged).toBe(false);
    expect(spectrum.condition).toBeNull();
  });

  gpuTest("two runs give the same bytes; an abort and wrong options end it", async (gpu) => {
    const net = network(spec({ widths: [8, 40, 40, 1] }));
    const inputs = normals(6, 120 * 8);
    const drawn = weights(net, 5);
    const options = { top: 2, bottom: 2, steps: 90 };
    const run = () => kernelSpectrum(gpu, net, drawn, inputs, options);
    expect(await run()).toEqual(await run());

    const heard: string[] = [];
    const stop = new AbortController();
    const stopped = kernelSpectrum(gpu, net, drawn, inputs, {
      ...options,
      signal: stop.signal,
      onProgress: ({ stage, share }) => {
        heard.push(stage);
        if (stage === "lanczos" && share > 0.1) stop.abort(new Error("enough"));
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(heard).toContain("lanczos");
    for (const [wrong, name] of [
      [{ top: 2, memory: 1000 }, "memory"],
      [{ top: 2, memory: NaN }, "memory"],
      [{ top: 2, steps: 3 }, "steps"],
      [{ top: 2, steps: 2.5e3 + 0.5 }, "steps"],
      [{ top: 121 }, "top"],
      [{ bottom: 0 }, "bottom"],
      [{ topp: 1 }, "topp"],
    ] as const) {
      const refused = kernelSpectrum(gpu, net, drawn, inputs, wrong as object);
      await expect(refused, name).rejects.toThrow(InputError);
      await expect(refused, name).rejects.toThrow(new RegExp(name));
    }
  });
});

gpuTest("exactProducts: J z and Jᵀ x are those of the f64 Jacobian", async (gpu) => {
  for (const [widths, biasScale, parameterization] of [
    [[5, 17, 11, 3], 0.3, "ntk"],
    [[4, 9, 2], null, "ntk"],
    [[4, 9, 7, 1], 0.3, "standard"],
  ] as const) {
    const of = spec({ widths, biasScale, parameterization });
    const n = 23;
    const { weights: drawn, inputs, reference } = draw(core, of, n, 3, F64);
    const { net, pass } = reference;
    const { jac, rows, params, bound } = jacobian(net, pass.activations, pass.signals, U64);
    const own = network(of);
    // A direction holds each layer's weights on their side.
    const place = own.layers.flatMap(({ firstParameter, fanIn, units, hasBias }) => [
      ...Array.from({ length: fanIn * units }, (_, at) => {
        const [f, h] = [Math.floor(at / units), at % units];
        return firstParameter + h * fanIn + f;
      }),
      ...(hasBias
        ? Array.from({ length: units }, (_, h) => firstParameter + fanIn * units + h)
        : []),
    ]);
    expect(place).toHaveLength(directionLength(own));
    const z = Float64Array.from(normals(1, params));
    const x = Float64Array.from(normals(2, rows));
    const found = await exactProducts(gpu, own, drawn, inputs, [x], [z], {});
    const whole = new Float64Array(params);
    place.forEach((to, at) => (whole[to] = z[at]));
    const norm = (v: Float64Array) => Math.sqrt(v.reduce((sum, value) => sum + value ** 2, 0));
    const off = found.jacobianError + norm(bound) + (2 * params + rows) * U64 * norm(jac);
    const within = (found.rounding + off) * (1 + 2 ** -20);
    const images = product(jac, params, whole);
    assertWithin(found.images[0], images, within * norm(z), "J z");
    const back = backProduct(jac, params, x);
    assertWithin(found.backs[0], shares(back, place), within * norm(x), "Jᵀ x");
    expect(within).toBeLessThan(2 ** -36 * norm(jac));
  }
});

test("singular: values and vectors of small matrices, graded, equal and rank-deficient", () => {
  for (const [name, values] of [
    ["random", Array.from({ length: 12 }, (_, i) => 1 + i)],
    ["graded", Array.from({ length: 20 }, (_, i) => 4 ** -i)],
    ["copies", [3, 3, 3, 1, 1, 1e-9]],
    ["singular", [2, 1, 0, 0]],
    ["zero", [0, 0, 0]],
    ["one", [7]],
  ] as const) {
    const m = values.length;
    const a = withSingularValues(values, m, m, normals(1, m), normals(2, m));
    const columns = Array.from({ length: m }, (_, j) =>
      Float64Array.from({ length: m }, (_, i) => a[i * m + j]),
    );
    const found = singular(columns);
    const largest = Math.max(...values);
    const bound = 40 * m * U64 * largest;
    assertWithin(
      found.values,
      [...values].sort((x, y) => y - x),
      bound,
      name,
    );
    assertWithin(found.values, singularValues(a, m, m), 4 * bound, name);
    for (const [i, p] of found.left.entries()) {
      const image = columns.reduce(
        (sum, column, j) => sum.map((value, k) => value + found.right[i][j] * column[k]),
        new Float64Array(m),
      );
      assertWithin(
        image,
        p.map((value) => value * found.values[i]),
        bound,
        `${name}: A q = σ p`,
      );
      for (const [j, other] of found.left.entries())
        for (const [one, two] of [
          [p, other],
          [found.right[i], found.right[j]],
        ]) {
          const dot = one.reduce((sum, value, k) => sum + value * two[k], 0);
          assertWithin([dot], [i === j ? 1 : 0], 40 * m * U64 + 2 ** -49, `${name}: orthonormal`);
        }
    }
  }
});

describe("bidiagonalEnds", () => {
  const [rows, columns] = [120, 150];
  const values = Float64Array.from({ length: rows }, (_, i) =>
    // Three copies on top, a wide middle, two close ones at the lower end.
    i < 3 ? 9 : i >= rows - 2 ? 0.01 * (1 + 0.1 * (rows - 1 - i)) : 1 + 3 * (1 - i / rows),
  );
  const a = withSingularValues(values, rows, columns, normals(1, rows), normals(2, columns));

  test("a small basis restarts, holds no more than it may, finds copies and both ends", async () => {
    for (const basis of [20, 40, rows]) {
      const wanted = { top: 4, bottom: 2, basis, steps: 4000 };
      const found = await bidiagonalEnds(mapOf(a, rows, columns), wanted);
      expect(found.done).toEqual(Array(6).fill(true));
      expect(found.held).toBeLessThanOrEqual(2 * basis);
      if (basis < rows) expect(found.restarts).toBeGreaterThan(1);
      // 2⁻²² σ_max or 2⁻¹⁰ of its own, and roundings of the map, 2⁻²⁴ · √2 a product.
      const bounds = found.values.map((value) => 2 ** -21 * 9 + 2 ** -10 * Math.min(value, 1));
      assertWithin(
        found.values,
        shares(values, [0, 1, 2, 3, rows - 2, rows - 1]),
        bounds,
        `${basis}`,
      );
    }
  });

  test("a map of 0, and one of rank 2, end with what there is", async () => {
    const zero = await bidiagonalEnds(mapOf(new Float64Array(60), 6, 10), {
      ...{ top: 2, bottom: 1, basis: 6, steps: 50 },
    });
    expect(zero.values).toEqual(new Float64Array(3));
    const low = withSingularValues([5, 2], 30, 40, normals(3, 30), normals(4, 40));
    const found = await bidiagonalEnds(mapOf(low, 30, 40), {
      ...{ top: 3, bottom: 1, basis: 16, steps: 400 },
    });
    assertWithin(found.values, [5, 2, 0, 0], 2 ** -20 * 5, "rank 2");
  });
});

test("tripletIntervals: vectors that are wrong get intervals that hold all the same, NaN none", () => {
  const [rows, columns] = [8, 9];
  const values = [5, 4, 4, 3, 1, 0.5, 0.25, 0.125];
  const a = withSingularValues(values, rows, columns, normals(1, rows), normals(2, columns));
  const at = (left: Float64Array[], right: Float64Array[]) => {
    const products = {
      images: right.map((z) => product(a, columns, z)),
      backs: left.map((x) => backProduct(a, columns, x)),
      ...{ rounding: 2 ** -45, jacobianError: 0, trace: 1 },
    };
    const order = left.map((_, k) => left.length - 1 - k);
    return {
      intervals: tripletIntervals({ left, right }, products),
      least: leastAtMost(left, products.backs, products, order),
    };
  };
  for (let seed = 1; seed < 60; seed++) {
    const size = 10 ** -(seed % 9);
    const noise = (k: number, n: number) => normals(100 * seed + k, n);
    const triplets = singular(
      // Rows of Aᵀ stand in for a square matrix: its last singular value is 0.
      Array.from({ length: columns }, (_, j) =>
        Float64Array.from({ length: columns }, (_, i) => (i < rows ? a[i * columns + j] : 0)),
      ),
    );
    const left = triplets.left
      .slice(0, rows)
      .map((p, k) => p.slice(0, rows).map((value, i) => value + size * noise(k, rows)[i]));
    const right = triplets.right
      .slice(0, rows)
      .map((q, k) => q.map((value, i) => value + size * noise(50 + k, columns)[i]));
    const { intervals, least } = at(left, right);
    // Each holds one of its own: with all of them given, the k-th that of place k, or 0 where it reaches that far.
    intervals.forEach(({ value, bound }, k) => {
      if (value - bound > 0) expect(Math.abs(value - values[k])).toBeLessThanOrEqual(bound);
    });
    least.forEach((bound, j) => expect(bound).toBeGreaterThanOrEqual(values[rows - 1 - j]));
    if (size <= 1e-6) expect(intervals[0].bound).toBeLessThanOrEqual(100 * size);
  }
  const twice = Float64Array.from(normals(1, rows));
  const z = Float64Array.from(normals(2, columns));
  for (const { bound } of at([twice, twice], [z, z]).intervals) expect(bound).toBe(Infinity);
  const lost = at([twice.map(() => NaN)], [z]).intervals[0];
  expect(lost.bound > 0 && Math.abs(lost.value) < Infinity).toBe(false);
});
