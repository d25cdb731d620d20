import { describe, expect, test } from "vitest";
import {
  forward,
  gram,
  lanczos,
  network,
  ntk,
  openGpu as openCore,
  planGram,
  spectrum,
  tangentKernel,
  uploadWeights,
  weights,
  type Gpu,
  type LayerWeights,
  type Matrix,
  type NetworkSpec,
} from "../../src/index.ts";
import { openGpu } from "../../src/node.ts";
import { exact, exactGram, onGrid } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { normals } from "../reference/eigen.ts";

const spec: NetworkSpec = {
  widths: [3, 9, 2],
  activation: "tanh",
  parameterization: "ntk",
  weightScale: 1.2,
  biasScale: 0.3,
};
const net = network(spec);
const drawn = weights(net, 1);
const samples = (n: number): Float32Array => onGrid(normals(n, 3 * n));
const X = samples(5);

/** What a promise or a call rejects with, as `[class, message]`. */
async function refusal(work: () => unknown): Promise<[string, string]> {
  try {
    await work();
  } catch (error) {
    return [(error as Error).name, (error as Error).message];
  }
  return ["nothing", "the call was accepted"];
}

/** The error is one of ours, begins with its caller and says `says`; the engine computes on. */
async function expectRefused(
  work: () => unknown,
  says: RegExp,
  kind = "InputError",
): Promise<void> {
  const [name, message] = await refusal(work);
  expect(message).toMatch(says);
  expect(name).toBe(kind);
  expect(message).toMatch(/^[^:]+: .*( but |Did you mean|There are|belongs to).*[.?]$/);
}

const shared = (values: Float32Array): Float32Array => {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
};
const detached = (values: Float32Array): Float32Array => {
  const copy = values.slice();
  structuredClone(copy.buffer, { transfer: [copy.buffer] });
  return copy;
};
const withAt = (values: Float32Array, at: number, value: number) =>
  values.map((old, k) => (k === at ? value : old));

