import { expect, test } from "vitest";
import { ACTIVATIONS, activationError } from "../../src/stages/0-activation.ts";
import { activate } from "../../src/stages/1-forward.ts";
import { mask } from "../../src/stages/2-backward.ts";
import { phi, phiPrime } from "../reference/activations.ts";
import { assertWithin, OMEGA, UW } from "../reference/compare.ts";
import { gpuTest } from "../gpu.ts";
import { report } from "./guarded.ts";
import { points } from "./points.ts";

const free = async () => {};
const SLOPE = 0.01;
const Z = points();

for (const name of ACTIVATIONS) {
  const sizes = { ACTIVATION: ACTIVATIONS.indexOf(name), SLOPE };

  gpuTest(`activate: ${name} is within activationError of the exact one`, async (gpu) => {
    // z passes through the identity: every sum has one term that is not 0.
    const identity = Float32Array.from({ length: 256 }, (_, i) => (i % 17 === 0 ? 1 : 0));
    using left = gpu.upload("identity", 16, 16, identity);
    using right = gpu.upload("inputs", 16, Z.length / 16, Z);
    using bias = gpu.matrix("bias", 1, 16);
    using z = gpu.matrix("z", 16, Z.length / 16);
    using a = gpu.matrix("a", 16, Z.length / 16);
    await activate(gpu, { buffers: { left, right, bias, z, a }, sizes }, free);
    const computed = await gpu.read(z);
    assertWithin(
      computed,
      Z,
      Float64Array.from(Z, (value) => (Math.abs(value) < OMEGA ? Math.abs(value) : 0)),
      "z",
    );
    const exact = Float64Array.from(computed, (value) => phi(name, SLOPE, value));
    const bound = Float64Array.from(computed, (value) => activationError(name, SLOPE, value).value);
    const { worst } = assertWithin(await gpu.read(a), exact, bound, name);
    report(`φ ${name}`, gpu, worst);
  });

  gpuTest(`mask: the derivative of ${name} is within activationError of it`, async (gpu) => {
    using left = gpu.upload("weights", 1, 16, new Float32Array(16).fill(1));
    const columns = Z.length / 16;
    using right = gpu.upload("signals", 1, columns, new Float32Array(columns).fill(1));
    using z = gpu.upload("z", 16, columns, Z);
    using out = gpu.matrix("out", 16, columns);
    await mask(gpu, { buffers: { left, right, z, out }, sizes }, free);
    const exact = Float64Array.from(Z, (value) => phiPrime(name, SLOPE, value));
    const bound = Float64Array.from(Z, (value) => activationError(name, SLOPE, value).derivative);
    const { worst } = assertWithin(await gpu.read(out), exact, bound, name);
    report(`φ′ ${name}`, gpu, worst);
  });
}

test("activationError allows 9 roundings of φ and of the largest φ′, and underflow, not more", () => {
  const passed: string[] = [];
  for (const name of ACTIVATIONS)
    for (const z of Z) {
      if (Math.abs(z) < OMEGA || Math.abs(z) >= 1e5) continue;
      const { value, derivative } = activationError(name, SLOPE, z);
      const size = name === "sin" ? Math.min(1, Math.abs(z)) : Math.abs(phi(name, SLOPE, z));
      if (!(value <= 9 * UW * size + 2 ** -119)) passed.push(`${name} at ${z}: ${value}`);
      if (!(derivative <= 9 * UW * 1.13)) passed.push(`${name}′ at ${z}: ${derivative}`);
    }
  expect(passed).toEqual([]);
});
