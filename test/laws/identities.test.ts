/** Exact identities: what differs is rounding, and within its bound. */
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
  onGrid,
  roundings,
  type Method,
  type Problem,
} from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { OMEGA, UW, assertWithin, gamma } from "../reference/compare.ts";
import { jacobian } from "../reference/jacobian.ts";

const SMOOTH: core.NetworkSpec = {
  widths: [6, 33, 17, 2],
  activation: ["tanh", "silu"],
  parameterization: "ntk",
  weightScale: 1.3,
  biasScale: 0.4,
};
const HOMOGENEOUS: core.NetworkSpec = {
  widths: [8, 40, 24, 3],
  activation: "relu",
  parameterization: "ntk",
  weightScale: Math.SQRT2,
  biasScale: null,
};

const sum = (values: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
};

for (const method of METHODS) {
  gpuTest(`trace H by the ${method} route is ‖J‖_F²`, async (gpu) => {
    const problem = draw(core, SMOOTH, 21);
    const { jac, stored } = await compute(core, gpu, problem);
    const { values, route } = await engineGram(core, gpu, problem, { method });
    const order = 21 * 2;
    const trace = sum(Array.from({ length: order }, (_, i) => values[i * order + i]));
    const squares = sum(Float64Array.from(jac, (value) => value * value));
    // All terms are positive. J itself has three roundings an entry beyond what the layerwise route squares.
    assertWithin([trace], [squares], gamma(roundings(stored.net, route) + 6, UW) * squares, "tr H");
  });

  gpuTest(`H by the ${method} route is symmetric to the bit, its diagonal ≥ 0`, async (gpu) => {
    for (const [n, outputs] of [
      [1, "full"],
      [17, "full"],
      [64, "trace"],
      [131, "full"],
    ] as const) {
      const { values } = await engineGram(core, gpu, draw(core, SMOOTH, n), { method, outputs });
      const order = Math.sqrt(values.length);
      const bits = new Uint32Array(values.buffer);
      for (let i = 0; i < order; i++) {
        expect(values[i * order + i]).toBeGreaterThan(0);
        for (let j = 0; j < i; j++)
          if (bits[i * order + j] !== bits[j * order + i]) expect.fail(`n = ${n}: [${i}, ${j}]`);
      }
    }
  });

  gpuTest(`hidden units in another order leave H by the ${method} route as it is`, async (gpu) => {
    const problem = draw(core, SMOOTH, 15);
    const shuffled = { ...problem, weights: reorderUnits(problem) };
    const [one, two] = [
      await engineGram(core, gpu, problem, { method }),
      await engineGram(core, gpu, shuffled, { method }),
    ];
    const { bound } = exactGram(problem.reference, problem.reference, one.route);
    assertWithin(
      two.values,
      one.values,
      bound.map((value) => 2 * value),
      "H",
    );
    expect(two.values).not.toEqual(one.values);
  });

  gpuTest(`inputs turned, W₁ with them, leave H by the ${method} route as it is`, async (gpu) => {
    // Half a Hadamard matrix turns two times two axes; on a grid it is exact in f32.
    const spec = { ...SMOOTH, widths: [8, 33, 17, 2] };
    const drawn = draw(core, spec, 15);
    const turn = (rows: Float32Array): Float32Array => {
      const turned = rows.slice();
      for (let at = 0; at < rows.length; at += 4) {
        const [a, b, c, d] = rows.subarray(at, at + 4);
        turned.set([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], at);
      }
      return turned.map((value) => value / 2);
    };
    const [first, ...rest] = drawn.weights;
    const plain = { weight: onGrid(first.weight), bias: first.bias };
    const straight: Problem = { ...drawn, weights: [plain, ...rest] };
    const turned: Problem = {
      spec,
      weights: [{ weight: turn(plain.weight), bias: plain.bias }, ...rest],
      inputs: turn(drawn.inputs),
    };
    const [one, two] = [
      await engineGram(core, gpu, straight, { method }),
      await engineGram(core, gpu, turned, { method }),
    ];
    const [reference, turnedReference] = [exact(straight), exact(turned)];
    const { bound } = exactGram(reference, reference, one.route);
    const { bound: turnedBound } = exactGram(turnedReference, turnedReference, one.route);
    assertWithin(
      two.values,
      one.values,
      bound.map((value, i) => value + turnedBound[i]),
      "H",
    );
  });

  gpuTest(`bias-free ReLU: H(ax, bx′) by the ${method} route is ab·H(x, x′)`, async (gpu) => {
    const problem = draw(core, HOMOGENEOUS, 12);
    const others = draw(core, HOMOGENEOUS, 9, 5).inputs;
    const scaled = (values: Float32Array, by: number) => values.map((value) => by * value);
    const one = await engineGram(core, gpu, problem, { method }, others);
    const other = exact({ ...problem, inputs: others });
    expect(other.pass.activations.ambiguous).toBe(0);
    const { bound } = exactGram(problem.reference, other, one.route);
    for (const [a, b, isPower] of [
      [4, 0.125, true],
      [3, 5, false],
    ] as const) {
      const by = { ...problem, inputs: scaled(problem.inputs, a) };
      const two = await engineGram(core, gpu, by, { method }, scaled(others, b));
      // Powers of two go through every operation without a rounding.
      assertWithin(
        two.values,
        one.values.map((value) => a * b * value),
        isPower ? 0 : bound.map((value) => 2 * a * b * value + UW * value),
        `a = ${a}, b = ${b}`,
      );
    }
  });
}

