/** Several least eigenvalues without all the others: each interval holds the one in its place. */
import { describe, expect } from "vitest";
import {
  boundedSpectrum,
  exactKernel,
  InputError,
  network,
  ntk,
  weights,
} from "../../src/index.ts";
import { extremeEigenvalues, leastEigenvalues } from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, inertia, knownSpectra, normals } from "../reference/eigen.ts";

const U64 = 2 ** -53;
const norm = (a: ArrayLike<number>) =>
  Math.sqrt(Array.from(a).reduce((sum, value) => sum + value * value, 0));

/** What rounding alone leaves of an interval: a few roundings of products and of factors, as the docstring says. */
const widest = (gram: Float64Array, order: number, vectors: number) =>
  16 * vectors * (100 + order / 16) * U64 * norm(gram);

describe("leastEigenvalues", () => {
  gpuTest(
    "every interval holds the eigenvalue in its place, of every kind of spectrum",
    async (gpu) => {
      const order = 280;
      const graded = Float64Array.from({ length: order }, (_, i) => 8 ** -i);
      const diagonal = new Float64Array(order * order);
      graded.forEach((value, i) => (diagonal[i * (order + 1)] = value));
      for (const { name, a, values, error } of [
        ...knownSpectra(order, 5),
        { name: "graded", a: diagonal, values: graded, error: 0 },
      ]) {
        const gram = Float64Array.from(a);
        for (const count of [1, 5, 20]) {
          const found = await leastEigenvalues(gpu, { gram, order }, count);
          const label = `${name}, ${count} of ${order}`;
          const right = values.slice(order - count).reverse();
          assertWithin(
            found.values,
            right,
            found.bounds.map((bound) => bound + error),
            label,
          );
          const most = widest(gram, order, count + 3) + Number.MIN_VALUE;
          // Where values crowd nearer than f64 tells apart, intervals reach from the least to the greatest of them.
          const crowd = right[count - 1] - right[0] + 2 * error;
          for (const bound of found.bounds)
            expect(bound, label).toBeLessThanOrEqual(found.separated ? most : most + crowd);
        }
      }
    },
  );

  gpuTest(
    "copies that one Krylov space does not see are found, and none is left out",
    async (gpu) => {
      const inner = 90;
      const order = 3 * inner;
      const x = normals(4, inner * 2 * inner);
      const once = new Float64Array(inner * inner);
      for (let i = 0; i < inner; i++)
        for (let j = 0; j < inner; j++)
          for (let k = 0; k < 2 * inner; k++)
            once[i * inner + j] += x[i * 2 * inner + k] * x[j * 2 * inner + k];
      const gram = new Float64Array(order * order);
      for (let copy = 0; copy < 3; copy++)
        for (let i = 0; i < inner; i++)
          for (let j = 0; j <= i; j++) {
            const [row, column] = [copy * inner + i, copy * inner + j];
            gram[row * order + column] = gram[column * order + row] = once[i * inner + j];
          }
      const right = eigenvalues(gram, order)
        .slice(order - 12)
        .reverse();
      const error = order * order * 2 ** -52 * norm(once);
      for (const count of [2, 4, 9]) {
        const { values, bounds, separated } = await leastEigenvalues(gpu, { gram, order }, count);
        expect(separated, `${count}`).toBe(true);
        assertWithin(
          values,
          right.slice(0, count),
          bounds.map((bound) => bound + error),
          `${count}`,
        );
      }
      const nine = await leastEigenvalues(gpu, { gram, order }, 9);
      const gap = (nine.values[8] + right[9]) / 2;
      expect(inertia(gram, order, gap)).toMatchObject({ below: 9, at: 0 });
    },
  );

  gpuTest(
    "of a tangent kernel they are those of the whole spectrum, also far from 1",
    async (gpu) => {
      const net = network({
        ...{ widths: [6, 50, 40, 1], activation: "tanh", parameterization: "ntk" },
        ...{ weightScale: 1.3, biasScale: 0.2 },
      });
      const order = 300;
      const inputs = normals(1, order * net.inputs);
      const { gram } = await exactKernel(gpu, net, weights(net, 2), inputs, false);
      for (const power of [1, 2 ** 500, 2 ** -600]) {
        const matrix = { gram: gram.map((value) => value * power), order };
        const whole = await boundedSpectrum(gpu, matrix, { bottom: 8 });
        const { values, bounds, separated } = await leastEigenvalues(gpu, matrix, 8);
        expect(separated).toBe(true);
        const both = bounds.map((bound, i) => bound + whole.errorBounds[7 - i]);
        assertWithin(values, whole.eigenvalues.slice().reverse(), both, `times ${power}`);
        bounds.forEach((bound) =>
          expect(bound / power).toBeLessThanOrEqual(widest(gram, order, 11)),
        );
      }
    },
  );

  gpuTest("a chain of masses swings as the formula says, to the last digits", async (gpu) => {
    for (const order of [257, 400]) {
      const gram = new Float64Array(order * order);
      for (let i = 0; i < order; i++) {
        gram[i * (order + 1)] = 2;
        if (i > 0) gram[i * order + i - 1] = gram[(i - 1) * order + i] = -1;
      }
      const right = Float64Array.from(
        { length: 12 },
        (_, k) => 4 * Math.sin(((k + 1) * Math.PI) / (2 * (order + 1))) ** 2,
      );
      const { values, bounds, separated } = await leastEigenvalues(gpu, { gram, order }, 12);
      expect(separated).toBe(true);
      // The formula's own roundings, of numbers below 0.01.
      const own = 8 * U64 * right[11];
      assertWithin(
        values,
        right,
        bounds.map((bound) => bound + own),
        `${order}`,
      );
      bounds.forEach((bound) => expect(bound).toBeLessThanOrEqual(widest(gram, order, 15)));
    }
  });

  gpuTest("what cannot be is refused, and a job can be stopped", async (gpu) => {
    const order = 260;
    const gram = new Float64Array(order * order);
    for (let i = 0; i < order; i++) gram[i * (order + 1)] = i + 1;
    for (const count of [0, 261, 1.5, NaN])
      await expect(leastEigenvalues(gpu, { gram, order }, count)).rejects.toThrow(InputError);
    await expect(leastEigenvalues(gpu, { gram, order: 259 }, 1)).rejects.toThrow(/259 × 259/);
    const bad = gram.slice();
    bad[7] = NaN;
    await expect(leastEigenvalues(gpu, { gram: bad, order }, 1)).rejects.toThrow(/must be finite/);
    const stop = AbortSignal.abort(new Error("enough"));
    await expect(leastEigenvalues(gpu, { gram, order }, 2, { signal: stop })).rejects.toThrow(
      "enough",
    );
    const { values } = await leastEigenvalues(gpu, { gram, order }, 3);
    values.forEach((value, i) => expect(Math.abs(value - i - 1)).toBeLessThanOrEqual(1e-9));
  });
});

