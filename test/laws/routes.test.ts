/** Every way to H gives the same H, for each kind of network. */
import { expect } from "vitest";
import * as core from "../../src/index.ts";
import {
  METHODS,
  chain,
  compute,
  draw,
  engineGram,
  exact,
  exactGram,
  type Method,
} from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { ENGINE } from "./engine.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { jacobian } from "../reference/jacobian.ts";

/**
 * Each value of each key stands beside each value of each other key at least once: parameterization, fan,
 * biasScale, outputs.
 */
const KINDS = [
  ["ntk", "in", 0.5, 1],
  ["ntk", "out", null, 3],
  ["standard", "in", null, 3],
  ["standard", "out", 0.5, 1],
  ["ntk", "in", 0, 3],
  ["standard", "out", 0, 1],
] as const;

for (const activation of core.ACTIVATIONS)
  gpuTest(
    `${activation}: outputs, J and H by both routes lie in their bounds, for every kind of network`,
    async (gpu) => {
      for (const [parameterization, fan, biasScale, outputs] of KINDS) {
        const spec: core.NetworkSpec = {
          widths: [7, 19, 34, outputs],
          activation,
          parameterization,
          weightScale: 1.5,
          biasScale,
          fan,
          ...(activation === "leaky_relu" ? { negativeSlope: 0.15 } : {}),
        };
        const label = `${parameterization}, fan ${fan}, β ${biasScale}, O ${outputs}`;
        const problem = draw(core, spec, 11, 0, ENGINE);
        const { activations, signals } = problem.reference.pass;
        const { out, jac } = await compute(core, gpu, problem);
        assertWithin(out, activations.z[2], activations.dz[2], `${label}: outputs`);
        const rows = jacobian(problem.reference.net, activations, signals);
        assertWithin(jac, rows.jac, rows.bound, `${label}: J`);
        for (const method of METHODS) {
          const { values, route } = await engineGram(core, gpu, problem, { method });
          const { values: right, bound } = exactGram(problem.reference, problem.reference, route);
          assertWithin(values, right, bound, `${label}: H by ${method}`);
        }
      }
    },
  );

/** Networks whose H is the sum of many blocks, layers, panels; with the engine's own A and G taken as exact. */
const SPECS: Record<string, core.NetworkSpec> = {
  "one output, ReLU": {
    widths: [20, 130, 70, 1],
    activation: "relu",
    parameterization: "ntk",
    weightScale: Math.SQRT2,
    biasScale: 0.1,
  },
  "three outputs, erf, standard": {
    widths: [5, 65, 63, 3],
    activation: "erf",
    parameterization: "standard",
    weightScale: 1.2,
    biasScale: 0.2,
    fan: "out",
  },
};

for (const [name, spec] of Object.entries(SPECS)) {
  gpuTest(
    `${name}: of the stored A and G, both routes are H within their own roundings, so they agree within the sum`,
    async (gpu) => {
      const problem = draw(core, spec, 35);
      const { stored } = await compute(core, gpu, problem);
      const found: Float32Array[] = [];
      const bounds: Float64Array[] = [];
      for (const method of METHODS)
        for (const outputs of ["full", "trace"] as const) {
          const { values, route } = await engineGram(core, gpu, problem, { method, outputs });
          const { values: right, bound } = exactGram(stored, stored, route);
          assertWithin(values, right, bound, `${method}, ${outputs}`);
          if (outputs === "trace") continue;
          found.push(values);
          bounds.push(bound);
        }
      const both = bounds[0].map((value, i) => value + bounds[1][i]);
      assertWithin(found[0], found[1], both, "jacobian and layerwise");
    },
  );

  gpuTest(`${name}: 1, 2 and 11 panels are H within the bound of each`, async (gpu) => {
    const problem = draw(core, spec, 18);
    const { stored } = await compute(core, gpu, problem);
    const sums = new Map<number, Float32Array>();
    for (const panels of [1, 2, 11])
      for (const outputs of ["full", "trace"] as const) {
        const options = { method: "jacobian", panels, outputs } as const;
        const { values, route } = await engineGram(core, gpu, problem, options);
        expect(route.panels?.count).toBe(panels);
        const { values: right, bound } = exactGram(stored, stored, route);
        assertWithin(values, right, bound, `${panels} panels, ${outputs}`);
        if (outputs === "full") sums.set(panels, values);
      }
    expect(sums.get(11), "another order of summation rounds otherwise").not.toEqual(sums.get(1));
  });

  gpuTest(
    `${name}: the trace form is the mean over equal outputs of the full form`,
    async (gpu) => {
      const problem = draw(core, spec, 14);
      const { stored } = await compute(core, gpu, problem);
      const O = stored.outputs;
      for (const method of METHODS)
        for (const others of [null, draw(core, spec, 9, 7).inputs]) {
          const full = await engineGram(core, gpu, problem, { method }, others);
          const options = { method, outputs: "trace" } as const;
          const trace = await engineGram(core, gpu, problem, options, others);
          const n2 = others ? 9 : 14;
          const mean = new Float64Array(14 * n2);
          for (let i = 0; i < 14; i++)
            for (let j = 0; j < n2; j++)
              for (let a = 0; a < O; a++)
                mean[i * n2 + j] += full.values[(i * O + a) * n2 * O + j * O + a] / O;
          const two = others
            ? (await compute(core, gpu, { ...problem, inputs: others })).stored
            : stored;
          const { bound } = exactGram(stored, two, trace.route);
          // The full form's error is no larger, as it has fewer roundings.
          assertWithin(
            trace.values,
            mean,
            bound.map((value) => 2 * value),
            `${method}, ${others ? "two sets" : "one set"}`,
          );
        }
    },
  );

  gpuTest(
    `${name}: the kernel between two sets is a block of their union's, bit by bit`,
    async (gpu) => {
      const whole = draw(core, spec, 45);
      const d = spec.widths[0];
      const O = spec.widths[spec.widths.length - 1];
      const cut = 28;
      const first = { ...whole, inputs: whole.inputs.slice(0, cut * d) };
      const rest = whole.inputs.slice(cut * d);
      for (const method of METHODS)
        for (const outputs of ["full", "trace"] as const) {
          const each = outputs === "full" ? O : 1;
          const union = await engineGram(core, gpu, whole, { method, outputs });
          const cross = await engineGram(core, gpu, first, { method, outputs }, rest);
          const columns = (45 - cut) * each;
          const block = cross.values.map(
            (_, at) =>
              union.values[Math.floor(at / columns) * 45 * each + cut * each + (at % columns)],
          );
          assertWithin(cross.values, block, 0, `${method}, ${outputs}`);
        }
    },
  );
}

