import { describe, expect, test } from "vitest";
import { assertWithin } from "./compare.ts";
import {
  eigen,
  eigenvalues,
  inertia,
  knownSpectra,
  normals,
  uniforms,
  withSpectrum,
} from "./eigen.ts";
import {
  backwardError,
  eigenvalueError,
  estimateError,
  ghosts,
  norm2,
  omissions,
  orthogonality,
  recurrence,
  residuals,
  sinAngle,
} from "./lanczos.ts";

describe("eigen", () => {
  for (const n of [8, 33, 64]) {
    for (const { name, a, values, error } of knownSpectra(n, 5)) {
      test(`${name}, n = ${n}: the known spectrum, A v = λ v, orthonormal vectors, and the count by inertia`, () => {
        const { values: found, vectors } = eigen(a, n);
        const norm = Math.max(Math.abs(found[0]), Math.abs(found[n - 1]));
        const rounding = n * 2 ** -50;
        assertWithin(found, values, error + rounding * norm, "values");
        assertWithin(residuals(a, n, found, vectors), new Float64Array(n), rounding * norm, "Av");
        expect(orthogonality(vectors, n) * 2 ** -24).toBeLessThan(rounding);
        expect(a.every((x, at) => x === a[(at % n) * n + Math.floor(at / n)])).toBe(true);
        for (let i = 0; i + 1 < n; i++) {
          if (found[i] - found[i + 1] < 1e-10 * norm || norm === 0) continue;
          const counts = inertia(a, n, (found[i] + found[i + 1]) / 2);
          expect(counts).toEqual({ above: i + 1, at: 0, below: n - i - 1 });
        }
      });
    }
  }

  test("inertia of indefinite matrices with a zero diagonal needs its blocks of order 2", () => {
    expect(inertia([0, 1, 1, 0], 2, 0)).toEqual({ below: 1, at: 0, above: 1 });
    // Eigenvalues ±√2 and 0.
    expect(inertia([0, 1, 0, 1, 0, 1, 0, 1, 0], 3, 0)).toEqual({ below: 1, at: 1, above: 1 });
    expect(inertia(new Float64Array(9), 3, 0)).toEqual({ below: 0, at: 3, above: 0 });
    expect(inertia([2], 1, 3)).toEqual({ below: 1, at: 0, above: 0 });
    const n = 40;
    const random = normals(3, n * n);
    const a = random.map((x, at) => x + random[(at % n) * n + Math.floor(at / n)]);
    const below = eigenvalues(a, n).filter((value) => value < 0.1).length;
    expect(inertia(a, n, 0.1)).toEqual({ below, at: 0, above: n - below });
  });

  test("the generators have mean 0 or ½ and variance 1 or 1/12, and repeat with their seed", () => {
    const count = 20000;
    const moments = (values: Float64Array) => {
      const mean = values.reduce((sum, x) => sum + x, 0) / count;
      return [mean, values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count];
    };
    const uniform = uniforms(1);
    // Five standard deviations of the mean and of the variance.
    const [mean, variance] = moments(Float64Array.from({ length: count }, uniform));
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / count));
    const [mean1, variance1] = moments(Float64Array.from(normals(1, count)));
    expect(Math.abs(mean1)).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(variance1 - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
    expect(normals(9, 5)).toEqual(normals(9, 5));
    expect(normals(9, 5)).not.toEqual(normals(10, 5));
  });
});

