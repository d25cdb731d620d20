/** The default solver under the tests of an eigensolver, with limits below those that good ones are held to. */
import { describe, expect } from "vitest";
import { boundedSpectrum } from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, U } from "../reference/compare.ts";
import {
  eigenvalues,
  inertia,
  knownSpectra,
  withSpectrum,
  type KnownSpectrum,
} from "../reference/eigen.ts";
import {
  eigenvalueError,
  ghosts,
  orthogonality,
  residuals,
  sinAngle,
} from "../reference/lanczos.ts";
import { denseEigen } from "../../src/stages/4-dense.ts";

/** The seven kinds at n = 1 and 2, where `knownSpectra` has none: scalars, and pairs whose eigenvalues are plain. */
function smallest(): KnownSpectrum[] {
  const list: [string, number[], number[]][] = [
    ["Gram", [7], [7]],
    ["zero", [0], [0]],
    ["identity", [1], [1]],
    ["Gram", [5, 2, 2, 2], [6, 1]],
    ["1/i²", [0.625, 0.375, 0.375, 0.625], [1, 0.25]],
    ["clustered", [1, 2 ** -20, 2 ** -20, 1], [1 + 2 ** -20, 1 - 2 ** -20]],
    ["rank 1", [1, 1, 1, 1], [2, 0]],
    ["identity", [1, 0, 0, 1], [1, 1]],
    ["zero", [0, 0, 0, 0], [0, 0]],
    ["indefinite", [0, 1, 1, 0], [1, -1]],
  ];
  return list.map(([name, a, values]) => ({
    ...{ name, n: values.length, error: 0 },
    a: Float32Array.from(a),
    values: Float64Array.from(values),
  }));
}

const CASES = [...smallest(), ...[33, 256].flatMap((n) => knownSpectra(n, 40 + n))];
// The largest order takes ten seconds a matrix: one of them here, all seven kinds where NTK_LARGE is set.
const LARGE = process.env.NTK_LARGE
  ? knownSpectra(1024, 1064)
  : [
      withSpectrum(
        "clustered",
        Float64Array.from({ length: 1024 }, (_, i) => [1, 0.5, 1e-3][i % 3] + (1e-9 * i) / 1024),
        1066,
      ),
    ];

describe("boundedSpectrum", () => {
  for (const { name, n, a, values: known, error } of [...CASES, ...LARGE])
    gpuTest(
      `${name}, n = ${n}: backward error ≤ 4 u, orthogonality ≤ 1, no ghosts, none left out`,
      async (gpu) => {
        const gram = Float64Array.from(a);
        const found = await boundedSpectrum(gpu, { gram, order: n }, { all: true, vectors: n });
        using vectors = found.vectors!;
        const v = await gpu.read(vectors);
        const theta = found.eigenvalues;
        const norm = Math.max(Math.abs(theta[0]), Math.abs(theta[n - 1]));
        // 1, 3, 5: with a complete basis recurrence and estimate are the residual itself, as the vectors are stored in f32.
        const rho = residuals(a, n, theta, v);
        for (const each of rho) expect(each <= 4 * U * norm).toBe(true);
        // 2
        expect(orthogonality(v, n)).toBeLessThanOrEqual(n === 1 ? 2 : 1);
        // 4, 6: against another solver, or the spectrum that the matrix was made with, within what that is off by.
        const right = n > 256 ? known : eigenvalues(a, n);
        const own = 16 * n * 2 ** -53 * norm + (n > 256 ? error : 0);
        assertWithin(
          theta,
          right,
          found.errorBounds.map((bound) => bound + own),
          "eigenvalues",
        );
        if (n <= 256) {
          expect(eigenvalueError(n, theta, rho, right, norm)).toBeLessThanOrEqual(1);
          expect(ghosts(n, theta, right, norm)).toBe(0);
          expect(ghosts(n, right, theta, norm)).toBe(0);
          // 6, without another solver: as many eigenvalues above a gap as are returned above it.
          const gap = (i: number) => theta[i] - theta[i + 1];
          const places = Array.from({ length: n - 1 }, (_, i) => i);
          const wide = places.filter((i) => gap(i) > 1e-6 * norm);
          for (const i of [wide[0], wide[wide.length >> 1], wide.at(-1)])
            if (i !== undefined)
              expect(inertia(a, n, (theta[i] + theta[i + 1]) / 2).above).toBe(i + 1);
          // 7: the space above the widest gap, from f64 vectors; Davis and Kahan with what f32 storage adds.
          const widest = wide.reduce((best, i) => (gap(i) > gap(best) ? i : best), wide[0]);
          if (widest !== undefined) {
            const { vectors: exact } = await denseEigen(gpu, gram, n);
            const k = widest + 1;
            const angle = sinAngle(v.subarray(0, k * n), exact.subarray(0, k * n), n);
            expect(angle).toBeLessThanOrEqual(4 * k * U);
          }
        }
        // 8: no NaN anywhere, whatever the rank.
        for (const each of [theta, found.errorBounds, v])
          expect(each.every(Number.isFinite)).toBe(true);
        expect(found.boundKind).toBe("guaranteed");
      },
      120_000,
    );
});
