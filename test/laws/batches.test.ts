/** Descent in batches, over several passes through the samples, against the same steps in f64. */
import { expect, test } from "vitest";
import { network, weights, type NetworkSpec } from "../../src/index.ts";
import { shuffled } from "../../src/theory/batches.ts";
import { Training } from "../../src/theory.ts";
import { referenceNetwork } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { descend } from "../reference/training.ts";
import { sample } from "../shaders/guarded.ts";

const spec: NetworkSpec = {
  ...{ widths: [3, 12, 2], activation: "tanh", parameterization: "ntk" },
  ...{ weightScale: 1.4, biasScale: 0.3 },
};
const net = network(spec);
const [n, rate, steps] = [10, 0.05, 12];
const inputs = sample("normal", n * 3, 1);
const targets = sample("normal", n * 2, 2);
const values = weights(net, 3);

for (const [batch, seed] of [
  [3, 0],
  [3, 5],
  [5, 1],
] as const)
  gpuTest(
    `batches of ${batch}, seed ${seed}: losses, gradients and weights of every step are those of f64 on the rows drawn`,
    async (gpu) => {
      const passes = Math.floor(n / batch);
      let own: ReturnType<typeof descend>["weights"] = values.map(({ weight, bias }) => ({
        weight: Float64Array.from(weight),
        bias: bias && Float64Array.from(bias),
      }));
      using training = await Training.open(gpu, net, values, inputs, targets, {
        ...{ rate, batch, seed },
      });
      // In two calls, the second from the middle of a pass.
      const first = await training.advance(4);
      const second = await training.advance(steps - 4);
      const losses = [...first.losses, ...second.losses];
      const norms = [...first.gradientNorms, ...second.gradientNorms];
      for (let step = 0; step < steps; step++) {
        const order = shuffled(n, seed, Math.floor(step / passes));
        const from = (step % passes) * batch;
        const drawn = Array.from(order.subarray(from, from + batch));
        const rows = (array: Float32Array, width: number) =>
          Float32Array.from(drawn.flatMap((i) => [...array.subarray(i * width, (i + 1) * width)]));
        const one = descend(referenceNetwork(spec), own, rows(inputs, 3), rows(targets, 2), {
          ...{ steps: 1, rate: Math.fround(rate) },
        });
        own = one.weights;
        assertWithin([losses[step]], [one.losses[0]], 1e-5 * one.losses[0], `loss ${step}`);
        const size = one.gradientNorms[0];
        assertWithin([norms[step]], [size], 1e-5 * size, `gradient ${step}`);
      }
      const { weights: high, rest } = await training.state();
      own.forEach(({ weight, bias }, l) => {
        const sum = (a: Float32Array, b: Float32Array) => a.map((value, at) => value + b[at]);
        assertWithin(sum(high[l].weight, rest[l].weight), weight, 1e-5, `weights ${l}`);
        assertWithin(sum(high[l].bias!, rest[l].bias!), bias!, 1e-5, `biases ${l}`);
      });
    },
  );

test("the order of a pass is a permutation, another for each pass and each seed", () => {
  const seen = new Set<string>();
  for (const seed of [0, 1, 2])
    for (const epoch of [0, 1, 2, 3]) {
      const order = [...shuffled(n, seed, epoch)];
      expect([...order].sort((a, b) => a - b)).toEqual([...Array(n).keys()]);
      expect([...shuffled(n, seed, epoch)]).toEqual(order);
      seen.add(order.join());
    }
  expect(seen.size).toBe(12);
});

test("where a sample stands in one pass says nothing of where it stands in the next", () => {
  const counts = new Float64Array(n * n);
  for (let epoch = 0; epoch < 2000; epoch++) {
    const [now, next] = [shuffled(n, 3, epoch), shuffled(n, 3, epoch + 1)];
    now.forEach((sample, place) => (counts[place * n + next.indexOf(sample)] += 1));
  }
  for (const times of counts) expect(Math.abs(times - 200)).toBeLessThan(81);
});

test("over many passes every sample comes first about equally often", () => {
  const count = new Float64Array(n);
  for (let epoch = 0; epoch < 2000; epoch++) count[shuffled(n, 7, epoch)[0]] += 1;
  // 200 each, with a standard deviation of 13.4: within six.
  for (const times of count) expect(Math.abs(times - 200)).toBeLessThan(81);
});
