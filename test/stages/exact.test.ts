import { expect, test } from "vitest";
import {
  ACTIVATIONS,
  network,
  weights,
  type Activation,
  type NetworkSpec,
} from "../../src/index.ts";
import { phi, phiError64, phiPrime, steepness } from "../../src/stages/0-activation.ts";
import { norm64 } from "../../src/stages/0-double.ts";
import { exactForward, spectralBound } from "../../src/stages/1-exact.ts";
import { exactKernel, gramError } from "../../src/stages/3-exact.ts";
import * as reference from "../reference/activations.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { gramOfJacobian } from "../reference/gram.ts";
import { golden, GOLDEN } from "../reference/npy.ts";
import { add, wideActivation } from "../reference/wide.ts";

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

test.each(["tanh", "erf", "gelu", "sigmoid", "softplus", "silu", "sin"] as const)(
  "φ and φ′ of %s in f64 are within what phiError64 says, and as steep as steepness says",
  (name) => {
    const { first, second } = steepness(name, 0);
    let before: { value: number; derivative: number } | null = null;
    const step = 1 / 64;
    for (let z = -6; z <= 6; z += step) {
      const { value, derivative } = wideActivation(name, z);
      const error = phiError64(name, 0, z);
      const off = (found: number, right: readonly [number, number]) =>
        Math.abs(add(right, [-found, 0])[0]);
      const here = { value: phi(name, 0, z), derivative: phiPrime(name, 0, z) };
      assertWithin([off(here.value, value)], [0], error.value, `φ(${z})`);
      assertWithin([off(here.derivative, derivative)], [0], error.derivative, `φ′(${z})`);
      if (before) {
        const slack = 1 + 2 ** -40;
        expect(Math.abs(here.value - before.value)).toBeLessThanOrEqual(slack * first * step);
        expect(Math.abs(here.derivative - before.derivative)).toBeLessThanOrEqual(
          slack * second * step,
        );
      }
      before = here;
    }
  },
);

test("spectralBound: at least ‖W‖₂, and at most a quarter above it for random weights", () => {
  // The Frobenius norm of many equal entries is ‖W‖₂ itself, and its sum has the most roundings.
  const flat = new Float64Array(1024 * 1024).fill(Math.fround(0.7));
  const size = { units: 1024, fanIn: 1024 };
  expect(spectralBound(flat, size, 0)).toBeGreaterThanOrEqual(1024 * Math.fround(0.7));
  for (const [units, fanIn] of [
    [1, 1],
    [5, 3],
    [33, 70],
    [128, 128],
  ]) {
    const weight = Float64Array.from(normals(3 + units, units * fanIn));
    const exact = Math.sqrt(eigenvalues(gramOfJacobian(weight, fanIn), units)[0]);
    const bound = spectralBound(weight, { units, fanIn }, 0);
    expect(bound).toBeGreaterThanOrEqual(exact * (1 - 2 ** -40));
    expect(bound).toBeLessThanOrEqual(1.25 * exact);
    expect(bound).toBeLessThanOrEqual(norm64(weight) * (1 + 2 ** -29));
    for (const power of [2 ** -80, 2 ** -140, 2 ** 127]) {
      const scaled = weight.map((value) => value * power);
      const far = spectralBound(scaled, { units, fanIn }, 0) / power;
      assertWithin([far], [bound], 2 ** -40 * bound, `times ${power}`);
    }
  }
});

