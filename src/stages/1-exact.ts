import { phi } from "./0-activation.ts";
import type { Network } from "./0-network.ts";
import type { LayerWeights } from "./0-weights.ts";

/** One sample's way through the network in f64. */
export interface ExactSample {
  /** What each layer sees. */
  readonly a: readonly Float64Array[];
  /** Pre-activations of each layer. */
  readonly z: readonly Float64Array[];
}

/** The forward pass of one sample in f64 on the CPU. **Cost** 2 · parameters flops. */
export function exactForward(
  net: Network,
  weights: readonly LayerWeights[],
  input: ArrayLike<number>,
): ExactSample {
  const a = [Float64Array.from(input)];
  const z = net.layers.map(({ index, units, fanIn, scale, shift, activation }) => {
    const { weight, bias } = weights[index];
    const seen = a[index];
    const pre = new Float64Array(units);
    for (let h = 0; h < units; h++) {
      let sum = 0;
      for (let k = 0, at = h * fanIn; k < fanIn; k++, at++) sum += weight[at] * seen[k];
      pre[h] = scale * sum + (bias ? shift * bias[h] : 0);
    }
    a.push(pre.map((value) => phi(activation, net.slope, value)));
    return pre;
  });
  return { a, z };
}
