/** Cholesky's factorization in f32 on the device: what it is a factor of, where it fails, what it solves. */
import { describe, expect } from "vitest";
import { InputError, NonFiniteError, type Gpu } from "../../src/node.ts";
import { deviceCholesky, type DeviceCholesky } from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, OMEGA, UW } from "../reference/compare.ts";
import { normals, withSpectrum } from "../reference/eigen.ts";
import { gramOfJacobian } from "../reference/gram.ts";
import { report } from "../shaders/guarded.ts";

const U64 = 2 ** -53;

/** A Gram matrix of random rows, symmetric to the bit, in f32. */
const random = (n: number, inner: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(gramOfJacobian(normals(seed, n * inner), inner));

/** Full, with eigenvalues from 1 down to 1 / condition, evenly in the logarithm. */
const steep = (n: number, condition: number) =>
  withSpectrum(
    "steep",
    Float64Array.from({ length: n }, (_, i) => condition ** -(n === 1 ? 0 : i / (n - 1))),
    n,
  );

/** Roundings on the way of a term: those of the product, of a block, of the shift. */
const chain = (n: number): number =>
  2 +
  Math.max(
    1 + Math.min(n, 64) + Math.min(Math.ceil(n / 64), 16) + Math.ceil(n / 1024),
    Math.min(n, 64) + 8,
  );

async function definite(gpu: Gpu, n: number, values: Float32Array, shift = 0) {
  const matrix = gpu.upload("a", n, n, values);
  const factor = await deviceCholesky(gpu, matrix, shift);
  expect(factor.definite, `n = ${n}`).toBe(true);
  return { matrix, factor: factor as DeviceCholesky };
}

/** ‖b − (A + shift) x‖, ‖A + shift‖_F ‖x‖ and ‖b‖ of each right-hand side. */
function residuals(
  gram: ArrayLike<number>,
  shift: number,
  right: Float64Array,
  values: Float64Array,
) {
  const n = Math.sqrt(gram.length);
  let size = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) size += (gram[i * n + j] + (i === j ? shift : 0)) ** 2;
  return Array.from({ length: right.length / n }, (_, c) => {
    let [left, length, given] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      let sum = shift * values[c * n + i] - right[c * n + i];
      for (let j = 0; j < n; j++) sum += gram[i * n + j] * values[c * n + j];
      left += sum * sum;
      length += values[c * n + i] ** 2;
      given += right[c * n + i] ** 2;
    }
    return { left: Math.sqrt(left), right: Math.sqrt(size * length) + Math.sqrt(given) };
  });
}

describe("deviceCholesky", () => {
  gpuTest(
    "A + shift is L Lᵀ entry by entry, within the roundings of its sums, around every edge",
    async (gpu) => {
      let worst = 0;
      for (const n of [1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 200, 256, 331])
        for (const shift of [0, 0.75, -0.001 * n]) {
          const a = random(n, 2 * n + 3, n);
          const { matrix, factor } = await definite(gpu, n, a, shift);
          const upper = await gpu.read(factor.upper);
          const sum = new Float64Array(n * n);
          const size = new Float64Array(n * n);
          for (let k = 0; k < n; k++)
            for (let i = 0; i < n; i++) {
              const left = upper[k * n + i];
              if (i < k) expect(left).toBe(0);
              else
                for (let j = k; j < n; j++) {
                  sum[i * n + j] += left * upper[k * n + j];
                  size[i * n + j] += Math.abs(left * upper[k * n + j]);
                }
            }
          const exact = Float64Array.from(
            a,
            (value, at) => value + (at % (n + 1) === 0 ? Math.fround(shift) : 0),
          );
          const bound = size.map((each) => gamma(chain(n), UW) * each + n * OMEGA);
          const label = `n = ${n}, shift ${shift}`;
          worst = Math.max(worst, assertWithin(sum, exact, bound, label).worst);
          let logDet = 0;
          for (let k = 0; k < n; k++) logDet += 2 * Math.log(upper[k * (n + 1)]);
          // The pivots are what roots are taken of.
          assertWithin([factor.logDet], [logDet], n * gamma(7, UW), `${label}: log det`);
          factor.destroy();
          matrix.destroy();
        }
      report("deviceCholesky", gpu, worst);
    },
  );

  gpuTest("a matrix that is not positive definite fails at its first bad pivot", async (gpu) => {
    for (const [n, row] of [
      [1, 0],
      [2, 1],
      [64, 63],
      [65, 64],
      [200, 0],
      [200, 17],
      [200, 131],
      [200, 199],
    ]) {
      const a = random(n, 2 * n + 3, n);
      a[row * (n + 1)] = -1;
      using matrix = gpu.upload("a", n, n, a);
      const found = await deviceCholesky(gpu, matrix);
      expect(found, `n = ${n}`).toMatchObject({ definite: false, row });
      if (!found.definite) expect(found.pivot).toBeLessThanOrEqual(-1);
      // A shift that makes it definite again.
      const shifted = await deviceCholesky(gpu, matrix, 10 * n + 10);
      expect(shifted.definite).toBe(true);
      if (shifted.definite) shifted.destroy();
    }
    using none = gpu.matrix("zero", 5, 5);
    expect(await deviceCholesky(gpu, none)).toEqual({ definite: false, row: 0, pivot: 0 });
    for (const [n, rank] of [
      [70, 20],
      [150, 100],
    ]) {
      using matrix = gpu.upload("singular", n, n, random(n, rank, n));
      const found = await deviceCholesky(gpu, matrix);
      expect(found.definite).toBe(false);
      // Beyond its rank nothing is left but roundings, of either sign.
      if (found.definite) continue;
      expect(found.row).toBeGreaterThanOrEqual(rank);
      expect(found.row).toBeLessThan(rank + 12);
    }
  });

  gpuTest("what is no matrix to be factored is refused, in words", async (gpu) => {
    using wide = gpu.matrix("wide", 3, 4);
    await expect(deviceCholesky(gpu, wide)).rejects.toThrow(InputError);
    using one = gpu.upload("one", 1, 1, Float32Array.of(4));
    await expect(deviceCholesky(gpu, one, NaN)).rejects.toThrow(/shift is NaN/);
    for (const wrong of [NaN, Infinity])
      for (const [i, j] of [
        [0, 0],
        [40, 90],
        [99, 99],
      ]) {
        using matrix = gpu.upload("a", 100, 100, random(100, 203, 1));
        for (const [row, column] of [
          [i, j],
          [j, i],
        ])
          gpu.writeBits(matrix, row, Float32Array.of(wrong), column);
        await expect(deviceCholesky(gpu, matrix)).rejects.toThrow(NonFiniteError);
      }
    const factor = (await deviceCholesky(gpu, one)) as DeviceCholesky;
    await expect(factor.solve(new Float64Array(0))).rejects.toThrow(/right holds 0/);
    await expect(
      factor.solve(Float64Array.of(1), { gram: new Float64Array(4), order: 2 }),
    ).rejects.toThrow(/exact holds 4/);
    expect((await factor.solve(Float64Array.of(2))).values).toEqual(Float64Array.of(0.5));
    factor.destroy();
  });
});

