/** What a Lanczos run must satisfy, on matrices whose spectra are known; the figures are those of reference/lanczos.ts. */
import { describe, expect } from "vitest";
import * as core from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import { U, assertWithin } from "../reference/compare.ts";
import { eigen, knownSpectra, type KnownSpectrum } from "../reference/eigen.ts";
import {
  backwardError,
  eigenvalueError,
  estimateError,
  ghosts,
  omissions,
  orthogonality,
  recurrence,
  residuals,
  sinAngle,
} from "../reference/lanczos.ts";
import { randomProblem } from "./matrices.ts";

/** What `lanczos` calls converged: a residual of at most this times ‖A‖. */
const TOLERANCE = 2 ** -22;

/** Known spectra of orders that `knownSpectra` is too small for. */
function smallSpectra(): KnownSpectrum[] {
  const root = Math.sqrt(2);
  const one = (name: string, value: number): KnownSpectrum => ({
    name,
    n: 1,
    a: Float32Array.of(value),
    values: Float64Array.of(value),
    error: 0,
  });
  const two = (name: string, a: number[], values: number[]): KnownSpectrum => ({
    name,
    n: 2,
    a: Float32Array.from(a),
    values: Float64Array.from(values),
    error: 1e-15,
  });
  return [
    one("seven", 7),
    one("minus one third", Math.fround(-1 / 3)),
    one("zero", 0),
    two("identity", [1, 0, 0, 1], [1, 1]),
    two("zero", [0, 0, 0, 0], [0, 0]),
    two("rank 1", [1, 1, 1, 1], [2, 0]),
    two("indefinite", [1, 1, 1, -1], [root, -root]),
    two("a lone corner", [0, 0, 0, 5], [5, 0]),
  ];
}

const SPECTRA = [...smallSpectra(), ...[33, 128, 256].flatMap((n) => knownSpectra(n, 40 + n))].map(
  (known) => {
    const { values, vectors } = eigen(known.a, known.n);
    const norm = Math.max(Math.abs(values[0]), Math.abs(values[known.n - 1]));
    return { ...known, label: `${known.name}, n = ${known.n}`, values, vectors, norm };
  },
);
type Spectrum = (typeof SPECTRA)[number];

/** The run's own numbers, read back. */
async function look(gpu: core.Gpu, run: core.Lanczos, places: readonly number[]) {
  const basis = await gpu.read(run.basis);
  const { beta, vector } = run.rest;
  const q = beta > 0 ? Float32Array.from([...basis, ...vector]) : basis;
  using ritz = await core.ritzVectors(gpu, run, places);
  const v = await gpu.read(ritz);
  const theta = places.map((place) => run.values[place]);
  const estimates = places.map((place) => run.residuals[place]);
  return { basis, q, v, theta, estimates };
}