for (const parameterization of ["ntk", "standard"] as const)
  gpuTest(
    `Euler, ${parameterization}: ⟨θ_l, ∂f/∂θ_l⟩ = f for each layer of a bias-free ReLU net`,
    async (gpu) => {
      const spec = { ...HOMOGENEOUS, parameterization };
      const problem = draw(core, spec, 11);
      const { net, out, jac } = await compute(core, gpu, problem);
      const { activations, signals } = problem.reference.pass;
      const { bound } = jacobian(problem.reference.net, activations, signals);
      const dz = activations.dz[net.layers.length - 1];
      const total = new Float64Array(out.length);
      const totalBound = new Float64Array(out.length);
      for (const { index, firstParameter, parameters } of net.layers) {
        const { weight } = problem.weights[index];
        const products = new Float64Array(out.length);
        const bounds = new Float64Array(out.length);
        for (let row = 0; row < out.length; row++)
          for (let p = 0; p < parameters; p++) {
            const at = row * net.parameters + firstParameter + p;
            products[row] += weight[p] * jac[at];
            bounds[row] += Math.abs(weight[p]) * bound[at];
          }
        products.forEach((value, row) => (total[row] += value));
        bounds.forEach((value, row) => (totalBound[row] += value));
        const both = bounds.map((value, row) => value + dz[row]);
        assertWithin(products, out, both, `layer ${index + 1}`);
      }
      const layers = net.layers.length;
      assertWithin(
        total,
        out.map((value) => layers * value),
        totalBound.map((value, row) => value + layers * dz[row]),
        "all layers",
      );
    },
  );

for (const method of METHODS)
  for (const parameterization of ["ntk", "standard"] as const)
    gpuTest(
      `one linear layer, ${parameterization}, ${method}: H = (c²XXᵀ + β²) ⊗ I, other outputs exactly 0`,
      async (gpu) => {
        for (const outputs of [1, 3])
          for (const biasScale of [null, 0, 0.7])
            for (const fan of ["in", "out"] as const) {
              const [d, n] = [70, 13];
              const spec: core.NetworkSpec = {
                widths: [d, outputs],
                activation: [],
                parameterization,
                weightScale: 1.7,
                biasScale,
                fan,
              };
              const problem = draw(core, spec, n);
              const { values, route } = await engineGram(core, gpu, problem, { method });
              const standard = parameterization === "standard";
              const c2 = standard ? 1 : 1.7 ** 2 / (fan === "in" ? d : outputs);
              const beta2 = biasScale === null ? 0 : standard ? 1 : biasScale ** 2;
              const rounding = gamma(roundings(problem.reference.net, route), UW);
              const order = n * outputs;
              const right = new Float64Array(order * order);
              const bound = new Float64Array(order * order);
              for (let i = 0; i < order; i++)
                for (let j = 0; j < order; j++) {
                  if (i % outputs !== j % outputs) continue;
                  const row = (s: number) => Math.floor(s / outputs) * d;
                  let [dot, size] = [0, 0];
                  for (let k = 0; k < d; k++) {
                    const term = problem.inputs[row(i) + k] * problem.inputs[row(j) + k];
                    dot += term;
                    size += Math.abs(term);
                  }
                  right[i * order + j] = c2 * dot + beta2;
                  bound[i * order + j] = rounding * (c2 * size + beta2);
                }
              assertWithin(values, right, bound, `O ${outputs}, β ${biasScale}, fan ${fan}`);
            }
      },
    );

for (const method of METHODS)
  gpuTest(
    `a deep linear net, ${method}: H is the closed form in products of its weights`,
    async (gpu) => {
      const widths = [9, 30, 20, 11, 2];
      const spec: core.NetworkSpec = {
        widths,
        activation: "linear",
        parameterization: "ntk",
        weightScale: 1.1,
        biasScale: 0.3,
      };
      const problem = draw(core, spec, 10);
      const { values, route } = await engineGram(core, gpu, problem, { method });
      const { bound } = exactGram(problem.reference, problem.reference, route);
      assertWithin(values, deepLinear(problem, 10), bound, "H");
    },
  );