describe("what deviceCholesky solves", () => {
  gpuTest("has residuals of f64 after a few rounds, for condition numbers to 1e6", async (gpu) => {
    for (const n of [1, 2, 16, 17, 63, 65, 130, 200, 256])
      for (const condition of [10, 1e3, 1e5, 1e6])
        for (const [columns, shift] of [
          [1, 0],
          [3, 0],
          [17, 1e-4],
        ]) {
          const { a } = steep(n, condition);
          const { matrix, factor } = await definite(gpu, n, Float32Array.from(a), shift);
          const right = Float64Array.from(normals(n + 7, columns * n));
          const { values, backwardErrors, converged, rounds } = await factor.solve(right);
          const label = `n = ${n}, condition ${condition}, ${columns} columns`;
          expect(converged, label).toBe(true);
          expect(rounds, label).toBeLessThanOrEqual(8);
          residuals(a, shift, right, values).forEach(({ left, right: size }, c) => {
            expect(left, label).toBeLessThanOrEqual(4 * U64 * size);
            expect(Math.abs(backwardErrors[c] - left / size)).toBeLessThanOrEqual(4 * U64);
          });
          factor.destroy();
          matrix.destroy();
        }
  });

  gpuTest(
    "is refined for the matrix in f64 where the host has it, right-hand sides of any size",
    async (gpu) => {
      const n = 90;
      const gram = gramOfJacobian(normals(3, n * 200), 200);
      const { matrix, factor } = await definite(gpu, n, Float32Array.from(gram));
      const right = Float64Array.from(
        normals(5, 4 * n),
        (value, at) => value * [1e-200, 0, 1e200, 1][Math.floor(at / n)],
      );
      const { values, backwardErrors, converged } = await factor.solve(right, { gram, order: n });
      expect(converged).toBe(true);
      expect(values.subarray(n, 2 * n).every((value) => value === 0)).toBe(true);
      for (const error of backwardErrors) expect(error).toBeLessThanOrEqual(4 * U64);
      // Without it the solutions are those of what was rounded to f32.
      const rounded = await factor.solve(right);
      expect(rounded.values.some((value, at) => value !== values[at])).toBe(true);
      factor.destroy();
      matrix.destroy();
    },
  );

  gpuTest("says so where refinement does not converge", async (gpu) => {
    // In f32 the least eigenvalue is 2⁻²⁴, in truth 2⁻⁴⁰.
    const near = 1 - 2 ** -24;
    const { matrix, factor } = await definite(gpu, 2, Float32Array.of(1, near, near, 1));
    const truth = 1 - 2 ** -40;
    const exact = { gram: Float64Array.of(1, truth, truth, 1), order: 2 };
    const { converged, backwardErrors } = await factor.solve(Float64Array.of(1, -1), exact);
    expect(converged).toBe(false);
    expect(backwardErrors[0]).toBeGreaterThan(5 * U64);
    factor.destroy();
    matrix.destroy();
  });
});
