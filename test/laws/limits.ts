/** Kernels of infinite width as the tests of them ask for them. */
import { network, type Network, type NetworkSpec } from "../../src/index.ts";
import { limitOnHost, type LimitOptions } from "../../src/theory/limit.ts";

/** What the engine says of its error, relative to √(Θ_ii Θ_jj). */
export const SAID = 3e-14;

const base: NetworkSpec = {
  widths: [4, 30, 1],
  activation: "relu",
  parameterization: "ntk",
  weightScale: Math.SQRT2,
  biasScale: null,
};
export const made = (spec: Partial<NetworkSpec>) => network({ ...base, ...spec });
const rest = () => Promise.resolve();
export const kernelOf = (
  net: Network,
  inputs: ArrayLike<number>,
  options: LimitOptions = {},
  others: ArrayLike<number> | null = null,
) => {
  const f32 = (values: ArrayLike<number>) => Float32Array.from(values);
  return limitOnHost(rest, net, f32(inputs), others && f32(others), options);
};
export const both = async (net: Network, inputs: ArrayLike<number>) => ({
  ntk: await kernelOf(net, inputs),
  nngp: await kernelOf(net, inputs, { kernel: "nngp" }),
});
/** `SAID` times the geometric mean of the diagonal's entries. */
export const bounds = (kernel: Float64Array, share = SAID) => {
  const n = Math.sqrt(kernel.length);
  return kernel.map(
    (_, at) => share * Math.sqrt(kernel[Math.floor(at / n) * (n + 1)] * kernel[(at % n) * (n + 1)]),
  );
};
