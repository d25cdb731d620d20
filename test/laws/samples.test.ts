/** What may not change a bit of H: order and cutting of the samples, another run, larger limits. */
import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { openGpu } from "../../src/node.ts";
import {
  METHODS,
  compute,
  draw,
  engineGram,
  exactGram,
  type Problem,
} from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";

const SPEC: core.NetworkSpec = {
  widths: [11, 70, 35, 2],
  activation: ["gelu", "relu"],
  parameterization: "ntk",
  weightScale: 1.4,
  biasScale: 0.2,
};
const O = 2;

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer.slice(0));

function sameBits(actual: Float32Array, wanted: Float32Array, label: string): void {
  // As numbers first: that message says more.
  assertWithin(actual, wanted, 0, label);
  assertWithin(bitsOf(actual), bitsOf(wanted), 0, `${label}, as bits`);
}

/** H's rows and columns of the given samples, in the given order. */
function selected(
  values: Float32Array,
  n: number,
  rows: readonly number[],
  columns: readonly number[],
): Float32Array {
  const width = columns.length * O;
  return Float32Array.from({ length: rows.length * O * width }, (_, at) => {
    const [i, j] = [Math.floor(at / width), at % width];
    const row = rows[Math.floor(i / O)] * O + (i % O);
    return values[row * n * O + columns[Math.floor(j / O)] * O + (j % O)];
  });
}

const withSamples = (problem: Problem, samples: readonly number[]): Problem => {
  const d = problem.spec.widths[0];
  const inputs = new Float32Array(samples.length * d);
  samples.forEach((s, i) => inputs.set(problem.inputs.subarray(s * d, (s + 1) * d), i * d));
  return { ...problem, inputs };
};
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

for (const method of METHODS) {
  gpuTest(
    `${method}: samples that are there twice have equal rows of H, to the bit`,
    async (gpu) => {
      const samples = [...range(0, 20), 3, 3, 17, 0, ...range(20, 50), 49];
      const problem = withSamples(draw(core, SPEC, 50), samples);
      const { values } = await engineGram(core, gpu, problem, { method });
      const n = samples.length;
      const rows = (i: number) => selected(values, n, [i], range(0, n));
      samples.forEach((sample, i) => {
        const first = samples.indexOf(sample);
        if (first < i) sameBits(rows(i), rows(first), `rows ${i} and ${first}`);
      });
    },
  );

  gpuTest(`${method}: samples in another order give H in that order, to the bit`, async (gpu) => {
    for (const n of [5, 67]) {
      const problem = draw(core, SPEC, n);
      const order = range(0, n).map((i) => (i * 3 + 2) % n);
      expect(new Set(order).size).toBe(n);
      const one = await engineGram(core, gpu, problem, { method });
      const two = await engineGram(core, gpu, withSamples(problem, order), { method });
      sameBits(two.values, selected(one.values, n, order, order), `n = ${n}`);
    }
  });

  gpuTest(
    `${method}: H made of the blocks of two parts is H of the whole, to the bit`,
    async (gpu) => {
      const n = 90;
      const problem = draw(core, SPEC, n);
      const { values } = await engineGram(core, gpu, problem, { method });
      for (const cut of [1, 16, 37]) {
        const [left, right] = [range(0, cut), range(cut, n)];
        const [one, two] = [withSamples(problem, left), withSamples(problem, right)];
        const blocks = {
          upper: (await engineGram(core, gpu, one, { method })).values,
          cross: (await engineGram(core, gpu, one, { method }, two.inputs)).values,
          back: (await engineGram(core, gpu, two, { method }, one.inputs)).values,
          lower: (await engineGram(core, gpu, two, { method })).values,
        };
        sameBits(blocks.upper, selected(values, n, left, left), `first ${cut}`);
        sameBits(blocks.cross, selected(values, n, left, right), `first ${cut} against the rest`);
        sameBits(blocks.back, selected(values, n, right, left), `the rest against first ${cut}`);
        sameBits(blocks.lower, selected(values, n, right, right), `without the first ${cut}`);
      }
    },
  );

  gpuTest(`${method}: two runs give the same bits, also on an engine of its own`, async (gpu) => {
    const problem = draw(core, SPEC, 40);
    const first = await engineGram(core, gpu, problem, { method });
    sameBits((await engineGram(core, gpu, problem, { method })).values, first.values, "again");
    using other = await openGpu();
    sameBits((await engineGram(core, other, problem, { method })).values, first.values, "anew");
  });
}

gpuTest(
  "larger limits than WebGPU's defaults change no bit of H or of its spectrum",
  async (gpu) => {
    // A J of 3 panels, so that there is something to cut.
    const spec = { ...SPEC, widths: [60, 120, 20, 3] };
    const problem = draw(core, { ...spec, activation: "tanh" }, 64);
    using small = await openGpu({ limits: core.DEFAULT_LIMITS });
    expect(small.limits).toEqual(core.DEFAULT_LIMITS);
    for (const method of METHODS) {
      const large = await engineGram(core, gpu, problem, { method });
      const bound = await engineGram(core, small, problem, { method });
      if (method === "jacobian") expect(large.route.panels?.count).toBeGreaterThan(2);
      sameBits(bound.values, large.values, method);
    }
    const net = core.network(problem.spec);
    const eigenvalues = async (engine: core.Gpu) => {
      const inputs = problem.inputs.subarray(0, 40 * 60).slice();
      const { spectrum } = await core.ntk(engine, net, problem.weights, inputs);
      return spectrum.eigenvalues;
    };
    assertWithin(await eigenvalues(small), await eigenvalues(gpu), 0, "eigenvalues");
  },
);

gpuTest(
  "a plan on any device with the default limits or more is the plan at the default limits",
  () => {
    const shapes = [
      { widths: [784, 512, 512, 1], n: 512 },
      { widths: [784, 2048, 1792, 1], n: 64 },
      { widths: [3, 16, 10], n: 500 },
      { widths: [2, 4096, 1], n: 5000 },
    ];
    for (const { widths, n } of shapes)
      for (const method of METHODS) {
        const net = core.network({ ...SPEC, widths, activation: "relu" });
        const plan = (times: number) => {
          const { maxStorageBufferBindingSize: binding, maxBufferSize: buffer } =
            core.DEFAULT_LIMITS;
          const limits = {
            ...core.DEFAULT_LIMITS,
            maxStorageBufferBindingSize: times * binding,
            maxBufferSize: times * buffer,
          };
          return core.planGram({ limits }, net, n, 0, { method });
        };
        expect(plan(16), `${widths}`).toEqual(plan(1));
      }
  },
);

gpuTest("limits below the defaults cut J finer, and H stays within its bound", async (gpu) => {
  const method = "jacobian";
  const problem = draw(core, { ...SPEC, activation: "tanh" }, 33);
  const limits = { maxStorageBufferBindingSize: 2 ** 17, maxBufferSize: 2 ** 17 };
  using tiny = await openGpu({ limits });
  const small = await engineGram(core, tiny, problem, { method });
  const large = await engineGram(core, gpu, problem, { method });
  expect(small.route.panels!.count).toBeGreaterThan(large.route.panels!.count);
  const { stored } = await compute(core, gpu, problem);
  for (const { values, route } of [small, large]) {
    const { values: right, bound } = exactGram(stored, stored, route);
    assertWithin(values, right, bound, `${route.panels!.count} panels`);
  }
});
