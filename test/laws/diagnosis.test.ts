/** Singular kernels are explained: what is named is there, and what is there is named. */
import { describe, expect, test } from "vitest";
import { inWords } from "../../src/cli/findings.ts";
import { network, ntk, weights, type Finding, type NetworkSpec } from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import { normals } from "../reference/eigen.ts";
import { halfCircle } from "./matrices.ts";

const spec = (more: Partial<NetworkSpec>): NetworkSpec => ({
  ...{ widths: [3, 40, 1], activation: "relu", parameterization: "ntk" },
  ...{ weightScale: 1, biasScale: null, ...more },
});
const of = <K extends Finding["kind"]>(findings: readonly Finding[], kind: K) =>
  findings.find((each): each is Finding & { kind: K } => each.kind === kind);

describe("diagnosis", () => {
  gpuTest("a regular kernel has none", async (gpu) => {
    const net = network(spec({ biasScale: 0.3 }));
    const { diagnosis, spectrum } = await ntk(gpu, net, weights(net, 0), normals(1, 18));
    expect(spectrum.condition).not.toBeNull();
    expect(diagnosis).toEqual([]);
  });

  gpuTest("equal, parallel and opposite samples are told apart and named", async (gpu) => {
    const inputs = normals(2, 8 * 3);
    inputs.copyWithin(15, 3, 6);
    for (let k = 0; k < 3; k++) {
      inputs[12 + k] = 3 * inputs[k];
      inputs[18 + k] = -0.7 * inputs[6 + k];
    }
    const net = network(spec({}));
    for (const precision of ["fast", "compensated", "verified"] as const) {
      const { diagnosis } = await ntk(gpu, net, weights(net, 1), inputs, { precision });
      expect(of(diagnosis, "duplicates")).toMatchObject({ count: 1, pairs: [[1, 5]] });
      expect(of(diagnosis, "parallel")).toMatchObject({ count: 1, pairs: [[0, 4]] });
      expect(of(diagnosis, "antipodal")).toMatchObject({ count: 1, pairs: [[2, 6]] });
      expect(of(diagnosis, "closest")).toBeUndefined();
      expect(of(diagnosis, "rank")).toEqual({ kind: "rank", least: 6, of: 8 });
      // Another precision would find the same zeros.
      expect(of(diagnosis, "unresolved")).toMatchObject({ precision, next: null });
    }
  });

  gpuTest("fewer parameters than rows, and units that are off for every sample", async (gpu) => {
    const net = network(spec({ widths: [1, 2, 1] }));
    const positive = Float32Array.from({ length: 7 }, (_, i) => 1 + i);
    const values = [
      { weight: Float32Array.of(1, -1), bias: null },
      { weight: Float32Array.of(1, 1), bias: null },
    ];
    const { diagnosis } = await ntk(gpu, net, values, positive);
    expect(of(diagnosis, "few parameters")).toMatchObject({ parameters: 4, order: 7 });
    expect(of(diagnosis, "dead units")).toMatchObject({ layer: 1, count: 1, of: 2 });
    expect(of(diagnosis, "dead samples")).toBeUndefined();
    const off = positive.map((value) => -value);
    const two = await ntk(
      gpu,
      net,
      [{ weight: Float32Array.of(1, 1), bias: null }, values[1]],
      off,
    );
    expect(of(two.diagnosis, "dead units")).toMatchObject({ count: 2, of: 2 });
    expect(of(two.diagnosis, "dead samples")).toMatchObject({ samples: [0, 1, 2, 3, 4, 5, 6] });
  });

  gpuTest("a λ_min that f32 cannot tell from 0 is left to the next precision", async (gpu) => {
    const { spec: each, weights: values, inputs } = halfCircle(20);
    const at = async (precision: "fast" | "compensated" | "verified") =>
      (await ntk(gpu, network(each), values, inputs, { precision })).diagnosis;
    expect(of(await at("fast"), "unresolved")).toMatchObject({ next: "compensated" });
    const found = await at("compensated");
    expect(of(found, "unresolved")).toMatchObject({ next: "verified" });
    const { pairs, angle } = of(found, "closest")!;
    expect(Math.abs(pairs[0][0] - pairs[0][1])).toBe(1);
    expect(Math.abs(angle - Math.PI / 20)).toBeLessThanOrEqual(4 * 2 ** -24);
    expect(await at("verified")).toEqual([]);
  });

  test("every finding has words that name its numbers", () => {
    const findings: [Finding, RegExp][] = [
      [{ kind: "duplicates", count: 12, pairs: [[3, 7]] }, /3 and 7, and 11 pairs more/],
      [{ kind: "parallel", count: 1, pairs: [[0, 4]] }, /0 and 4/],
      [{ kind: "antipodal", count: 1, pairs: [[2, 6]] }, /2 and 6/],
      [{ kind: "closest", pairs: [[1, 2]], angle: 0.125 }, /1 and 2, 1\.25e-1 rad/],
      [{ kind: "dead units", layer: 2, count: 3, of: 9 }, /layer 2: 3 of 9/],
      [{ kind: "dead samples", layer: 1, samples: [4, 5] }, /samples 4, 5/],
      [{ kind: "few parameters", parameters: 4, order: 7 }, /4 parameters for 7 rows/],
      [{ kind: "rank", least: 6, of: 8 }, /6 of 8/],
      [
        { kind: "unresolved", precision: "fast", bound: 1e-7, next: "compensated" },
        /1\.0e-7 of 0, which fast.*compensated might/,
      ],
    ];
    for (const [finding, words] of findings) expect(inWords(finding)).toMatch(words);
  });
});
