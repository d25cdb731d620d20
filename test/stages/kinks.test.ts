import { expect } from "vitest";
import { forward, network, ntk, uploadWeights, type LayerWeights } from "../../src/index.ts";
import { exactForward } from "../../src/stages/1-exact.ts";
import { decideKinks, kinks } from "../../src/stages/1-kinks.ts";
import { exactKernel } from "../../src/stages/3-exact.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";

// z of the first unit is 1 + ε − 1 − ¾ ε > 0 with ε = 2⁻²⁴, but 1 + ε is 1 in f32, so that −¾ ε comes out.
const EPSILON = 2 ** -24;
const net = network({
  widths: [4, 2, 1],
  activation: "relu",
  parameterization: "standard",
  weightScale: 1,
  biasScale: null,
});
const weights: LayerWeights[] = [
  { weight: Float32Array.of(1, EPSILON, -1, -0.75 * EPSILON, 0.5, 1, 1, 1), bias: null },
  { weight: Float32Array.of(1, 1), bias: null },
];
const inputs = Float32Array.of(1, 1, 1, 1, 0, 0, 4, 0);

gpuTest(
  "decideKinks: a unit that rounding put on the wrong side is moved to the right one",
  async (gpu) => {
    using onDevice = uploadWeights(gpu, net, weights);
    using acts = await forward(gpu, net, onDevice, inputs);
    expect((await gpu.read(acts.z[0]))[0]).toBe(-0.75 * EPSILON);
    const found = await decideKinks(gpu, net, weights, inputs, acts);
    expect(found).toEqual({ near: 1, moved: 1, undecided: 0 });
    const z = await gpu.read(acts.z[0]);
    expect(z[0]).toBe((await exactForward(gpu, net, weights, inputs.subarray(0, 4))).z[0][0]);
    expect(z[0]).toBe(0.25 * EPSILON);
  },
);

gpuTest(
  "ntk: the kernel is that of the exact side of a kink, within the printed bounds",
  async (gpu) => {
    const { gram, spectrum } = await ntk(gpu, net, weights, inputs);
    const { gram: exact } = await exactKernel(gpu, net, weights, inputs, false);
    // Without the first sample's first unit H[0, 0] would lack |x|² = 4.
    assertWithin(gram, exact, 2 ** -20 * Math.max(...exact), "H");
    expect(Math.abs(exact[0])).toBeLessThan(30);
    const [a, b, d] = [exact[0], exact[1], exact[3]];
    const root = Math.hypot((a - d) / 2, b);
    const eigenvalues = [(a + d) / 2 + root, (a + d) / 2 - root];
    assertWithin(spectrum.eigenvalues, eigenvalues, spectrum.errorBounds, "eigenvalues");
  },
);

gpuTest("kinks: exactly the values within `near` of 0 are listed, once each", async (gpu) => {
  for (const [rows, columns] of [
    [1, 1],
    [3, 17],
    [65, 257],
    [200, 5],
  ]) {
    const near = 0.25;
    const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * i + 1));
    values[0] = 0;
    if (values.length > 2) [values[1], values[2]] = [near, -near];
    using z = gpu.upload("z", rows, columns, values);
    using found = gpu.matrix("found", 1, 8192);
    kinks(gpu, {
      dims: { rows, columns, slots: 1, capacity: 8192, slot: 0, near },
      buffers: { z, found },
      groups: [1, Math.ceil(z.bytes / 16 / 64)],
      flops: 1,
    });
    const [count, ...places] = new Uint32Array((await gpu.read(found)).buffer);
    const expected = [...values.keys()]
      .filter((i) => Math.abs(values[i]) <= near)
      .map((i) => 2 * i + Number(values[i] > 0));
    expect(count).toBe(expected.length);
    expect(places.slice(0, count).sort((a, b) => a - b)).toEqual(expected);
  }
});

gpuTest("kinks: what is beyond the list's capacity is counted, not written", async (gpu) => {
  using z = gpu.upload("z", 32, 64, new Float32Array(2048).fill(1e-9));
  using found = gpu.matrix("found", 1, 100);
  kinks(gpu, {
    dims: { rows: 32, columns: 64, slots: 1, capacity: 100, slot: 0, near: 1e-6 },
    buffers: { z, found },
    groups: [Math.ceil(z.bytes / 16 / 64)],
    flops: 1,
  });
  const [count, ...places] = new Uint32Array((await gpu.read(found)).buffer);
  expect(count).toBe(2048);
  expect(new Set(places).size).toBe(99);
});