gpuTest("auto takes one of the two routes, and gives its very bits", async (gpu) => {
  for (const spec of Object.values(SPECS)) {
    const problem = draw(core, spec, 12);
    const net = core.network(spec);
    const { method } = core.planGram(gpu, net, 12, 0);
    using h = await core.tangentKernel(gpu, net, problem.weights, problem.inputs);
    const { values } = await engineGram(core, gpu, problem, { method: method as Method });
    assertWithin(await gpu.read(h), values, 0, `auto = ${method}`);
  }
});

gpuTest("forward keeps its bound through 40 layers, and H of both routes with it", async (gpu) => {
  const spec: core.NetworkSpec = {
    widths: [3, ...Array<number>(39).fill(8), 1],
    activation: "sin",
    parameterization: "ntk",
    weightScale: 0.9,
    biasScale: 0.1,
  };
  const problem = draw(core, spec, 6);
  const { out, stored } = await compute(core, gpu, problem);
  const { z, dz } = problem.reference.pass.activations;
  assertWithin(out, z[39], dz[39], "outputs");
  for (const method of METHODS) {
    const { values, route } = await engineGram(core, gpu, problem, { method });
    const { values: right, bound } = exactGram(stored, stored, route);
    assertWithin(values, right, bound, `H by ${method}`);
  }
});

gpuTest("a sum of 20 000 positive terms keeps the bound of blocks of 64", async (gpu) => {
  // Ones times ones would be exact; thirds are not.
  const d = 20_000;
  const spec: core.NetworkSpec = {
    widths: [d, 1],
    activation: [],
    parameterization: "standard",
    weightScale: 1,
    biasScale: null,
  };
  const inputs = core.normals(3, 4 * d).map((value) => Math.abs(value) / 3);
  const weights = [{ weight: core.normals(4, d).map(Math.abs), bias: null }];
  const problem = { spec, weights, inputs };
  const reference = exact(problem);
  const { out } = await compute(core, gpu, problem);
  const { z } = reference.pass.activations;
  assertWithin(
    out,
    z[0],
    z[0].map((value) => gamma(chain(d), UW) * value),
    "outputs",
  );
  // A quality figure beside the bound: for two levels, 2 (√64 + √(K/64)) + 4 units of 2⁻²⁴.
  const units = (2 * (8 + Math.sqrt(d / 64)) + 4) * 2 ** -24;
  assertWithin(
    out,
    z[0],
    z[0].map((value) => units * value),
    "quality of outputs",
  );
  for (const method of METHODS) {
    const { values, route } = await engineGram(core, gpu, problem, { method });
    const { values: right, bound } = exactGram(reference, reference, route);
    assertWithin(values, right, bound, `H by ${method}`);
    assertWithin(
      values,
      right,
      right.map((value) => units * value),
      `quality of H by ${method}`,
    );
  }
});

gpuTest(
  "units that f32 cannot tell from their kink are on the exact side in H by both routes",
  async (gpu) => {
    for (const activation of ["relu", "leaky_relu"] as const) {
      const [d, hidden, n] = [40, 90, 30];
      const spec: core.NetworkSpec = {
        widths: [d, hidden, 1],
        activation,
        parameterization: "ntk",
        weightScale: Math.SQRT2,
        biasScale: 0.5,
        ...(activation === "leaky_relu" ? { negativeSlope: 0.2 } : {}),
      };
      const inputs = core.normals(21, n * d);
      const drawn = core.weights(core.network(spec), 4);
      // Two of three units stand on their kink at one sample: the bias takes away the rest, up to its own rounding.
      const bias = drawn[0].bias!.slice();
      const bare = exact({ spec, weights: drawn, inputs }).pass.activations.z[0];
      for (let h = 0; h < hidden; h++) if (h % 3 > 0) bias[h] -= bare[(h % n) * hidden + h] / 0.5;
      const problem = { spec, weights: [{ weight: drawn[0].weight, bias }, drawn[1]], inputs };
      const plain = exact(problem, ENGINE);
      const { z, ambiguous } = plain.pass.activations;
      expect(ambiguous).toBeGreaterThanOrEqual(60);
      const mask = [z[0].map((value) => Number(value > 0))];
      const reference = exact(problem, { ...ENGINE, mask });
      for (const method of METHODS) {
        const { values, route } = await engineGram(core, gpu, problem, { method });
        const { values: right, bound } = exactGram(reference, reference, route);
        assertWithin(values, right, bound, `${activation}, ${method}`);
      }
      const net = core.network(spec);
      const { kinks } = await core.ntk(gpu, net, problem.weights, inputs);
      // Else this network would have shown nothing.
      expect(kinks.moved, activation).toBeGreaterThan(0);
      expect(kinks.undecided, activation).toBe(0);
    }
  },
);
