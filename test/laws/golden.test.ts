/** The golden cases, made in f64 by PyTorch. */
import { describe, expect } from "vitest";
import { gpuTest } from "../gpu.ts";
import { GOLDEN } from "../reference/npy.ts";
import { howRight, markdown, type Row } from "./howRight.ts";

describe("golden cases", () => {
  let rows: Row[] = [];

  gpuTest(
    "every output, entry of J and of H by both routes, and eigenvalue lies in its bound",
    async (gpu) => {
      rows = await howRight(gpu);
      console.log(markdown(new Map([[gpu.description, rows]])));
      expect(rows).toHaveLength(2 * GOLDEN.length);
      for (const { worst, eigenvalue, outputs, jacobian } of rows)
        for (const share of [worst, eigenvalue, outputs, jacobian ?? 0])
          expect(share).toBeLessThanOrEqual(1);
    },
  );

  gpuTest("max |ΔH_ij| / √(H_ii H_jj) is at most 1e-6", () => {
    expect(rows).not.toHaveLength(0);
    for (const { name, method, quality } of rows)
      expect(quality, `${name}, ${method}`).toBeLessThanOrEqual(1e-6);
  });

  gpuTest("the printed half widths of eigenvalues are at most 5e-6 · λ_max", () => {
    expect(rows).not.toHaveLength(0);
    for (const { name, method, width } of rows)
      expect(width, `${name}, ${method}`).toBeLessThanOrEqual(5e-6);
  });
});
