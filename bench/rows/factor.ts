import type { Gpu } from "../../src/index.ts";
import { deviceCholesky, type DeviceCholesky } from "../../src/theory.ts";
import { normals, withSpectrum } from "../../test/reference/eigen.ts";
import type { Prepared, Row } from "../run.ts";
import { bytesOf, onDevice } from "./operands.ts";
import { classOf, productRow } from "./products.ts";
import { compare, gamma, worse } from "./verify.ts";

/** J Jᵀ with only the triangle's operations counted, as a factorization's are. */
const triangle = (n: number, k: number): Row => ({
  ...productRow("jjt", "store", n, k),
  ...{ name: "product jjt triangle", flops: n * n * k },
});

/** What the device factors in f32, beside the rate of the symmetric product that it is made of. */
export const factorRows: readonly Row[] = [1024, 2048].map(factorRow);

/** Full, with eigenvalues 1 / i: positive definite, and as steep as a kernel's. */
const steep = (n: number): Float32Array =>
  withSpectrum(
    "1/i",
    Float64Array.from({ length: n }, (_, i) => 1 / (i + 1)),
    n,
  ).a;

function factorRow(n: number): Row {
  return {
    ...{ name: "factor", size: { n }, flops: n ** 3 / 3, bytes: 2 * bytesOf(n, n) },
    ...{ traffic: "read", against: triangle(n, 2048) },
    work: n === 1024 ? () => ({ kind: "cholesky", n, a: steep(n) }) : undefined,
    make: (gpu) => prepared(gpu, n),
  };
}

async function prepared(gpu: Gpu, n: number): Promise<Prepared> {
  const kernel = await classOf(gpu);
  const a = steep(n);
  const own = onDevice(gpu);
  const matrix = own.upload("matrix", n, n, a);
  const run = async (): Promise<DeviceCholesky> => {
    const factor = await deviceCholesky(gpu, matrix);
    if (!factor.definite) throw new Error(`factor: row ${factor.row} has no positive pivot.`);
    return factor;
  };
  return {
    ...kernel,
    destroy: own.destroy,
    run: async () => (await run()).destroy(),
    async check() {
      const factor = await run();
      const upper = await gpu.read(factor.upper);
      factor.destroy();
      let worst = 0;
      for (let seed = 1; seed <= 3; seed++) worst = worse(worst, checkFactor(a, upper, n, seed));
      return worst;
    },
  };
}

/**
 * L Lᵀ v against A v for random signs v: error ÷ (|L| |Lᵀ| times the roundings of a term).
 *
 * @param upper Lᵀ; Infinity where something stands before its diagonal
 */
export function checkFactor(a: Float32Array, upper: Float32Array, n: number, seed: number): number {
  if (upper.some((value, at) => at % n < Math.floor(at / n) && value !== 0)) return Infinity;
  const signs = Float64Array.from(normals(seed, n), Math.sign);
  const [inner, size, back, bound] = Array.from({ length: 4 }, () => new Float64Array(n));
  for (let k = 0; k < n; k++)
    for (let i = k; i < n; i++) {
      inner[k] += upper[k * n + i] * signs[i];
      size[k] += Math.abs(upper[k * n + i]);
    }
  for (let k = 0; k < n; k++)
    for (let i = k; i < n; i++) {
      back[i] += upper[k * n + i] * inner[k];
      bound[i] += Math.abs(upper[k * n + i]) * size[k];
    }
  const exact = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) exact[i] += a[i * n + j] * signs[j];
  const chain = 2 + Math.max(66 + Math.ceil(n / 64), 72);
  return compare(
    back,
    (i) => exact[i],
    (i) => gamma(chain) * bound[i],
    n,
  );
}