describe("arrays", () => {
  // Where upload itself is asked, shared memory is refused: Dawn would die of it.
  const wrong: [string, (values: Float32Array) => unknown, RegExp][] = [
    ["detached", detached, /detached/],
    ["one value short", (values) => values.subarray(1), /14 values.*15/],
    ["one value long", (values) => new Float32Array(values.length + 1), /16 values.*15/],
    ["of f64", (values) => Float64Array.from(values), /a Float64Array.*Float32Array/],
    ["of 64-bit integers", (values) => new BigInt64Array(values.length), /a BigInt64Array/],
    ["a plain array", (values) => Array.from(values), /an array of 15.*Float32Array/],
    ["null", () => null, /null/],
  ];

  gpuTest("upload refuses every array that is not its own f32 of the right length", async (gpu) => {
    const upload = (values: unknown) => () => gpu.upload("m", 5, 3, values as Float32Array);
    for (const [, make, says] of wrong) await expectRefused(upload(make(X)), says);
    await expectRefused(upload(shared(X)), /^m: .*shared/);
    for (const [rows, columns] of [
      [0, 3],
      [5, 0],
      [-5, -3],
      [2.5, 6],
      [NaN, 3],
      [2 ** 60, 3],
    ])
      await expectRefused(() => gpu.matrix("m", rows, columns), /^m: (rows|columns) is/);
  });

  for (const [what, make, says] of wrong)
    gpuTest(`inputs and weights that are ${what} are refused by name`, async (gpu) => {
      const inputs = make(X) as Float32Array;
      // A length that is no whole number of samples is what is wrong with the first two.
      const length = what.startsWith("one value");
      const expected = length || what === "detached" ? /(inputs|others).*(values|detached)/ : says;
      await expectRefused(() => ntk(gpu, net, drawn, inputs), expected);
      // As second set, null is none.
      if (inputs !== null)
        await expectRefused(() => tangentKernel(gpu, net, drawn, X, inputs), expected);
      const layer = { ...drawn[1], weight: make(drawn[1].weight) } as LayerWeights;
      const wrongLayer = /layer 2 weight/;
      await expectRefused(() => uploadWeights(gpu, net, [drawn[0], layer]), wrongLayer);
      await expectRefused(() => ntk(gpu, net, [drawn[0], layer], X), wrongLayer);
    });

  gpuTest("arrays in shared memory are refused, or copied before the call returns", async (gpu) => {
    const inputs = shared(X);
    const result = ntk(gpu, net, drawn, inputs).then(
      ({ gram: h }) => h,
      (error: Error) => error.name,
    );
    inputs.fill(NaN);
    const outcome = await result;
    if (typeof outcome === "string") expect(outcome).toBe("InputError");
    else expect(outcome).toEqual((await ntk(gpu, net, drawn, X)).gram);
  });

  gpuTest(
    "NaN and infinity are named by operand, first index and number, wherever they are",
    async (gpu) => {
      const wide = new Float32Array(65 * 65).fill(1);
      for (const value of [NaN, Infinity, -Infinity])
        for (const at of [0, 15, 16, 63, 64, 65 * 64 - 1, 65 * 65 - 1])
          await expectRefused(
            () => gpu.upload("m", 65, 65, withAt(wide, at, value)),
            new RegExp(`holds 1 value that is NaN or infinite, the first at index ${at},`),
            "NonFiniteError",
          );
      const two = withAt(withAt(X, 14, NaN), 7, Infinity);
      const says = /(inputs|others).* 2 values that are .* index 7,/;
      await expectRefused(() => ntk(gpu, net, drawn, two), says, "NonFiniteError");
      await expectRefused(() => tangentKernel(gpu, net, drawn, X, two), says, "NonFiniteError");
      const bias = { ...drawn[0], bias: withAt(drawn[0].bias as Float32Array, 8, -Infinity) };
      const named = /layer 1 bias.* index 8,/;
      await expectRefused(() => ntk(gpu, net, [bias, drawn[1]], X), named, "NonFiniteError");
    },
  );

  gpuTest(
    "wrong numbers of layers and biases that do not fit biasScale are refused",
    async (gpu) => {
      const bare = drawn.map(({ weight }) => ({ weight, bias: null }));
      const none = network({ ...spec, biasScale: null });
      await expectRefused(() => uploadWeights(gpu, net, drawn.slice(1)), /1 layers.*2/);
      await expectRefused(() => uploadWeights(gpu, net, bare), /layer 1 lacks a bias/);
      await expectRefused(() => uploadWeights(gpu, none, drawn), /layer 1 has a bias/);
      const forgotten = drawn.map(({ weight }) => ({ weight }) as LayerWeights);
      await expectRefused(() => uploadWeights(gpu, net, forgotten), /layer 1 lacks a bias/);
      uploadWeights(gpu, none, forgotten).destroy();
    },
  );

  gpuTest("what the caller changes right after a call changes nothing", async (gpu) => {
    const own = () =>
      drawn.map(({ weight, bias }) => ({ weight: weight.slice(), bias: bias?.slice() ?? null }));
    const [others, all] = [samples(4), { inputs: X.slice(), others: samples(4), layers: own() }];
    const spoil = () =>
      [all.inputs, all.others, ...all.layers.flatMap(({ weight, bias }) => [weight, bias])].forEach(
        (array) => array?.fill(NaN),
      );
    using expected = await tangentKernel(gpu, net, drawn, X, others);
    const work = tangentKernel(gpu, net, all.layers, all.inputs, all.others);
    spoil();
    using cross = await work;
    expect(await gpu.read(cross)).toEqual(await gpu.read(expected));

    const fresh = await ntk(gpu, net, drawn, X);
    [all.inputs, all.layers] = [X.slice(), own()];
    const again = ntk(gpu, net, all.layers, all.inputs);
    spoil();
    expect(await again).toEqual(fresh);

    const symmetric = Float32Array.of(2, 1, 1, 3);
    const host = Float64Array.from(symmetric);
    using h = gpu.upload("h", 2, 2, symmetric);
    const plain = await spectrum(gpu, h, { values: host.slice() });
    const found = spectrum(gpu, h, { values: host });
    host.fill(7);
    expect(await found).toEqual(plain);
  });

  gpuTest("a view into a larger buffer is read from its own place", async (gpu) => {
    const large = new Float32Array(40).fill(NaN);
    large.set(X, 7);
    using m = gpu.upload("m", 5, 3, large.subarray(7, 22));
    expect(await gpu.read(m)).toEqual(X);
  });
});

describe("extreme values", () => {
  gpuTest(
    "−0, subnormals and the largest f32 come back from the device as they went",
    async (gpu) => {
      const values = Float32Array.of(-0, 1e-45, -1e-40, 3.4028234e38, -3.4028234e38, 0);
      using m = gpu.upload("m", 2, 3, values);
      const back = await gpu.read(m);
      expect(new Uint32Array(back.buffer)).toEqual(new Uint32Array(values.buffer));
    },
  );

  gpuTest(
    "−0 in the inputs counts as 0, and subnormal inputs lose no more than themselves",
    async (gpu) => {
      const h = async (value: number) => (await ntk(gpu, net, drawn, withAt(X, 4, value))).gram;
      const zero = await h(0);
      expect(await h(-0)).toEqual(zero);
      const tiny = await h(1e-40);
      assertWithin(tiny, zero, 2 ** -22 * Math.max(...zero), "H");
    },
  );

  gpuTest("inputs of 3.4e38 are refused by the layer that overflows", async (gpu) => {
    const huge = withAt(withAt(X, 3, 3.4e38), 4, -3.4e38);
    await expectRefused(() => ntk(gpu, net, drawn, huge), /layer 1/, "NonFiniteError");
  });

  gpuTest("all zeros give the kernel of the biases alone", async (gpu) => {
    const zero = new Float32Array(9);
    const reference = exact({ spec, weights: drawn, inputs: zero });
    const { gram: h } = await ntk(gpu, net, drawn, zero, { method: "layerwise" });
    const { values, bound } = exactGram(reference, reference, { method: "layerwise" });
    assertWithin(h, values, bound, "H");
  });
});

