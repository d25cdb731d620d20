import { InputError } from "./errors.ts";
import type { Gpu } from "./gpu/device.ts";
import type { Matrix } from "./gpu/matrix.ts";
import { checkOptions, described, ownValues, type Values } from "./gpu/values.ts";
import type { Network } from "./stages/0-network.ts";
import {
  checkWeights,
  uploadWeights,
  type DeviceWeights,
  type LayerWeights,
} from "./stages/0-weights.ts";
import { forward, sampleCount, type Activations } from "./stages/1-forward.ts";
import { decideKinks, type Kinks } from "./stages/1-kinks.ts";
import { exactKernel, gramError } from "./stages/3-exact.ts";
import { gram, Sides } from "./stages/3-gram.ts";
import { measuredErrors } from "./stages/3-measured.ts";
import { gramPair, keepsPairs } from "./stages/3-pair.ts";
import { GRAM_OPTIONS, planGram, type GramOptions } from "./stages/3-plan.ts";
import { diagnose, type Finding } from "./stages/5-diagnosis.ts";
import {
  CONFIDENCE,
  PRECISIONS,
  spectrum,
  WHOLE_ORDER,
  type EigenvalueChoice,
  type Precision,
  type Spectrum,
} from "./stages/5-spectrum.ts";
import { boundedSpectrum, checkSolvable, isSolved } from "./stages/5-bounded.ts";

/** A network's tangent kernel on a set of samples, and its spectrum. */
export interface Ntk {
  /** H [n · O, n · O] row-major, symmetric to the bit; index i · O + a for sample i and output a. f32 where fast, else f64. */
  readonly gram: Float32Array | Float64Array;
  readonly spectrum: Spectrum;
  /** ReLU units whose side of the kink had to be decided in f64. */
  readonly kinks: Kinks;
  /** Where λ_min is not told from 0: why, as far as samples, network and precision show it; else empty. */
  readonly diagnosis: readonly Finding[];
}

/** Which kernel and which of its eigenvalues, and how much is done for their intervals. */
export interface NtkOptions extends GramOptions, EigenvalueChoice {
  /**
   * `fast`: H in f32 on the device. `compensated` (default): H of the same f32 activations and signals, exact in what most
   * samples share, always layer by layer; intervals of both from samples recomputed in f64. `verified`: all in f64 on the
   * CPU, up to n · O = 4096, or 16384 for the two ends alone, several of either by `ends`; intervals that are guaranteed.
   */
  readonly precision?: Precision;
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
  options: NtkOptions = {},
): Promise<Ntk> {
  const samples = ownValues("ntk", "inputs", inputs);
  return ntkOf(gpu, net, ownCopy(values), samples, options, null);
}

/** Weights and samples that have been on their way forward already. */
export interface Passed {
  readonly weights: DeviceWeights;
  readonly acts: Activations;
}

/** The same, of values that stay as they are meanwhile, and of what is on the device already. @internal */
export async function ntkOf(
  gpu: Gpu,
  net: Network,
  own: readonly LayerWeights[],
  samples: Values,
  options: NtkOptions,
  passed: Passed | null,
): Promise<Ntk> {
  checkOptions("ntk", options, [
    ...GRAM_OPTIONS,
    ...["top", "bottom", "all", "vectors", "ends", "precision"],
  ]);
  const { method, outputs, panels, precision = "compensated", ...which } = options;
  if (!PRECISIONS.includes(precision))
    throw new InputError(
      `ntk: precision is ${described(precision)}, but must be one of ${PRECISIONS.join(", ")}. Choose one.`,
    );
  const { signal, onProgress } = options;
  const how = { signal, onProgress, method, outputs, panels };
  const compute = { fast, compensated, verified }[precision];
  const found = await compute(gpu, net, own, samples, how, which, passed);
  const order = Math.sqrt(found.gram.length);
  try {
    const diagnosis = await diagnose(gpu, net, own, samples, found.spectrum, order, how);
    return { ...found, diagnosis };
  } catch (error) {
    found.spectrum.vectors?.destroy();
    throw error;
  }
}

