import type { Gpu } from "./gpu/device.ts";
import type { Matrix } from "./gpu/matrix.ts";
import { checkOptions, ownValues, type Values } from "./gpu/values.ts";
import type { Network } from "./stages/0-network.ts";
import { uploadWeights, type LayerWeights } from "./stages/0-weights.ts";
import { forward, sampleCount } from "./stages/1-forward.ts";
import { decideKinks, type Kinks } from "./stages/1-kinks.ts";
import { gramError } from "./stages/3-exact.ts";
import { gram } from "./stages/3-gram.ts";
import { GRAM_OPTIONS, planGram, type GramOptions } from "./stages/3-plan.ts";
import { spectrum, type Spectrum, type SpectrumOptions } from "./stages/5-spectrum.ts";

/** A network's tangent kernel on a set of samples, and its spectrum. */
export interface Ntk {
  /** H [n · O, n · O] row-major, symmetric to the bit; index i · O + a for sample i and output a. */
  readonly gram: Float32Array;
  readonly spectrum: Spectrum;
  /** ReLU units whose side of the kink had to be decided in f64. */
  readonly kinks: Kinks;
}

/**
 * The whole way: network, weights and inputs to tangent kernel and spectrum.
 *
 * ```ts
 * const net = network({
 *   widths: [2, 64, 1], activation: "tanh", parameterization: "ntk", weightScale: 1, biasScale: 0.1,
 * });
 * const inputs = Float32Array.of(1, 0, 0, 1, -1, 0); // three points of the plane
 * const { gram, spectrum } = await ntk(gpu, net, weights(net, 0), inputs);
 * ```
 *
 * @param values one entry a layer, as `weights` draws them or a file holds them
 * @param inputs f32 [n, net.inputs] row-major
 * @param options which eigenvalues; route and outputs of the kernel; how to follow and stop it
 *
 * **Error** every eigenvalue comes with an interval for the exact kernel of these weights and inputs.
 * **Cost** that of `forward`, `backward`, `gram` and `spectrum`.
 */
export async function ntk(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  options: GramOptions & Omit<SpectrumOptions, "values" | "matrixError"> = {},
): Promise<Ntk> {
  checkOptions("ntk", options, [...GRAM_OPTIONS, "top", "bottom", "all", "vectors"]);
  const { method, outputs, panels, ...which } = options;
  const { signal, onProgress } = options;
  const own = ownCopy(values);
  const samples = ownValues("ntk", "inputs", inputs);
  const { h, kinks } = await kernelOf(gpu, net, own, samples, null, {
    ...{ signal, onProgress },
    ...{ method, outputs, panels },
  });
  try {
    const onHost = await gpu.read(h, options);
    const matrixError =
      kinks.undecided > 0 ? Infinity : gramError(net, own, samples, onHost, outputs === "trace");
    const found = await spectrum(gpu, h, { ...which, values: onHost, matrixError });
    return { gram: onHost, spectrum: found, kinks };
  } finally {
    h.destroy();
  }
}

/**
 * The tangent kernel on the device, of one set of samples or between two.
 *
 * @param inputs f32 [n1, net.inputs] row-major
 * @param others f32 [n2, net.inputs] along the columns; null for the kernel of `inputs` with itself
 * @returns as `gram` gives it, the caller's to destroy
 */
export async function tangentKernel(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  others: Values | null = null,
  options: GramOptions = {},
): Promise<Matrix> {
  const own = (operand: string, samples: Values) => ownValues("tangentKernel", operand, samples);
  const samples = own("inputs", inputs);
  const otherSamples = others && own("others", others);
  return (await kernelOf(gpu, net, ownCopy(values), samples, otherSamples, options)).h;
}

/** The way from host values to H on the device; the values must stay as they are meanwhile. */
async function kernelOf(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  others: Values | null,
  options: GramOptions,
): Promise<{ h: Matrix; kinks: Kinks }> {
  // What does not fit is refused before anything is allocated.
  const [n1, n2] = [inputs, others].map((set) => set && sampleCount("tangentKernel", net, set));
  planGram(gpu, net, n1 ?? 0, n2 ?? 0, options);
  using weights = uploadWeights(gpu, net, values);
  using acts = await forward(gpu, net, weights, inputs, options);
  const kinks = await decideKinks(gpu, net, values, inputs, acts, options);
  using otherActs = others && (await forward(gpu, net, weights, others, options));
  if (others && otherActs) await decideKinks(gpu, net, values, others, otherActs, options);
  return { h: await gram(gpu, net, weights, acts, otherActs, options), kinks };
}

const ownCopy = (values: readonly LayerWeights[]): LayerWeights[] =>
  values.map(({ weight, bias }, index) => {
    const own = (what: string, array: Values) =>
      ownValues("weights", `layer ${index + 1} ${what}`, array);
    return { weight: own("weight", weight), bias: bias && own("bias", bias) };
  });