describe("sizes", () => {
  for (const n of [1, 63, 64, 65, 257])
    gpuTest(`H of ${n} samples is the reference's, and symmetric to the bit`, async (gpu) => {
      const one = network({ ...spec, widths: [3, 5, 1] });
      const problem = { spec: one.spec, weights: weights(one, 2), inputs: samples(n) };
      using matrix = await tangentKernel(gpu, one, problem.weights, problem.inputs, null, {
        method: "layerwise",
      });
      const h = await gpu.read(matrix);
      const reference = exact(problem);
      const { values, bound } = exactGram(reference, reference, { method: "layerwise" });
      assertWithin(h, values, bound, "H");
      let unequal = 0;
      for (let i = 0; i < n; i++)
        for (let j = 0; j < i; j++) unequal += +(h[i * n + j] !== h[j * n + i]);
      expect(unequal).toBe(0);
    });

  gpuTest("no samples and half a sample are refused", async (gpu) => {
    await expectRefused(() => ntk(gpu, net, drawn, new Float32Array(0)), /inputs hold 0 values/);
    await expectRefused(() => ntk(gpu, net, drawn, X.subarray(0, 4)), /inputs hold 4 values.* 3/);
  });

  test("limits that are too small are named with what is needed, before anything is allocated", async () => {
    const limits = { maxStorageBufferBindingSize: 2 ** 16, maxBufferSize: 2 ** 16 };
    using gpu = await openGpu({ limits });
    expect(gpu.limits).toMatchObject(limits);
    const n = 200;
    const kernel = () => tangentKernel(gpu, net, drawn, samples(n));
    const [name, message] = await refusal(kernel);
    expect(name).toBe("GpuError");
    expect(message).toMatch(/400 × 400 .*0\.6 MiB, but maxStorageBufferBindingSize is 0\.1 MiB\. /);
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
    expect(() => planGram(gpu, net, n, 0, { method: "jacobian" })).toThrow(
      /maxStorageBufferBindingSize/,
    );
    // What fits still does, and gives the same bits as without the limits.
    using free = await openGpu();
    const small = async (engine: Gpu) => {
      using h = await tangentKernel(engine, net, drawn, samples(9), null, { method: "jacobian" });
      return await engine.read(h);
    };
    expect(await small(gpu)).toEqual(await small(free));
  });
});

describe("options", () => {
  const kernel = (gpu: Gpu, options: object) => () =>
    tangentKernel(gpu, net, drawn, X, null, options);

  gpuTest("a number of panels must be a whole number from 1", async (gpu) => {
    for (const panels of [0, -1, 1.5, NaN, Infinity])
      await expectRefused(kernel(gpu, { method: "jacobian", panels }), /^gram: panels is/);
  });

  gpuTest("unknown names and unknown values are refused with what there is", async (gpu) => {
    await expectRefused(kernel(gpu, { method: "fast" }), /^gram: method is "fast".*layerwise/);
    await expectRefused(kernel(gpu, { outputs: "all" }), /^gram: outputs is "all".*trace/);
    await expectRefused(kernel(gpu, { panel: 2 }), /no option "panel"\. Did you mean "panels"\?/);
    const wrong = { metod: "jacobian" } as object;
    await expectRefused(() => ntk(gpu, net, drawn, X, wrong), /"metod"\. Did you mean "method"\?/);
    using h = gpu.upload("h", 1, 1, Float32Array.of(1));
    const few = { step: 1 } as object;
    await expectRefused(() => lanczos(gpu, h, few), /^lanczos: .*"step"\. Did you mean "steps"/);
    await expectRefused(() => spectrum(gpu, h, { botom: 1 } as object), /"botom".*"bottom"/);
  });

  test("openGpu refuses unknown options, and none or two of gpu, adapter and device", async () => {
    await expectRefused(
      () => openCore({ limit: {} } as object),
      /no option "limit"\. Did you mean "limits"/,
    );
    await expectRefused(() => openCore({}), /^openGpu: none of gpu/);
    const two = { gpu: {}, device: {} } as object;
    await expectRefused(() => openCore(two), /gpu and device .*given, but exactly one/);
    await expectRefused(
      () => openGpu({ limit: {} } as object),
      /no option "limit"\. Did you mean "limits"/,
    );
    const limits = { maxBuferSize: 1 } as object;
    await expectRefused(() => openGpu({ limits }), /"maxBuferSize".*"maxBufferSize"/);
  });

  gpuTest("lanczos takes 1 to n steps, 0 to n values, and a tolerance above 0", async (gpu) => {
    using h = gpu.upload("h", 3, 3, Float32Array.of(3, 1, 0, 1, 2, 1, 0, 1, 1));
    for (const steps of [0, -1, 4, 1.5, NaN])
      await expectRefused(
        () => lanczos(gpu, h, { steps }),
        new RegExp(`steps is ${steps}.*1 to 3`),
      );
    for (const top of [-1, 4, 0.5, NaN])
      await expectRefused(() => lanczos(gpu, h, { top }), new RegExp(`top is ${top}.*0 to 3`));
    for (const tolerance of [0, -1e-6, NaN])
      await expectRefused(() => lanczos(gpu, h, { tolerance }), /tolerance is .*above 0/);
    for (const size of [0, -1, NaN])
      await expectRefused(() => lanczos(gpu, h, { size }), /size is .*positive/);
    for (const count of [0, -1, 4, 1.5, NaN]) {
      await expectRefused(() => spectrum(gpu, h, { top: count }), /^spectrum: top is .*1 to 3/);
      await expectRefused(
        () => spectrum(gpu, h, { bottom: count }),
        /^spectrum: bottom is .*1 to 3/,
      );
    }
    using wide = gpu.matrix("wide", 2, 3);
    await expectRefused(() => lanczos(gpu, wide), /2 × 3.*square/);
    await expectRefused(() => spectrum(gpu, wide), /2 × 3.*square/);
    const values = new Float64Array(8);
    await expectRefused(() => spectrum(gpu, h, { values }), /8 .*9/);
  });
});

