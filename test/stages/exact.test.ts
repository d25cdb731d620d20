import { expect, test } from "vitest";
import {
  ACTIVATIONS,
  network,
  weights,
  type Activation,
  type NetworkSpec,
} from "../../src/index.ts";
import { phi, phiPrime } from "../../src/stages/0-activation.ts";
import { exactForward } from "../../src/stages/1-exact.ts";
import { exactGram, gramError } from "../../src/stages/3-exact.ts";
import * as reference from "../reference/activations.ts";
import { assertWithin } from "../reference/compare.ts";
import { golden, GOLDEN } from "../reference/npy.ts";

test.each(ACTIVATIONS)("φ and φ′ of %s in f64 agree with the reference", (name) => {
  for (let z = -30; z <= 30; z += 0.03125) {
    const slope = 0.25;
    const value = reference.phi(name, slope, z);
    const terms = reference.phiPrimeTerms(name, slope, z);
    // erfc is 1 − erf below 2: relative to the 1 there.
    const floor = name === "gelu" ? 2 ** -50 * (1 + Math.abs(z)) : 0;
    assertWithin([phi(name, slope, z)], [value], 2 ** -46 * Math.abs(value) + floor, `φ(${z})`);
    const derivative = reference.phiPrime(name, slope, z);
    assertWithin([phiPrime(name, slope, z)], [derivative], 2 ** -46 * terms + floor, `φ′(${z})`);
  }
});

test.each(GOLDEN)("exactGram: golden case %s, outputs and kernel, in f64", (name) => {
  const { net, weights: tensors, inputs, n, outputs, out, ntk } = golden(name);
  const { negativeSlope: _, ...spec } = net;
  const checked = network(spec as NetworkSpec);
  const values = tensors.map(({ weight, bias }) => ({
    weight: Float32Array.from(weight),
    bias: bias && Float32Array.from(bias),
  }));
  const samples = Array.from({ length: n }, (__, i) => i);
  const xs = Float32Array.from(inputs);
  const u = samples.flatMap((i) => [
    ...exactForward(
      checked,
      values,
      xs.subarray(i * checked.inputs, (i + 1) * checked.inputs),
    ).z.at(-1)!,
  ]);
  assertWithin(u, out, 2 ** -43, "u");
  const gram = exactGram(checked, values, xs, samples, false);
  const order = n * outputs;
  const bound = ntk.map(
    (__, at) =>
      2 ** -43 *
      Math.sqrt(ntk[Math.floor(at / order) * (order + 1)] * ntk[(at % order) * (order + 1)]),
  );
  assertWithin(gram, ntk, bound, "H");
});

test("exactGram: the trace form is the mean of the full form over equal outputs", () => {
  const net = network({
    widths: [3, 8, 2],
    activation: "gelu",
    parameterization: "standard",
    weightScale: 1.2,
    biasScale: 0.3,
  });
  const values = weights(net, 4);
  const inputs = Float32Array.of(1, 2, 3, -1, 0.5, 0, 0.25, -2, 1);
  const full = exactGram(net, values, inputs, [0, 1, 2], false);
  const trace = exactGram(net, values, inputs, [0, 1, 2], true);
  const mean = Float64Array.from(
    { length: 9 },
    (_, at) =>
      (full[Math.floor(at / 3) * 12 + (at % 3) * 2] +
        full[(Math.floor(at / 3) * 2 + 1) * 6 + (at % 3) * 2 + 1]) /
      2,
  );
  assertWithin(trace, mean, 2 ** -45 * Math.max(...full), "trace");
});

const spec = (activation: Activation): NetworkSpec => ({
  widths: [2, 16, 1],
  activation,
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.1,
});

test.each([20, 100])(
  "gramError: of %i samples, an exact kernel in f32 is off by its storage only, a wrong one by more",
  (n) => {
    const net = network(spec("tanh"));
    const values = weights(net, 0);
    const inputs = Float32Array.from({ length: 2 * n }, (_, i) => Math.sin(3 * i + 1));
    const samples = Array.from({ length: n }, (_, i) => i);
    const gram = Float32Array.from(exactGram(net, values, inputs, samples, false));
    let trace = 0;
    for (let i = 0; i < n; i++) trace += gram[i * n + i];
    const stored = gramError(net, values, inputs, gram, false);
    expect(stored).toBeGreaterThan(0);
    expect(stored).toBeLessThanOrEqual(3 * 2 ** -24 * trace);
    const wrong = gram.map((value) => value * (1 + 1e-4));
    const norm = Math.sqrt(gram.reduce((sum, value) => sum + value * value, 0));
    expect(gramError(net, values, inputs, wrong, false)).toBeGreaterThanOrEqual(0.99e-4 * norm);
  },
);
