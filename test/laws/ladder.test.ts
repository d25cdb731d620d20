/** The precisions one above the other: whatever the problem, the true eigenvalues lie in the intervals of each. */
import { describe, expect } from "vitest";
import * as core from "../../src/index.ts";
import { ACTIVATIONS, network, ntk, PRECISIONS, type NetworkSpec } from "../../src/index.ts";
import { draw } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { uniforms } from "../reference/eigen.ts";
import { halfCircle } from "./matrices.ts";

/** A network and data of a shape, an activation and a form that the number chooses; some with samples there twice. */
function randomNetwork(seed: number) {
  const uniform = uniforms(300 + seed);
  const upTo = (most: number) => 1 + Math.floor(most * uniform());
  const hidden = Array.from({ length: upTo(3) - 1 }, () => upTo(40));
  const spec: NetworkSpec = {
    widths: [upTo(6), ...hidden, upTo(2)],
    activation: ACTIVATIONS[seed % ACTIVATIONS.length],
    parameterization: seed % 3 === 0 ? "standard" : "ntk",
    weightScale: 0.7 + uniform(),
    biasScale: seed % 4 === 0 ? null : uniform(),
  };
  const n = upTo(seed % 10 === 0 ? 50 : 12);
  const { inputs, weights } = draw(core, spec, n, seed);
  if (seed % 5 === 0 && n > 1) inputs.copyWithin(0, spec.widths[0], 2 * spec.widths[0]);
  return {
    net: network(spec),
    inputs,
    weights,
    outputs: seed % 7 === 0 ? "trace" : "full",
  } as const;
}

const median = (list: number[]): number => list.sort((a, b) => a - b)[list.length >> 1];

describe("precisions", () => {
  gpuTest(
    "the true eigenvalues of 500 random networks lie in the intervals of all three",
    async (gpu) => {
      const ratios: Record<string, number[]> = { fast: [], compensated: [] };
      for (let seed = 0; seed < 500; seed++) {
        const { net, inputs, weights, outputs } = randomNetwork(seed);
        const found = new Map<string, core.Spectrum>();
        for (const precision of PRECISIONS)
          found.set(
            precision,
            (await ntk(gpu, net, weights, inputs, { precision, outputs })).spectrum,
          );
        const right = found.get("verified")!;
        expect(right.boundKind).toBe("guaranteed");
        for (const precision of ["fast", "compensated"] as const) {
          const { eigenvalues, errorBounds, boundKind } = found.get(precision)!;
          expect(boundKind).toBe("probabilistic");
          expect(eigenvalues.length).toBe(right.eigenvalues.length);
          eigenvalues.forEach((value, i) => {
            const error = Math.abs(value - right.eigenvalues[i]);
            const label = `${precision}, seed ${seed}, λ_${i}: ${error} beyond ${errorBounds[i]}`;
            expect(error <= errorBounds[i] + right.errorBounds[i], label).toBe(true);
            if (error > right.errorBounds[i]) ratios[precision].push(errorBounds[i] / error);
          });
        }
      }
      // Intervals that are always wide enough because they are useless would hold them as well.
      expect(median(ratios.fast)).toBeLessThanOrEqual(100);
      expect(median(ratios.compensated)).toBeLessThanOrEqual(100);
    },
    300_000,
  );

  gpuTest(
    "λ_min on a half circle, compensated: to 1e-4 at κ = 1e5, 1e-2 at 6e6 and 2e7, said to be unresolved at 4e10",
    async (gpu) => {
      for (const [n, most] of [
        [10, 1e-4],
        [13, 1e-2],
        [14, 1e-2],
        [20, null],
      ] as const) {
        const { spec, weights, inputs } = halfCircle(n);
        const one = async (precision: core.Precision) =>
          (await ntk(gpu, network(spec), weights, inputs, { precision })).spectrum;
        const [found, right] = [await one("compensated"), await one("verified")];
        const error = Math.abs(found.lambdaMin - right.lambdaMin);
        expect(error).toBeLessThanOrEqual(found.lambdaMinBound + right.lambdaMinBound);
        if (most === null) expect(found.condition).toBeNull();
        else expect(error).toBeLessThanOrEqual(most * right.lambdaMin);
      }
    },
  );
});