describe("extremeEigenvalues", () => {
  gpuTest("boundedSpectrum has both ends of it, each in its place", async (gpu) => {
    const order = 330;
    for (const { name, a, values, error } of knownSpectra(order, 6)) {
      const gram = Float64Array.from(a);
      for (const [top, bottom] of [
        [10, 10],
        [3, undefined],
        [undefined, 4],
        [1, 1],
      ]) {
        const label = `${name}, ${top} and ${bottom}`;
        const choice = { top, bottom, ends: extremeEigenvalues };
        const found = await boundedSpectrum(gpu, { gram, order }, choice);
        const right = [...values.slice(0, top ?? 0), ...values.slice(order - (bottom ?? 0))];
        const within = (bounds: Float64Array) => bounds.map((bound) => bound + error);
        assertWithin(found.eigenvalues, right, within(found.errorBounds), label);
        // Whatever was asked for, both ends of the spectrum are said.
        const ends = Float64Array.of(found.lambdaMax, found.lambdaMin);
        const bounds = Float64Array.of(found.errorTerms.solver[0], found.lambdaMinBound);
        if (top) assertWithin(ends, [values[0], values[order - 1]], within(bounds), label);
        // Those that crowd are told apart too, as all of them are solved for then.
        const most = 2 * widest(gram, order, 20) + Number.MIN_VALUE;
        for (const bound of found.errorBounds) expect(bound, label).toBeLessThanOrEqual(most);
        expect(found).toMatchObject({ boundKind: "guaranteed", confidence: 1, vectors: null });
      }
    }
  });

  gpuTest("ntk takes it: the least five of a kernel as all of them give them", async (gpu) => {
    const net = network({
      ...{ widths: [3, 40, 1], activation: "tanh", parameterization: "ntk" },
      ...{ weightScale: 1, biasScale: 0.1 },
    });
    const [values, inputs] = [weights(net, 0), Float32Array.from(normals(3, 3 * 300))];
    const given = { precision: "verified", top: 2, bottom: 5 } as const;
    const ends = extremeEigenvalues;
    const { spectrum } = await ntk(gpu, net, values, inputs, { ...given, ends });
    const { spectrum: all } = await ntk(gpu, net, values, inputs, given);
    expect(spectrum.precision).toBe("verified");
    expect(spectrum.boundKind).toBe("guaranteed");
    const both = spectrum.errorBounds.map((bound, i) => bound + all.errorBounds[i]);
    assertWithin(spectrum.eigenvalues, all.eigenvalues, both, "ends of a kernel");
    // As narrow as the kernel is known: the solver's share is small.
    spectrum.errorBounds.forEach((bound, i) =>
      expect(bound).toBeLessThanOrEqual(2 * all.errorBounds[i]),
    );
    expect(spectrum.condition === null).toBe(all.condition === null);
  });
});