describe("matrices", () => {
  gpuTest("a matrix that was destroyed is refused by its name", async (gpu) => {
    const m = gpu.upload("my matrix", 2, 2, Float32Array.of(1, 0, 0, 1));
    const view = m.view(1);
    m.destroy();
    m.destroy();
    expect([m.alive, view.alive]).toEqual([false, false]);
    const says = /^my matrix: .*destroyed/;
    for (const work of [
      () => gpu.read(m),
      () => gpu.read(view),
      () => m.view(1),
      () => m.buffer,
      () => lanczos(gpu, m),
      () => spectrum(gpu, m),
    ])
      await expectRefused(work, says);
    const onDevice = uploadWeights(gpu, net, drawn);
    onDevice.destroy();
    await expectRefused(() => forward(gpu, net, onDevice, X), /^layer 1 weights: .*destroyed/);
    using live = uploadWeights(gpu, net, drawn);
    const acts = await forward(gpu, net, live, X);
    acts.destroy();
    await expectRefused(() => gram(gpu, net, live, acts), /destroyed/);
  });

  gpuTest("a matrix of another engine is refused by its name", async (gpu) => {
    using other = await openGpu();
    using m = other.upload("theirs", 2, 2, Float32Array.of(1, 0, 0, 1));
    const works: ((matrix: Matrix) => unknown)[] = [
      (matrix) => lanczos(gpu, matrix),
      (matrix) => gpu.read(matrix),
      (matrix) => spectrum(gpu, matrix),
    ];
    for (const work of works) await expectRefused(() => work(m), /theirs.*another engine/);
    using onOther = uploadWeights(other, net, drawn);
    await expectRefused(() => forward(gpu, net, onOther, X), /another engine/);
    expect(Array.from(await other.read(m))).toEqual([1, 0, 0, 1]);
  });

  gpuTest("rows that a matrix does not have are not read, viewed or written", async (gpu) => {
    using m = gpu.upload("m", 3, 2, Float32Array.of(1, 2, 3, 4, 5, 6));
    expect(Array.from(await gpu.read(m, {}, 1, 1))).toEqual([3, 4]);
    for (const [first, count] of [
      [0, 4],
      [3, 1],
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [NaN, 1],
    ])
      await expectRefused(() => gpu.read(m, {}, first, count), /^m: .* 3 /);
    for (const rows of [0, 4, NaN]) await expectRefused(() => m.view(rows), /^m: a view/);
    // 16 × 16 values are what it takes with its padding.
    expect(await gpu.read(m.reshape(1, 9))).toEqual(Float32Array.of(1, 2, 0, 0, 0, 0, 0, 0, 0));
    for (const [rows, columns] of [
      [1, 17],
      [17, 1],
      [1, 0],
      [1, NaN],
    ])
      await expectRefused(() => m.reshape(rows, columns), /^m: .* was asked for/);
    await expectRefused(() => gpu.writeBits(m, 3, Float32Array.of(1, 2)), /^m: /);
  });
});
