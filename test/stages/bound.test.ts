import { expect } from "vitest";
import { lanczos, type Lanczos } from "../../src/index.ts";
import { ritzError } from "../../src/stages/5-bound.ts";
import { gpuTest } from "../gpu.ts";
import { eigenvalues, knownSpectra, normals } from "../reference/eigen.ts";

const shifts = (found: ArrayLike<number>, exact: ArrayLike<number>): number =>
  Math.max(...Array.from(found, (value, i) => Math.abs(value - exact[i])));

gpuTest("ritzError: bounds the error of every Ritz value of a complete run", async (gpu) => {
  for (const { n, a } of knownSpectra(65, 3)) {
    using matrix = gpu.upload("a", n, n, a);
    using krylov = await lanczos(gpu, matrix, { size: Math.max(...a.map(Math.abs)) || 1 });
    const bound = await ritzError(gpu, a, krylov);
    expect(shifts(krylov.values, eigenvalues(a, n))).toBeLessThanOrEqual(bound);
  }
});

gpuTest("ritzError: sees a T that was tampered with, whatever its place", async (gpu) => {
  const n = 40;
  const g = normals(1, n * n);
  const a = Float32Array.from(g, (_, at) => g[at] + g[(at % n) * n + Math.floor(at / n)]);
  using matrix = gpu.upload("a", n, n, a);
  using krylov = await lanczos(gpu, matrix);
  const before = await ritzError(gpu, a, krylov);
  for (const at of [0, 17, n - 1]) {
    const diagonal = krylov.tridiagonal.diagonal.slice();
    diagonal[at] += 0.5;
    const tampered = { ...krylov, tridiagonal: { ...krylov.tridiagonal, diagonal } } as Lanczos;
    const bound = await ritzError(gpu, a, tampered);
    expect(before).toBeLessThan(0.01);
    expect(bound).toBeGreaterThanOrEqual(0.5);
    // Eight probes, four rounds: no more than (√40 · 5 · largest normal)^(1/8) above the norm.
    expect(bound).toBeLessThanOrEqual(0.5 * 2.5);
  }
});

gpuTest("ritzError: sees a basis that lost its orthogonality", async (gpu) => {
  const n = 32;
  const a = new Float32Array(n * n);
  for (let i = 0; i < n; i++) a[i * n + i] = 1 + i;
  using matrix = gpu.upload("a", n, n, a);
  using krylov = await lanczos(gpu, matrix);
  const row = await gpu.read(krylov.basis, undefined, 3, 1);
  gpu.writeBits(krylov.basis, 4, row);
  expect(await ritzError(gpu, a, krylov)).toBe(Infinity);
});