/** Items 1 to 6 of reference/lanczos.ts for the values at `places`; `tolerance` as the run was asked to converge to. */
async function verify(
  gpu: core.Gpu,
  { a, n, values: lambda, norm, label }: Spectrum,
  run: core.Lanczos,
  places: readonly number[],
  tolerance: number,
) {
  const { basis, q, v, theta, estimates } = await look(gpu, run, places);
  const { diagonal, beside } = run.tridiagonal;
  const rho = residuals(a, n, theta, v);
  const limit = (what: string, figure: number, most: number) => {
    if (!(figure <= most)) expect.fail(`${label}: ${what} is ${figure}, but must be ≤ ${most}`);
  };
  limit("the backward error", backwardError(a, n, theta, v, norm, tolerance), 1);
  limit("‖I − QQᵀ‖_F / (m u)", orthogonality(basis, n), 10);
  limit("‖I − VVᵀ‖_F / (k u)", orthogonality(v, n), 10);
  limit("the recurrence", recurrence(a, n, q, diagonal, beside, norm), 16);
  limit("|θ − λ|", eigenvalueError(n, theta, rho, lambda, norm), 1);
  limit("the estimate's error", estimateError(n, estimates, rho, norm), 1);
  limit("the number of ghosts", ghosts(n, theta, lambda, norm), 0);
  return { v, theta, rho };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe("Lanczos", () => {
  gpuTest(
    "a complete run is a factorization: every eigenvalue once for each time it occurs, no ghost, none left out",
    async (gpu) => {
      for (const known of SPECTRA) {
        const { a, n, values: lambda, norm, label } = known;
        using matrix = gpu.upload("A", n, n, a);
        using run = await core.lanczos(gpu, matrix);
        expect(run.steps, label).toBe(n);
        expect(run.rest.beta, label).toBe(0);
        expect(run.converged, label).toBe(true);
        await verify(gpu, known, run, range(0, n), 0);
        // None left out: the eigenvalues would else outnumber the returned values somewhere.
        expect(ghosts(n, lambda, run.values, norm), `${label}: left out`).toBe(0);
        // As both lists are whole, the i-th belongs to the i-th: Weyl, for the residual and the floor of item 4.
        const bound = (16 * Math.sqrt(n) + 10 * n) * U * norm;
        assertWithin(run.values, lambda, bound, label);
      }
    },
  );

  gpuTest("thick ends converge, and are the ends: top 3 and bottom 2", async (gpu) => {
    for (const known of SPECTRA.filter(({ n }) => n >= 33)) {
      const { a, n, norm, label, vectors, values: lambda } = known;
      using matrix = gpu.upload("A", n, n, a);
      using run = await core.lanczos(gpu, matrix, { top: 3, bottom: 2 });
      expect(run.converged, label).toBe(true);
      const places = [0, 1, 2, run.steps - 2, run.steps - 1];
      const { v, theta, rho } = await verify(gpu, known, run, places, TOLERANCE);
      // A single start vector sees one direction of a multiple eigenvalue until the space is exhausted.
      const copies = ["identity", "zero", "clustered", "rank n/4", "duplicate rows"];
      if (copies.includes(known.name)) continue;
      expect(omissions(a, n, theta.slice(0, 3), "top", norm), `${label}: top`).toBe(0);
      expect(omissions(a, n, theta.slice(3), "bottom", norm), `${label}: bottom`).toBe(0);
      // Item 7, Davis and Kahan: the space of the three, with what stands between them and the fourth.
      const gap = theta[2] - lambda[3];
      const residual = Math.sqrt(rho.slice(0, 3).reduce((sum, each) => sum + each * each, 0));
      const slack = 10 * 3 * U;
      expect(
        sinAngle(v.subarray(0, 3 * n), vectors.subarray(0, 3 * n), n),
        `${label}: the angle between the spaces`,
      ).toBeLessThanOrEqual(residual / gap + slack);
    }
  });

  gpuTest("the ends of a spectrum with copies are the ends without them", async (gpu) => {
    for (const known of SPECTRA.filter(({ n }) => n >= 33)) {
      using matrix = gpu.upload("A", known.n, known.n, known.a);
      using run = await core.lanczos(gpu, matrix, { top: 1, bottom: 1 });
      expect(run.converged, known.label).toBe(true);
      const ends = [run.values[0], run.values[run.steps - 1]];
      const right = [known.values[0], known.values[known.n - 1]];
      const bound = (TOLERANCE + 4 * Math.sqrt(known.n) * U) * known.norm;
      assertWithin(ends, right, bound, known.label);
    }
  });

  gpuTest(
    "a run cut short says that it has not converged, and its estimates are the true residuals",
    async (gpu) => {
      const cut = SPECTRA.filter(
        ({ name, n }) => n === 256 && ["Gram of random data", "1/i²"].includes(name),
      );
      for (const known of cut) {
        const { a, n, norm, label } = known;
        using matrix = gpu.upload("A", n, n, a);
        for (const steps of [1, 2, 7, 60]) {
          using run = await core.lanczos(gpu, matrix, { steps, top: 1, bottom: 1 });
          expect(run.steps, label).toBeLessThanOrEqual(steps);
          const { basis, q, v, theta, estimates } = await look(gpu, run, range(0, run.steps));
          const rho = residuals(a, n, theta, v);
          expect(estimateError(n, estimates, rho, norm), `${label}, ${steps}`).toBeLessThanOrEqual(
            1,
          );
          expect(orthogonality(basis, n), `${label}, ${steps}`).toBeLessThanOrEqual(10);
          const { diagonal, beside } = run.tridiagonal;
          expect(recurrence(a, n, q, diagonal, beside, norm), `${label}, ${steps}`).toBeLessThan(
            16,
          );
          // The engine's ‖A‖ is that of T, at most a row sum of it.
          const worst = Math.max(rho[0], rho[run.steps - 1]);
          const rounding = 8 * Math.sqrt(n) * U * norm;
          if (run.converged) expect(worst).toBeLessThanOrEqual(2 * TOLERANCE * norm + rounding);
          if (worst > 2 * TOLERANCE * norm + rounding) expect(run.converged, label).toBe(false);
          if (known.name === "Gram of random data") expect(run.converged, label).toBe(false);
        }
      }
    },
  );

  gpuTest("another seed gives another basis and the same values within the bound", async (gpu) => {
    const known = SPECTRA.find(({ label }) => label === "1/i², n = 33")!;
    const { a, n, norm } = known;
    using matrix = gpu.upload("A", n, n, a);
    using one = await core.lanczos(gpu, matrix);
    using two = await core.lanczos(gpu, matrix, { seed: 9 });
    using same = await core.lanczos(gpu, matrix);
    expect(await gpu.read(two.basis)).not.toEqual(await gpu.read(one.basis));
    expect(await gpu.read(same.basis)).toEqual(await gpu.read(one.basis));
    assertWithin(two.values, one.values, 2 * (4 * Math.sqrt(n) + 10 * n) * U * norm, "values");
  });

  gpuTest(
    "a matrix times a power of two has its eigenvalues times that, to the bit",
    async (gpu) => {
      const { a, n } = SPECTRA.find(({ label }) => label === "Gram of random data, n = 33")!;
      using matrix = gpu.upload("A", n, n, a);
      using one = await core.lanczos(gpu, matrix, { size: 1 });
      for (const power of [-80, 60]) {
        const scaled = a.map((value) => value * 2 ** power);
        using other = gpu.upload("A", n, n, scaled);
        using run = await core.lanczos(gpu, other, { size: 2 ** power });
        const right = one.values.map((value) => value * 2 ** power);
        assertWithin(run.values, right, 0, `2^${power}`);
      }
    },
  );
});

describe("spectrum", () => {
  gpuTest(
    "every interval holds its eigenvalue, in 104 random problems of all kinds",
    async (gpu) => {
      let widest = 0;
      for (let seed = 0; seed < 104; seed++) {
        const { n, a, kind } = randomProblem(seed);
        const { values } = eigen(a, n);
        using matrix = gpu.upload("A", n, n, a);
        const found = await core.spectrum(gpu, matrix);
        const label = `seed ${seed}, ${kind}, n = ${n}`;
        expect(found.converged, label).toBe(true);
        // The reference's own error: a small multiple of n · 2⁻⁵³ ‖A‖.
        const norm = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
        const own = 16 * n * 2 ** -53 * norm;
        const bound = found.errorBounds.map((each) => each + own);
        assertWithin(found.eigenvalues, values, bound, label);
        const lambdaMin = [found.lambdaMax, found.lambdaMin];
        const ends = [found.errorBounds[0] + own, found.lambdaMinBound + own];
        assertWithin(lambdaMin, [values[0], values[n - 1]], ends, label);
        if (norm > 0) widest = Math.max(widest, Math.max(...found.errorBounds) / norm);
        const trace = values.reduce((sum, each) => sum + each, 0);
        assertWithin([found.trace], [trace], n * own, `${label}: trace`);
        const squares = values.reduce((sum, each) => sum + each * each, 0);
        const rank = squares > 0 ? trace ** 2 / squares : 0;
        assertWithin([found.effectiveRank], [rank], 64 * n * n * 2 ** -53 * n, `${label}: rank`);
        // The condition number is named just where the interval of λ_min keeps clear of 0.
        const clear = Math.abs(found.lambdaMin) > found.lambdaMinBound;
        expect(found.condition !== null, label).toBe(clear);
      }
      // An interval that is always wide enough because it is useless would pass as well.
      expect(widest).toBeLessThanOrEqual(5e-6);
    },
  );

  gpuTest(
    "top 3 and bottom 2 converge and lie in their intervals, matrices with copies too",
    async (gpu) => {
      for (const { a, n, values, label } of SPECTRA.filter((known) => known.n >= 33)) {
        using matrix = gpu.upload("A", n, n, a);
        const found = await core.spectrum(gpu, matrix, { top: 3, bottom: 2, vectors: 5 });
        expect(found.converged, label).toBe(true);
        expect(found.eigenvalues, label).toHaveLength(5);
        const norm = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
        // Each interval holds an eigenvalue; which one, copies leave open.
        const distance = (theta: number) =>
          values.reduce((least, each) => Math.min(least, Math.abs(each - theta)), Infinity);
        found.eigenvalues.forEach((theta, i) =>
          assertWithin(
            [distance(theta)],
            [0],
            found.errorBounds[i] + 16 * n * 2 ** -53 * norm,
            `${label}, value ${i}`,
          ),
        );
        const v = await gpu.read(found.vectors!);
        found.vectors!.destroy();
        expect(orthogonality(v, n), `${label}: vectors`).toBeLessThanOrEqual(10);
        const back = backwardError(a, n, found.eigenvalues, v, norm, TOLERANCE);
        expect(back, `${label}: vectors`).toBeLessThanOrEqual(1);
      }
    },
  );

  gpuTest("an error of the matrix widens every interval by itself", async (gpu) => {
    const { a, n } = randomProblem(0);
    using matrix = gpu.upload("A", n, n, a);
    const plain = await core.spectrum(gpu, matrix);
    const wide = await core.spectrum(gpu, matrix, { matrixError: 0.25 });
    const sums = plain.errorBounds.map((each) => each + 0.25);
    assertWithin(wide.errorBounds, sums, 2 ** -50, "half widths");
  });
});
