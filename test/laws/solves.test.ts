/** Cholesky's factorization in f64, and what it proves. */
import { describe, expect, test } from "vitest";
import {
  boundedSpectrum,
  greatestEigenvalue,
  InputError,
  leastEigenvalue,
} from "../../src/index.ts";
import { checkSolvable } from "../../src/stages/5-bounded.ts";
import {
  cholesky,
  effectiveDimension,
  extremeEigenvalues,
  type Cholesky,
} from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma } from "../reference/compare.ts";
import { eigenvalues, normals, withSpectrum } from "../reference/eigen.ts";
import { gramOfJacobian } from "../reference/gram.ts";
import { add, wideEigenvalues } from "../reference/wide.ts";
import { randomProblem } from "./matrices.ts";

/** A Gram matrix of random rows. */
const random = (n: number, inner: number, seed: number): Float64Array =>
  gramOfJacobian(normals(seed, n * inner), inner);

describe("cholesky", () => {
  gpuTest(
    "solutions, determinant and the bound on λ_min, around the edges of a block",
    async (gpu) => {
      for (const n of [1, 2, 31, 63, 64, 65, 130, 200]) {
        const gram = random(n, 2 * n + 3, n);
        const lambda = eigenvalues(gram, n);
        for (const shift of [0, 0.5 * lambda[0]]) {
          const factor = (await cholesky(gpu, { gram, order: n }, shift)) as Cholesky;
          expect(factor.definite, `n = ${n}`).toBe(true);
          const right = Float64Array.from(normals(n + 7, 3 * n));
          const { values, backwardErrors } = await factor.solve(right);
          const size = Math.hypot(...gram) + shift * Math.sqrt(n);
          for (let c = 0; c < 3; c++) {
            let [left, length, given] = [0, 0, 0];
            for (let i = 0; i < n; i++) {
              let sum = shift * values[c * n + i] - right[c * n + i];
              for (let j = 0; j < n; j++) sum += gram[i * n + j] * values[c * n + j];
              left += sum * sum;
              length += values[c * n + i] ** 2;
              given += right[c * n + i] ** 2;
            }
            const error = Math.sqrt(left) / (size * Math.sqrt(length) + Math.sqrt(given));
            // What f64 makes of a residual: the product's roundings and no more.
            const rounding = gamma(n + 3, 2 ** -53);
            expect(error).toBeLessThanOrEqual(2 * rounding);
            expect(Math.abs(backwardErrors[c] - error)).toBeLessThanOrEqual(2 * rounding);
          }
          const logDet = lambda.reduce((sum, value) => sum + Math.log(value + shift), 0);
          const off = lambda.reduce((sum, value) => sum + (n * 2 ** -49 * lambda[0]) / value, 0);
          assertWithin([factor.logDet], [logDet], off + 2 ** -48 * n, "log det");
          expect(factor.least).toBeLessThanOrEqual(lambda[n - 1]);
          expect(factor.least).toBeGreaterThanOrEqual(-shift - 1e-12 * n * (lambda[0] + shift));
        }
      }
    },
  );

  gpuTest("a matrix that is not positive definite is not taken for one", async (gpu) => {
    for (const n of [2, 65, 129]) {
      const gram = random(n, 2 * n, n);
      const least = eigenvalues(gram, n)[n - 1];
      const below = await cholesky(gpu, { gram, order: n }, -least * (1 + 1e-6));
      expect(below).toMatchObject({ definite: false });
      const above = await cholesky(gpu, { gram, order: n }, -least * (1 - 1e-6));
      expect(above).toMatchObject({ definite: true });
      gram[n * n - 1] = NaN;
      expect(await cholesky(gpu, { gram, order: n })).toMatchObject({ definite: false });
    }
    await expect(cholesky(gpu, { gram: new Float64Array(3), order: 2 })).rejects.toThrow(
      InputError,
    );
    const one = (await cholesky(gpu, { gram: Float64Array.of(4), order: 1 })) as Cholesky;
    await expect(one.solve(new Float64Array(0))).rejects.toThrow(/right holds 0/);
  });
});