/** H in f32 on the device; up to order 2048 its eigenvalues in f64 on the CPU, which takes less time than f32 would. */
async function fast(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  how: GramOptions,
  which: EigenvalueChoice,
): Promise<Omit<Ntk, "diagnosis">> {
  const { h, kinks } = await kernelOf(gpu, net, values, inputs, null, how);
  try {
    const onHost = await gpu.read(h, how);
    const trace = how.outputs === "trace";
    const matrixError =
      kinks.undecided > 0
        ? Infinity
        : await gramError(gpu, net, values, inputs, onHost, trace, how);
    const gram = Float64Array.from(onHost);
    const found = isSolved(h.rows, which)
      ? await boundedSpectrum(
          gpu,
          { gram, order: h.rows, matrixError, confidence: CONFIDENCE },
          which,
        )
      : await spectrum(gpu, h, { ...which, values: onHost, matrixError });
    return { gram: onHost, spectrum: { ...found, precision: "fast" }, kinks };
  } finally {
    h.destroy();
  }
}

/** All in f64 on the CPU. */
async function verified(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  how: GramOptions,
  which: EigenvalueChoice,
): Promise<Omit<Ntk, "diagnosis">> {
  checkSolvable(planGram(gpu, net, sampleCount("ntk", net, inputs), 0, how).rows, which);
  checkWeights(net, values);
  const kernel = await exactKernel(gpu, net, values, inputs, how.outputs === "trace", how);
  const found = await boundedSpectrum(gpu, kernel, which);
  const kinks = { near: kernel.unsure, moved: 0, undecided: kernel.unsure };
  return { gram: kernel.gram, spectrum: { ...found, precision: "verified" }, kinks };
}

/** f32 passes and a Gram matrix in two planes on the device; up to order 2048 the eigenvalues in f64 on the CPU. */
async function compensated(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  how: GramOptions,
  which: EigenvalueChoice,
  passed: Passed | null,
): Promise<Omit<Ntk, "diagnosis">> {
  const n = sampleCount("ntk", net, inputs);
  const trace = how.outputs === "trace";
  const plan = planGram(gpu, net, n, 0, { ...how, method: "layerwise" });
  // Where the adapter keeps no pairs, the CPU does better than two planes of which one is noise; the result says so.
  if (plan.rows <= WHOLE_ORDER && !(await keepsPairs(gpu)))
    return verified(gpu, net, values, inputs, how, which);
  using uploaded = passed ? null : uploadWeights(gpu, net, values);
  const weights = uploaded ?? passed!.weights;
  using computed = passed ? null : await forward(gpu, net, weights, inputs, how);
  const acts = computed ?? passed!.acts;
  const kinks = await decideKinks(gpu, net, values, inputs, acts, how);
  using sides = await Sides.open(gpu, net, weights, acts, null, how);
  await sides.settle(gpu, net, how);
  const { signals } = sides.left;
  using pair = await gramPair(gpu, net, acts, signals, how);
  const gram = Float64Array.from(await gpu.read(pair.high, how));
  const low = await gpu.read(pair.low, how);
  for (let at = 0; at < gram.length; at++) gram[at] += low[at];
  const measured = await measuredErrors(
    ...([gpu, net, values, inputs, acts, signals, gram, trace, how] as const),
  );
  const errors = kinks.undecided > 0 ? { matrixError: Infinity } : measured;
  const found = isSolved(plan.rows, which)
    ? await boundedSpectrum(
        gpu,
        { gram, order: plan.rows, ...errors, confidence: CONFIDENCE },
        which,
      )
    : await spectrum(gpu, pair.high, { ...which, values: gram, ...errors });
  return { gram, spectrum: { ...found, precision: "compensated" }, kinks };
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
