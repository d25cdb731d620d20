/** How kernels move with the learning rate, and how they depend on width. */
import { expect } from "vitest";
import { network, weights, type NetworkSpec } from "../../src/index.ts";
import {
  DivergenceError,
  depthLaw,
  expectedRegime,
  slopeOf,
  train,
  widthLaw,
} from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { sample } from "../shaders/guarded.ts";

const sphere = (n: number, d: number, seed: number): Float32Array => {
  const values = sample("normal", n * d, seed);
  return values.map((value, at) => {
    const row = values.subarray(d * Math.floor(at / d), d * Math.floor(at / d) + d);
    return (Math.sqrt(d) * value) / Math.hypot(...row);
  });
};
const spec = (widths: number[], more: Partial<NetworkSpec> = {}): NetworkSpec => ({
  ...{
    widths,
    activation: "erf",
    parameterization: "ntk",
    weightScale: 1.4142135,
    biasScale: null,
  },
  ...more,
});

gpuTest("a line through logarithms finds an exact power law, and how seeds differ", () => {
  const widths = [16, 32, 64, 128];
  const law = (power: number) => widths.map((m) => [3 * m ** power, 7 * m ** power]);
  for (const power of [-1, -0.5, 0, 2]) {
    const { slope, halfWidth } = slopeOf(widths, { name: "x", values: law(power) });
    expect(Math.abs(slope - power)).toBeLessThan(1e-12);
    expect(halfWidth).toBeLessThan(1e-10);
  }
  // Slopes −1 and −0.5: a mean of −0.75 and t(1) · 0.3536 / √2 around it.
  const values = widths.map((m) => [m ** -1, m ** -0.5]);
  const { slope, halfWidth } = slopeOf(widths, { name: "x", values });
  expect(Math.abs(slope + 0.75)).toBeLessThan(1e-12);
  expect(Math.abs(halfWidth - 12.71 * 0.25)).toBeLessThan(1e-3);
});

gpuTest(
  "wider networks start nearer to the limit and move less, about as theory says",
  async (gpu) => {
    const inputs = sphere(8, 6, 1);
    const targets = Float32Array.from({ length: 8 }, (_, i) => Math.sign(inputs[6 * i]));
    const shares: number[] = [];
    const law = await widthLaw(gpu, spec([6, 1, 1, 1]), inputs, targets, {
      ...{ from: 32, to: 256, seeds: 4, steps: 100 },
      onProgress: ({ share }) => shares.push(share),
    });
    expect(law.widths).toEqual([32, 64, 128, 256]);
    expect(law.series.map(({ values }) => values.map((each) => each.length))).toEqual(
      law.series.map(() => [4, 4, 4, 4]),
    );
    const [trace, start, drift, first, middle, last] = law.slopes;
    expect(Math.abs(trace.slope)).toBeLessThan(0.1);
    // Each interval reaches the power that a central limit theorem and a Taylor series give.
    for (const [{ slope, halfWidth }, power] of [
      [start, -0.5],
      [drift, -0.9],
      [first, -0.5],
      [middle, -1],
      [last, -0.5],
    ] as const) {
      expect(Math.abs(slope - power)).toBeLessThanOrEqual(halfWidth + 0.15);
      expect(halfWidth).toBeLessThan(0.5);
    }
    expect(shares.at(-1)).toBeGreaterThan(0.9);
    await expect(widthLaw(gpu, spec([6, 1]), inputs, targets)).rejects.toThrow(/no hidden layer/);
    await expect(widthLaw(gpu, spec([6, 8, 1], { fan: "out" }), inputs, targets)).rejects.toThrow(
      /fan/,
    );
    await expect(
      widthLaw(gpu, spec([6, 8, 1]), inputs, targets, { from: 64, to: 100 }),
    ).rejects.toThrow(/to is 100, but must be a whole number from 128/);
  },
);

gpuTest("lazy, catapult, divergent: as the rate passes 2 / λ_max and 4 / λ_max", async (gpu) => {
  const net = network(spec([4, 512, 1], { activation: "linear", weightScale: 1 }));
  const inputs = sphere(1, 4, 3);
  const targets = Float32Array.of(0.3);
  const run = (perLambda: number) =>
    train(gpu, net, weights(net, 6), inputs, targets, { steps: 200, rate: { perLambda } });
  const lazy = await run(1);
  expect(lazy.regime).toEqual({ expected: "lazy", seen: "lazy" });
  const catapult = await run(3);
  expect(catapult.regime).toEqual({ expected: "catapult", seen: "catapult" });
  // The kernel has shrunk to where the rate is stable.
  expect(catapult.rate * catapult.tracked[1].lambdaMax).toBeLessThan(2);
  expect(lazy.tracked[1].gramDrift).toBeLessThan(0.1 * catapult.tracked[1].gramDrift);
  await expect(run(5)).rejects.toThrow(DivergenceError);
  expect(expectedRegime(5, 1)).toBe("divergent");
  expect(expectedRegime(5, 1, "logistic")).toBe("lazy");
});

gpuTest(
  "at one width, deeper networks vary more, are further from the limit, and move more",
  async (gpu) => {
    const inputs = sphere(6, 5, 2);
    const targets = Float32Array.from({ length: 6 }, (_, i) => Math.sign(inputs[5 * i]));
    const relu = spec([5, 1, 1], { activation: "relu" });
    const how = { depths: [1, 12], width: 16, seeds: 12, steps: 40 };
    const { deviations, series, depths } = await depthLaw(gpu, relu, inputs, targets, how);
    expect(depths).toEqual([1, 12]);
    // One hidden layer of ReLU, σ_w² = 2: the diagonal deviates by √(3/m), its mean over samples by less.
    expect(deviations[0]).toBeLessThan(Math.sqrt(3 / 16) * 1.5);
    expect(deviations[1]).toBeGreaterThan(2 * deviations[0]);
    const middle = (each: readonly number[]) => [...each].sort((a, b) => a - b)[6];
    expect(middle(series[1].values[1])).toBeGreaterThan(middle(series[1].values[0]));
    expect(series).toHaveLength(3);
  },
);
