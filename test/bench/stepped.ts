import { bySample } from "../../bench/rows/operands.ts";
import { forward, network, normals, uploadWeights, weights, type Gpu } from "../../src/index.ts";
import { Training } from "../../src/theory.ts";
import type { Problem } from "../conformance/problem.ts";

/** The rate of the bench's training steps. */
const RATE = 2 ** -10;

/** One step of a small network, with all that a check of it takes. */
export async function stepped(gpu: Gpu) {
  const spec: Problem["spec"] = {
    ...{ widths: [5, 17, 9, 2], activation: "relu", parameterization: "ntk" },
    ...{ weightScale: Math.SQRT2, biasScale: 0.1 },
  };
  const net = network(spec);
  const n = 12;
  const [inputs, targets] = [normals(1, n * net.inputs), normals(2, n * net.outputs)];
  const values = weights(net, 0) as { weight: Float32Array; bias: Float32Array | null }[];
  const problem: Problem = { spec, weights: values, inputs };
  using onDevice = uploadWeights(gpu, net, values);
  using acts = await forward(gpu, net, onDevice, inputs);
  const held = { a: await bySample(gpu, acts.a), z: await bySample(gpu, acts.z) };
  using training = await Training.open(gpu, net, values, inputs, targets, { rate: RATE });
  const { losses } = await training.advance(1);
  const state = await training.state();
  return { problem, targets, held, rate: RATE, loss: losses[0], state };
}