describe("Lanczos checks", () => {
  const n = 48;
  const known = withSpectrum(
    "decay",
    Float64Array.from({ length: n }, (_, i) => 0.75 ** i),
    17,
  );
  const { a } = known;
  const norm = norm2(a, n);
  const lambda = eigenvalues(a, n);

  /** A Lanczos run with every vector rounded to f32, with or without two reorthogonalizations. */
  function run(steps: number, reorthogonalize: boolean) {
    const q = new Float64Array((steps + 1) * n);
    const alpha = new Float64Array(steps);
    const beta = new Float64Array(steps);
    const row = (r: number) => q.subarray(r * n, (r + 1) * n);
    const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, v, i) => sum + v * y[i], 0);
    const start = Float64Array.from(normals(23, n));
    row(0).set(start.map((x) => Math.fround(x / Math.sqrt(dot(start, start)))));
    for (let k = 0; k < steps; k++) {
      const w = new Float64Array(n);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) w[i] += a[i * n + j] * row(k)[j];
        w[i] = Math.fround(w[i]);
      }
      alpha[k] = dot(w, row(k));
      for (let i = 0; i < n; i++) {
        w[i] -= alpha[k] * row(k)[i] + (k > 0 ? beta[k - 1] * row(k - 1)[i] : 0);
        w[i] = Math.fround(w[i]);
      }
      for (let pass = 0; reorthogonalize && pass < 2; pass++) {
        for (let r = 0; r <= k; r++) {
          const c = dot(w, row(r));
          for (let i = 0; i < n; i++) w[i] -= c * row(r)[i];
        }
      }
      beta[k] = Math.sqrt(dot(w, w));
      row(k + 1).set(w.map((x) => Math.fround(x / beta[k])));
    }
    const t = new Float64Array(steps * steps);
    for (let k = 0; k < steps; k++) {
      t[k * steps + k] = alpha[k];
      if (k + 1 < steps) t[k * steps + k + 1] = t[(k + 1) * steps + k] = beta[k];
    }
    const { values, vectors } = eigen(t, steps);
    const pairs = (k: number) => {
      const v = new Float64Array(k * n);
      for (let r = 0; r < k; r++)
        for (let s = 0; s < steps; s++)
          for (let i = 0; i < n; i++) v[r * n + i] += vectors[r * steps + s] * row(s)[i];
      const estimate = Array.from({ length: k }, (_, r) => {
        return Math.abs(beta[steps - 1] * vectors[r * steps + steps - 1]);
      });
      return { theta: values.slice(0, k), v: v.map(Math.fround), estimate };
    };
    return { q, alpha, beta, pairs };
  }

  test("a run with full reorthogonalization passes all of them", () => {
    const { q, alpha, beta, pairs } = run(30, true);
    const { theta, v, estimate } = pairs(6);
    const residual = residuals(a, n, theta, v);
    expect(backwardError(a, n, theta, v, norm)).toBeLessThan(1);
    expect(orthogonality(v, n)).toBeLessThan(10);
    expect(orthogonality(q.slice(0, 30 * n), n)).toBeLessThan(10);
    expect(recurrence(a, n, q, alpha, beta, norm)).toBeLessThan(16);
    expect(recurrence(a, n, q.slice(0, 30 * n), alpha, beta, norm)).toBeLessThan(16);
    expect(eigenvalueError(n, theta, residual, lambda, norm)).toBeLessThan(1);
    expect(estimateError(n, estimate, residual, norm)).toBeLessThan(1);
    expect(ghosts(n, theta, lambda, norm)).toBe(0);
    expect(omissions(a, n, theta, "top", norm)).toBe(0);
  });

  test("without reorthogonalization orthogonality and ghosts fail, and the recurrence holds", () => {
    const { q, alpha, beta, pairs } = run(45, false);
    const { theta } = pairs(12);
    expect(orthogonality(q.slice(0, 45 * n), n)).toBeGreaterThan(1e4);
    expect(ghosts(n, theta, lambda, norm)).toBeGreaterThan(0);
    expect(recurrence(a, n, q, alpha, beta, norm)).toBeLessThan(16);
  });

  test("a run that has not converged has large residuals, and its estimate says so", () => {
    const { theta, v, estimate } = run(8, true).pairs(6);
    const residual = residuals(a, n, theta, v);
    expect(backwardError(a, n, theta, v, norm)).toBeGreaterThan(100);
    expect(estimateError(n, estimate, residual, norm)).toBeLessThan(1);
  });

  test("an eigenvalue left out at either end is counted, also next to the innermost", () => {
    const exact = eigen(a, n);
    const top = exact.values.slice(0, 6);
    expect(omissions(a, n, top, "top", norm)).toBe(0);
    expect(
      omissions(
        a,
        n,
        top.filter((_, i) => i !== 3),
        "top",
        norm,
      ),
    ).toBe(1);
    expect(
      omissions(
        a,
        n,
        top.filter((_, i) => i > 1),
        "top",
        norm,
      ),
    ).toBe(2);
    const spread = withSpectrum(
      "spread",
      Float64Array.from({ length: n }, (_, i) => i + 1),
      19,
    );
    const bottom = eigenvalues(spread.a, n).slice(n - 4);
    const spreadNorm = norm2(spread.a, n);
    expect(omissions(spread.a, n, bottom, "bottom", spreadNorm)).toBe(0);
    expect(
      omissions(
        spread.a,
        n,
        bottom.filter((_, i) => i !== 2),
        "bottom",
        spreadNorm,
      ),
    ).toBe(1);
  });

  test("a value returned twice is a ghost, unless the eigenvalue is double", () => {
    expect(ghosts(n, [lambda[0], lambda[0], lambda[1]], lambda, norm)).toBe(1);
    const identity = new Float64Array(n * n);
    for (let i = 0; i < n; i++) identity[i * n + i] = 1;
    expect(ghosts(n, [1, 1, 1], eigenvalues(identity, n), 1)).toBe(0);
  });

  test("a wrong value, a wrong estimate and a wrong vector fail", () => {
    const { values, vectors } = eigen(a, n);
    const wrong = [values[0] * (1 + 1e-5)];
    const v = vectors.slice(0, n);
    expect(backwardError(a, n, wrong, v, norm)).toBeGreaterThan(1);
    expect(eigenvalueError(n, wrong, [0], lambda, norm)).toBeGreaterThan(1);
    expect(estimateError(n, [1e-4], [0], norm)).toBeGreaterThan(1);
    expect(sinAngle(v, vectors.slice(0, 2 * n), n)).toBeLessThan(1e-14);
    expect(Math.abs(sinAngle(v, vectors.slice(n, 3 * n), n) - 1)).toBeLessThanOrEqual(n * 2 ** -50);
  });

  test("NaN gives NaN or fails, and for the zero matrix only exact values pass", () => {
    const { vectors } = eigen(a, n);
    const v = vectors.slice(0, n);
    expect(backwardError(a, n, [NaN], v, norm)).toBeNaN();
    expect(orthogonality([NaN, 0], 2)).toBeNaN();
    expect(estimateError(n, [NaN], [0], norm)).toBeNaN();
    expect(eigenvalueError(n, [NaN], [0], lambda, norm)).toBeNaN();
    expect(omissions(a, n, [NaN], "top", norm)).toBeNaN();
    const zero = new Float64Array(n * n);
    expect(backwardError(zero, n, [0], v, 0)).toBe(0);
    expect(backwardError(zero, n, [1e-30], v, 0)).toBe(Infinity);
  });
});