describe("extreme eigenvalues", () => {
  gpuTest(
    "of 300 random matrices of all kinds lie in the intervals, which are narrow",
    async (gpu) => {
      for (let seed = 0; seed < 300; seed++) {
        const { n, a, kind } = randomProblem(seed, 9);
        const gram = Float64Array.from(a);
        const truth = wideEigenvalues(gram, n);
        const size = Math.max(Math.abs(truth[0][0]), Math.abs(truth[n - 1][0]));
        for (const [find, right] of [
          [leastEigenvalue, truth[n - 1]],
          [greatestEigenvalue, truth[0]],
        ] as const) {
          const { value, bound } = await find(gpu, { gram, order: n });
          const error = Math.abs(add(right, [-value, 0])[0]);
          const label = `seed ${seed}, ${kind}, n = ${n}: ${error} beyond ${bound}`;
          expect(error <= bound, label).toBe(true);
          expect(bound <= 1e-11 * n * size, `${label}, ‖A‖ = ${size}`).toBe(true);
        }
      }
    },
  );

  gpuTest("crowded ends, which no short iteration separates, are as narrow", async (gpu) => {
    // 300 eigenvalues, more than an iteration has steps: spread, in crowds, all alike but for 1e-9, one far off.
    for (const [name, at] of [
      ["even", (i: number) => 1 + i / 300],
      ["crowds", (i: number) => (i < 150 ? 1e-3 + 1e-9 * i : 1 + 1e-7 * i)],
      ["one crowd", (i: number) => 1 + 1e-9 * i],
      ["far off", (i: number) => (i === 0 ? -1e6 : 1 / i)],
    ] as const) {
      const { a, n } = withSpectrum(
        name,
        Array.from({ length: 300 }, (_, i) => at(i)),
        7,
      );
      const gram = Float64Array.from(a);
      const values = eigenvalues(gram, n);
      const size = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
      for (const [find, right] of [
        [leastEigenvalue, values[n - 1]],
        [greatestEigenvalue, values[0]],
      ] as const) {
        const { value, bound } = await find(gpu, { gram, order: n });
        assertWithin([value], [right], bound + 120 * n * 2 ** -53 * size, name);
        expect(bound, name).toBeLessThanOrEqual(1e-11 * n * size);
      }
    }
  });

  test("beyond order 4096 they alone are found, up to 16384", () => {
    checkSolvable(4096, {});
    checkSolvable(16384, { top: 1, bottom: 1 });
    expect(() => checkSolvable(4097, {})).toThrow(
      /at most 4096 × 4096 .* fewer samples, fewer eigenvalues, or/,
    );
    expect(() => checkSolvable(4097, { top: 2, bottom: 1 })).toThrow(InputError);
    // Several of either, where there is what finds them: the 10 and 10 of a large spectrum too.
    const ends = extremeEigenvalues;
    checkSolvable(16384, { ends });
    checkSolvable(4800, { top: 150, ends });
    expect(() => checkSolvable(4800, { top: 151, ends })).toThrow(InputError);
    expect(() => checkSolvable(4800, { top: 1, vectors: 1, ends })).toThrow(InputError);
    expect(() => checkSolvable(16385, { top: 1 })).toThrow(/at most 16384 × 16384 .* samples, or/);
  });

  gpuTest("tiny and huge matrices are not taken for 0 or infinite", async (gpu) => {
    for (const size of [1e-165, 1e-300, 1e160, 1e300]) {
      const gram = Float64Array.of(2, 1, 1, 2).map((value) => value * size);
      const least = await leastEigenvalue(gpu, { gram, order: 2 });
      assertWithin([least.value], [size], least.bound + 2 ** -52 * size, `${size}`);
      expect(least.bound).toBeLessThanOrEqual(1e-10 * size);
      expect(least.bound).toBeGreaterThan(1e-16 * size);
    }
  });

  gpuTest(
    "boundedSpectrum takes them where no others are wanted: the same numbers",
    async (gpu) => {
      const n = 300;
      const gram = random(n, 350, 4);
      const all = await boundedSpectrum(gpu, { gram, order: n });
      const ends = await boundedSpectrum(gpu, { gram, order: n }, { top: 1, bottom: 1 });
      expect(ends.eigenvalues).toHaveLength(2);
      const both = [all.eigenvalues[0], all.eigenvalues[n - 1]];
      const bounds = ends.errorBounds.map(
        (bound, i) => bound + all.errorBounds[i === 0 ? 0 : n - 1],
      );
      assertWithin(ends.eigenvalues, both, bounds, "ends");
      assertWithin([ends.lambdaMax, ends.lambdaMin], both, bounds, "λ_max and λ_min");
      expect(Math.max(...ends.errorBounds)).toBeLessThanOrEqual(1e-9 * ends.lambdaMax);
      expect([ends.boundKind, ends.converged]).toEqual(["guaranteed", true]);
      const top = await boundedSpectrum(gpu, { gram, order: n }, { top: 1 });
      expect([...top.eigenvalues]).toEqual([ends.lambdaMax]);
      expect(top.lambdaMin).toBe(ends.lambdaMin);
    },
  );
});

gpuTest("effectiveDimension: Σ λ / (λ + μ), with a half width from those of λ", async (gpu) => {
  const n = 12;
  const gram = random(n, 20, 9);
  const found = await boundedSpectrum(gpu, { gram, order: n });
  for (const ridge of [1e-3, 1, 100]) {
    const { value, bound } = effectiveDimension(found, ridge);
    const exact = wideEigenvalues(gram, n).reduce((sum, [x]) => sum + x / (x + ridge), 0);
    assertWithin([value], [exact], bound + 2 ** -48 * n, `μ = ${ridge}`);
    expect(bound).toBeLessThanOrEqual(1e-11 * n);
  }
  const unsure = { eigenvalues: Float64Array.of(1), errorBounds: Float64Array.of(Infinity) };
  assertWithin([effectiveDimension(unsure, 1).bound], [0.5], 1e-8, "an unknown eigenvalue");
  const huge = { eigenvalues: Float64Array.of(1e308), errorBounds: Float64Array.of(0) };
  assertWithin([effectiveDimension(huge, 1e308).value], [0.5], 1e-15, "no overflow");
  expect(() => effectiveDimension(found, 0)).toThrow(InputError);
});