for (const name of GOLDEN)
  gpuTest(
    `exactKernel: golden case ${name}, outputs and kernel, within the bounds it gives`,
    async (gpu) => {
      const { net, weights: tensors, inputs, n, outputs, out, ntk, eig } = golden(name);
      const { negativeSlope: _, ...spec } = net;
      const checked = network(spec as NetworkSpec);
      const values = tensors.map(({ weight, bias }) => ({
        weight: Float32Array.from(weight),
        bias: bias && Float32Array.from(bias),
      }));
      const xs = Float32Array.from(inputs);
      const { z } = await exactForward(gpu, checked, values, xs);
      assertWithin(z.at(-1)!, out, 2 ** -43, "u");
      const { gram, order, jacobianError, matrixError, unsure } = await exactKernel(
        gpu,
        checked,
        values,
        xs,
        false,
      );
      expect([order, unsure]).toEqual([n * outputs, 0]);
      // What an error of J does to a matrix: ‖H̃ − H‖_F ≤ ‖δJ‖ (2 ‖J‖ + ‖δJ‖) + ‖E‖; the file itself is f64.
      const largest = eig.at(-1)!;
      const bound =
        jacobianError * (2 * Math.sqrt(largest) + jacobianError) + matrixError + 2 ** -50 * largest;
      const apart = gram.map((value, at) => value - ntk[at]);
      expect(Math.hypot(...apart)).toBeLessThanOrEqual(bound);
      expect(bound).toBeLessThanOrEqual(1e-9 * largest);
    },
  );

gpuTest(
  "exactKernel: the trace form is the mean of the full form over equal outputs",
  async (gpu) => {
    const net = network({
      widths: [3, 8, 2],
      activation: "gelu",
      parameterization: "standard",
      weightScale: 1.2,
      biasScale: 0.3,
    });
    const values = weights(net, 4);
    const inputs = Float32Array.of(1, 2, 3, -1, 0.5, 0, 0.25, -2, 1);
    const { gram: full } = await exactKernel(gpu, net, values, inputs, false);
    const { gram: trace } = await exactKernel(gpu, net, values, inputs, true);
    const mean = Float64Array.from(
      { length: 9 },
      (_, at) =>
        (full[Math.floor(at / 3) * 12 + (at % 3) * 2] +
          full[(Math.floor(at / 3) * 2 + 1) * 6 + (at % 3) * 2 + 1]) /
        2,
    );
    assertWithin(trace, mean, 2 ** -45 * Math.max(...full), "trace");
  },
);

gpuTest(
  "exactForward: a unit on the kink counts as unsure, an exact zero does not",
  async (gpu) => {
    const net = network({
      widths: [2, 2, 1],
      activation: "relu",
      parameterization: "standard",
      weightScale: 1,
      biasScale: null,
    });
    // 0.1 · 0.3 − 0.3 · 0.1 is 0 in f64, but nothing says that it had to be.
    const values = [
      { weight: Float32Array.of(0.1, -0.3, 1, 1), bias: null },
      { weight: Float32Array.of(1, 1), bias: null },
    ];
    const one = await exactForward(gpu, net, values, Float32Array.of(0.3, 0.1, 0, 0));
    expect(one.z[0][0]).toBe(0);
    expect(one.unsure).toBe(1);
    expect(one.slopeErrors[0][0]).toBeGreaterThanOrEqual(1);
    expect(one.slopeErrors[0][1]).toBe(0);
  },
);

const spec = (activation: Activation): NetworkSpec => ({
  widths: [2, 16, 1],
  activation,
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.1,
});

for (const n of [20, 100])
  gpuTest(
    `gramError: of ${n} samples, an exact kernel in f32 is off by its storage only, a wrong one by more`,
    async (gpu) => {
      const net = network(spec("tanh"));
      const values = weights(net, 0);
      const inputs = Float32Array.from({ length: 2 * n }, (_, i) => Math.sin(3 * i + 1));
      const gram = Float32Array.from((await exactKernel(gpu, net, values, inputs, false)).gram);
      let trace = 0;
      for (let i = 0; i < n; i++) trace += gram[i * n + i];
      const stored = await gramError(gpu, net, values, inputs, gram, false);
      expect(stored).toBeGreaterThan(0);
      expect(stored).toBeLessThanOrEqual(3 * 2 ** -24 * trace);
      const wrong = gram.map((value) => value * (1 + 1e-4));
      const norm = Math.sqrt(gram.reduce((sum, value) => sum + value * value, 0));
      expect(await gramError(gpu, net, values, inputs, wrong, false)).toBeGreaterThanOrEqual(
        0.99e-4 * norm,
      );
    },
  );
