/** J w, Jᵀ v and H v without J and without H. */
import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { jacobianTimes, jacobianTransposed, kernelTimes } from "../../src/theory.ts";
import { compute, draw, exact as exactly, exactGram, roundings } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { jacobian } from "../reference/jacobian.ts";

const SPECS = (
  [
    { widths: [9, 40, 21, 3], activation: "relu", parameterization: "ntk", biasScale: 0.3 },
    { widths: [6, 33, 1], activation: "leaky_relu", parameterization: "standard", biasScale: 0.2 },
    { widths: [5, 17, 18, 16, 2], activation: "relu", parameterization: "ntk", biasScale: null },
    { widths: [7, 4], activation: [], parameterization: "ntk", biasScale: 0.5 },
  ] as const
).map((spec) => ({ ...spec, weightScale: 1.4 })) as unknown as core.NetworkSpec[];

/** Roundings on the way through every layer, there and back: a product, and a few for its epilogue. */
const wayOf = ({ widths }: core.NetworkSpec, n: number): number =>
  widths.reduce((sum, width) => sum + 2 * (width + 90), 0) + n + 90;

for (const [index, spec] of SPECS.entries())
  gpuTest(
    `${spec.widths.join("-")}, ${spec.parameterization}: Jᵀ v, J w and H v are the Jacobian's`,
    async (gpu) => {
      const n = 37;
      const problem = draw(core, spec, n, index);
      const net = core.network(spec);
      const order = n * net.outputs;
      using weights = core.uploadWeights(gpu, net, problem.weights);
      using acts = await core.forward(gpu, net, weights, problem.inputs);
      const { jac } = await compute(core, gpu, problem);
      const p = net.parameters;
      const v = core.normals(4, order);
      const k = gamma(
        wayOf(spec, n) + roundings(problem.reference.net, { method: "layerwise" }),
        UW,
      );
      // What the entries of J are sums of, in sizes: the reference with |W|, |a| and |φ′|.
      const sizes = sizesOfJacobian(problem);

      using direction = await jacobianTransposed(gpu, net, weights, acts, v);
      const found = new Float64Array(p);
      for (const { index: l, fanIn, units, firstParameter } of net.layers) {
        const weight = await gpu.read(direction.layers[l].weight);
        for (let o = 0; o < units; o++)
          for (let i = 0; i < fanIn; i++)
            found[firstParameter + o * fanIn + i] = weight[i * units + o];
        if (spec.biasScale !== null)
          found.set(await gpu.read(direction.layers[l].bias), firstParameter + units * fanIn);
      }
      const exact = new Float64Array(p);
      const size = new Float64Array(p);
      for (let s = 0; s < order; s++)
        for (let q = 0; q < p; q++) {
          exact[q] += jac[s * p + q] * v[s];
          size[q] += sizes[s * p + q] * Math.abs(v[s]);
        }
      assertWithin(
        found,
        exact,
        size.map((value) => 2 * k * value),
        "Jᵀ v",
      );

      const w = await jacobianTimes(gpu, net, weights, acts, direction);
      const h = await kernelTimes(gpu, net, weights, acts, v);
      expect(Array.from(h)).toEqual(Array.from(w));
      const right = new Float64Array(order);
      const bound = new Float64Array(order);
      for (let s = 0; s < order; s++)
        for (let q = 0; q < p; q++) {
          right[s] += jac[s * p + q] * exact[q];
          bound[s] += 4 * k * sizes[s * p + q] * size[q];
        }
      assertWithin(w, right, bound, "H v");

      // The same by H itself.
      const { values, bound: wide } = exactGram(problem.reference, problem.reference, {
        method: "layerwise",
      });
      const byH = Float64Array.from({ length: order }, (_, i) => {
        let sum = 0;
        for (let j = 0; j < order; j++) sum += values[i * order + j] * v[j];
        return sum;
      });
      const slack = Float64Array.from({ length: order }, (_, i) => {
        let sum = bound[i];
        for (let j = 0; j < order; j++) sum += wide[i * order + j] * Math.abs(v[j]);
        return sum;
      });
      assertWithin(h, byH, slack, "H v by H");
    },
  );

/** J of the network whose weights, biases and inputs are their sizes: every entry bounds the terms of J's. */
function sizesOfJacobian(problem: ReturnType<typeof draw>): Float64Array {
  const { spec, weights, inputs } = problem;
  const positive = {
    spec: {
      ...spec,
      activation: Array.isArray(spec.activation) ? [] : "linear",
    } as core.NetworkSpec,
    weights: weights.map(({ weight, bias }) => ({
      weight: weight.map(Math.abs),
      bias: bias && bias.map(Math.abs),
    })),
    inputs: inputs.map(Math.abs),
  };
  const { net, pass } = exactly(positive);
  return jacobian(net, pass.activations, pass.signals).jac;
}