gpuTest("a scale of 0 makes H exactly 0, and biases of scale 0 add nothing", async (gpu) => {
  for (const method of METHODS) {
    const none = draw(core, { ...SMOOTH, weightScale: 0, biasScale: null }, 5);
    const { values } = await engineGram(core, gpu, none, { method });
    assertWithin(values, new Float32Array(values.length), 0, `${method}, weightScale 0`);
    expect(await withBiasOfScaleZero(gpu, method)).toEqual([]);
  }
});

/** Places where H differs between no biases and biases of scale 0 (values of −0 and 0 are equal). */
async function withBiasOfScaleZero(gpu: core.Gpu, method: Method): Promise<number[]> {
  const bare = draw(core, HOMOGENEOUS, 7);
  const spec = { ...HOMOGENEOUS, biasScale: 0 };
  const biased: Problem = {
    spec,
    weights: bare.weights.map(({ weight }, l) => ({
      weight,
      bias: core.normals(90 + l, spec.widths[l + 1]),
    })),
    inputs: bare.inputs,
  };
  const one = await engineGram(core, gpu, bare, { method });
  const two = await engineGram(core, gpu, biased, { method });
  // The jacobian route meets other parameters in its blocks: then rounding differs, and the layerwise route not.
  const { bound } = exactGram(bare.reference, bare.reference, one.route);
  const slack = method === "layerwise" ? 0 : 2;
  return [...one.values.keys()].filter(
    (i) => !(Math.abs(one.values[i] - two.values[i]) <= slack * bound[i]),
  );
}

/** The same network with the units of both hidden layers backwards. */
function reorderUnits({ spec: { widths }, weights }: Problem): Problem["weights"] {
  return weights.map(({ weight, bias }, l) => {
    const [fan, units] = [widths[l], widths[l + 1]];
    const row = (o: number) => (l < weights.length - 1 ? units - 1 - o : o);
    const column = (i: number) => (l > 0 ? fan - 1 - i : i);
    return {
      weight: weight.map((_, at) => weight[row(Math.floor(at / fan)) * fan + column(at % fan)]),
      bias: bias && bias.map((_, o) => bias[row(o)]),
    };
  });
}

/** Σ_l (c²A_lA_lᵀ + β²) ∘ (G_lG_lᵀ) with A_l by matrix products and G_l = c^… W_L ⋯ W_{l+1}, which no sample changes. */
function deepLinear({ spec, weights, inputs }: Problem, n: number): Float64Array {
  const { widths, weightScale, biasScale } = spec;
  const outputs = widths[widths.length - 1];
  const c = widths.slice(0, -1).map((fan) => weightScale / Math.sqrt(fan));
  const beta = biasScale ?? 0;
  const order = n * outputs;
  const a: number[][][] = [
    Array.from({ length: n }, (_, i) => [...inputs.subarray(i * widths[0], (i + 1) * widths[0])]),
  ];
  weights.forEach(({ weight, bias }, l) =>
    a.push(
      a[l].map((row) =>
        Array.from({ length: widths[l + 1] }, (_, o) =>
          row.reduce(
            (s, x, k) => s + c[l] * weight[o * widths[l] + k] * x,
            beta * (bias?.[o] ?? 0),
          ),
        ),
      ),
    ),
  );
  let g: number[][] = Array.from({ length: outputs }, (_, o) =>
    Array.from({ length: outputs }, (_, h) => Number(o === h)),
  );
  const h = new Float64Array(order * order);
  const dot = (x: number[], y: number[]) => x.reduce((s, value, k) => s + value * y[k], 0);
  for (let l = weights.length - 1; l >= 0; l--) {
    for (let i = 0; i < order; i++)
      for (let j = 0; j < order; j++) {
        const [s, t] = [Math.floor(i / outputs), Math.floor(j / outputs)];
        const factor = c[l] ** 2 * dot(a[l][s], a[l][t]) + beta ** 2;
        h[i * order + j] += factor * dot(g[i % outputs], g[j % outputs]);
      }
    const { weight } = weights[l];
    g = g.map((row) =>
      Array.from({ length: widths[l] }, (_, k) =>
        row.reduce((s, x, o) => s + c[l] * x * weight[o * widths[l] + k], 0),
      ),
    );
  }
  return h;
}

gpuTest("an entry of H below f32's normal range is lost, not wrong", async (gpu) => {
  const problem = draw(core, HOMOGENEOUS, 6);
  const tiny = { ...problem, inputs: problem.inputs.map((value) => value * 2 ** -70) };
  for (const method of METHODS) {
    const { values } = await engineGram(core, gpu, tiny, { method });
    // Every product of two entries is near 2⁻¹⁴⁰: flushed, or held as a subnormal.
    const most = values.reduce((worst, value) => Math.max(worst, Math.abs(value)), 0);
    expect(most).toBeLessThan(OMEGA * chain(1e4));
  }
});
