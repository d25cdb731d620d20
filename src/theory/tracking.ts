import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { ownValues, type Values } from "../gpu/values.ts";
import { norm64 } from "../stages/0-double.ts";
import type { LayerWeights } from "../stages/0-weights.ts";
import { forward, type Activations } from "../stages/1-forward.ts";
import { jacobianTransposed } from "../stages/2-tangent.ts";
import type { Precision } from "../stages/5-spectrum.ts";
import { ntkOf } from "../ntk.ts";
import { descentFilter, flowFilter, type Filter } from "./filters.ts";
import {
  alignment,
  innerProduct,
  minus,
  operatorNorm,
  subspaceChange,
  type Measured,
} from "./kernelMeasures.ts";
import { lossAt } from "./loss.ts";
import { matrixFunctions, type MatrixFunctions } from "./predict.ts";
import type { Training } from "./training.ts";

/** What is seen of a network at one step of its training; bounds are half widths of intervals. */
export interface TrackedStep {
  /** Steps taken before. */
  readonly step: number;
  /** η · step. */
  readonly time: number;
  /** L(θ), of all samples. */
  readonly loss: number;
  readonly lossBound: number;
  /** The largest loss so far, of this and all steps before. */
  readonly largestLoss: number;
  /** What rounding may have done to the outputs u, in norm: 16 roundings, an estimate. */
  readonly outputBound: number;
  /** ‖∂L/∂u‖; for `mse` the residual's norm ‖u − y‖. */
  readonly residualNorm: number;
  readonly lambdaMin: number;
  readonly lambdaMinBound: number;
  readonly lambdaMax: number;
  readonly lambdaMaxBound: number;
  readonly trace: number;
  /** ‖J‖ = √λ_max. */
  readonly jacobianNorm: number;
  /** σ_min(J) = √λ_min, 0 where λ_min is not told from 0. */
  readonly sigmaMin: number;
  /** max_i ‖∂f/∂θ‖ over samples and outputs: √ of the kernel's largest diagonal entry. */
  readonly largestGradient: number;
  /** ‖H_t − H_0‖₂. */
  readonly gramDrift: number;
  readonly gramDriftBound: number;
  /** ‖H_t − H_∞‖₂; null where H_∞ was not given. */
  readonly limitDrift: number | null;
  readonly limitDriftBound: number | null;
  /** ‖θ_t − θ_0‖. */
  readonly parameterDrift: number;
  /** The same of each layer's weights and biases, and of its weights alone over what they were. */
  readonly layers: readonly { readonly drift: number; readonly relative: number }[];
  /** ‖∂L/∂θ‖. */
  readonly gradientNorm: number;
  /** σ_min(J) · ‖∂L/∂u‖ ≤ ‖∂L/∂θ‖; for `mse` σ_min(J) · √(2L). */
  readonly gradientBound: number;
  /** yᵀHy / (‖H‖_F ‖y‖²); null where kernel or targets are 0, or constant for the centred one. */
  readonly alignment: number | null;
  readonly centredAlignment: number | null;
  /** (1 − ⟨H_t, H_s⟩ / ‖H_t‖ ‖H_s‖) / (t − s) since the tracked step before; 0 at the first. */
  readonly velocity: number;
  /** How far the span of the largest eigenvectors has moved since the first tracked step, 0 to 1. */
  readonly eigenvectorChange: number;
  /** ⟨v_i, r⟩ of the largest eigenvectors of the first tracked step's kernel. */
  readonly residualAlong: Float64Array;
  /** ‖r_t − (1 − ηH_0)^k r_0‖: how far the network is from its linearization, which takes the same steps; `mse` alone. */
  readonly linearGap: number | null;
  /** ‖r_t − e^(−H_0 t) r_0‖: the same for the gradient flow; `mse` alone. */
  readonly flowGap: number | null;
}

/** How training is watched. */
export interface TrackingOptions {
  /** As for `ntk`; default compensated. */
  readonly precision?: Precision;
  /** H_∞ [n · O, n · O], index i · O + a. */
  readonly limit?: Float64Array | null;
}

/** Eigenvectors whose span and residuals are followed. */
const FOLLOWED = 5;
/** Up to this order every eigenvalue is known at each look, beyond it those at the ends. */
const SOLVED = 2048;

/** What the first tracked step was, for all that are compared with it. */
export interface Start {
  readonly gram: Float64Array;
  readonly order: number;
  readonly weights: readonly LayerWeights[];
  readonly residual: Float64Array;
  readonly eigenvalues: Float64Array;
  readonly vectors: Float32Array;
  /** ‖ΔH‖: how far the kernel may be from the exact one. */
  readonly error: number;
}

/**
 * Follows the tangent kernel of a network while it is trained.
 *
 * ```ts
 * const inputs = Float32Array.of(1, 0, 0, 1, -1, 0); // three points of the plane
 * const targets = Float32Array.of(1, -1, 1);
 * using training = await Training.open(gpu, net, weights(net, 0), inputs, targets, { rate: 0.1 });
 * const tracker = new Tracker(gpu, inputs, targets);
 * const before = await tracker.look(training);
 * await training.advance(100);
 * const { loss, lambdaMin, gramDrift } = await tracker.look(training);
 * ```
 */
export class Tracker {
  readonly #gpu: Gpu;
  readonly #inputs: Values;
  readonly #targets: Values;
  readonly #options: TrackingOptions;
  #start: Start | null = null;
  /** Of H_0, for what its linearization does. */
  #linear: MatrixFunctions | null = null;
  #before: { readonly gram: Float64Array; readonly time: number } | null = null;

  /** @param inputs, targets those of the training */
  constructor(gpu: Gpu, inputs: Values, targets: Values, options: TrackingOptions = {}) {
    this.#gpu = gpu;
    this.#inputs = ownValues("train", "inputs", inputs);
    this.#targets = ownValues("train", "targets", targets);
    const { limit } = options;
    const order = this.#targets.length;
    if (limit && limit.length !== order * order)
      throw new InputError(
        `train: limit holds ${limit.length} values, but for ${order} targets must hold ${order * order}. Hand in H_∞ of all outputs.`,
      );
    this.#options = { ...options, limit: limit?.slice() };
  }

  /** What the first look found; null before it. */
  get start(): Start | null {
    return this.#start;
  }

  /**
   * Looks at the network as it is now, its weights rounded to f32; the first look is what later ones are compared with.
   *
   * @param largest the largest loss of steps before
   *
   * **Error** intervals of eigenvalues as `ntk`; of ‖H_t − H_0‖ the sum of both kernels' errors. **Cost** that of `ntk`, a
   * forward and a weighted backward pass, up to 128 products with differences of kernels; and once all eigenvectors of H_0, up
   * to order 2048.
   */
  async look(training: Training, job?: Job, largest = 0): Promise<TrackedStep> {
    const gpu = this.#gpu;
    const { net, step, options } = training;
    const { precision = "compensated", limit = null } = this.#options;
    const weights = await training.values(job);
    using acts = await forward(gpu, net, training.weights, this.#inputs, job);
    const u = await this.#outputs(training, acts, job);
    const { value: loss, slopes } = lossAt(options.loss, u, this.#targets, net.outputs);
    const gradientNorm = await this.#gradientNorm(training, acts, slopes, job);
    const order = slopes.length;
    const ends = order <= SOLVED ? { all: true } : { top: FOLLOWED, bottom: 1 };
    const how = { ...job, precision, ...ends, vectors: Math.min(order, FOLLOWED) };
    const { gram: found, spectrum } = await ntkOf(gpu, net, weights, this.#inputs, how, {
      ...{ weights: training.weights, acts },
    });
    using onDevice = spectrum.vectors;
    const gram = found instanceof Float64Array ? found : Float64Array.from(found);
    const vectors = onDevice ? await gpu.read(onDevice, job) : new Float32Array(0);
    const { eigenvalues, errorBounds, errorTerms, lambdaMin, lambdaMinBound } = spectrum;
    const error = errorTerms.products[0] + errorTerms.features[0];
    const time = options.rate * step;
    const start = (this.#start ??= {
      ...{ gram, order, weights, residual: slopes, eigenvalues, vectors, error },
    });
    const drift = await operatorNorm({ gram: minus(gram, start.gram), order });
    const fromLimit: Measured | null =
      limit && (await operatorNorm({ gram: minus(gram, limit), order }));
    const layers = driftOf(weights, start.weights);
    const sigmaMin = Math.sqrt(lambdaMin > lambdaMinBound ? lambdaMin - lambdaMinBound : 0);
    const residualNorm = norm64(slopes);
    const outputBound = 2 ** -20 * norm64(u);
    const before = this.#before;
    this.#before = { gram, time };
    // Momentum and batches have other laws.
    const isPlain =
      options.loss === "mse" && options.momentum === 0 && options.batch === training.n;
    const gap = async ({ left }: Filter): Promise<number | null> => {
      if (!isPlain) return null;
      this.#linear ??= await matrixFunctions(gpu, { gram: start.gram, order }, 0, job);
      const linear = await this.#linear.apply(left, start.residual);
      return norm64(minus(slopes, linear));
    };
    const seen: TrackedStep = {
      ...{ step, time, loss, residualNorm, lambdaMin, lambdaMinBound },
      outputBound,
      largestLoss: Math.max(loss, largest),
      lossBound: outputBound * (residualNorm + outputBound),
      lambdaMax: eigenvalues[0],
      lambdaMaxBound: errorBounds[0],
      trace: spectrum.trace,
      jacobianNorm: Math.sqrt(eigenvalues[0]),
      sigmaMin,
      largestGradient: Math.sqrt(largestDiagonal(gram, order)),
      gramDrift: drift.value,
      gramDriftBound: gram === start.gram ? 0 : drift.bound + error + start.error,
      limitDrift: fromLimit && fromLimit.value,
      limitDriftBound: fromLimit && fromLimit.bound + error,
      parameterDrift: Math.hypot(...layers.map((layer) => layer.drift)),
      layers,
      gradientNorm,
      gradientBound: sigmaMin * residualNorm,
      alignment: alignment(gram, this.#targets, net.outputs),
      centredAlignment: alignment(gram, this.#targets, net.outputs, true),
      velocity:
        before && time > before.time ? velocity(gram, before.gram) / (time - before.time) : 0,
      eigenvectorChange: subspaceChange(start.vectors, vectors, order),
      residualAlong: along(start.vectors, slopes),
      linearGap: await gap(descentFilter(options.rate, step)),
      flowGap: await gap(flowFilter(time)),
    };
    return seen;
  }

  /** u [n, O]. */
  async #outputs({ net, n }: Training, acts: Activations, job?: Job): Promise<Float32Array> {
    const columns = await this.#gpu.read(acts.z[net.layers.length - 1], job);
    const { outputs } = net;
    return columns.map((_, at) => columns[(at % outputs) * n + Math.floor(at / outputs)]);
  }

  /** ‖∂L/∂θ‖ by a weighted pass back. */
  async #gradientNorm(
    { net, weights }: Training,
    acts: Activations,
    slopes: Float64Array,
    job?: Job,
  ): Promise<number> {
    const gpu = this.#gpu;
    const vector = Float32Array.from(slopes);
    using gradient = await jacobianTransposed(gpu, net, weights, acts, vector, job);
    const norms: number[] = [];
    for (const [index, { weight, bias }] of gradient.layers.entries()) {
      norms.push(norm64(await gpu.read(weight, job)));
      if (net.layers[index].hasBias) norms.push(norm64(await gpu.read(bias, job)));
    }
    return Math.hypot(...norms);
  }
}

const largestDiagonal = (gram: Float64Array, order: number): number => {
  let largest = 0;
  for (let i = 0; i < order; i++) largest = Math.max(largest, gram[i * order + i]);
  return largest;
};

const velocity = (a: Float64Array, b: Float64Array): number => {
  const sizes = norm64(a) * norm64(b);
  return sizes > 0 ? Math.max(0, 1 - innerProduct(a, b) / sizes) : 0;
};

/** V r for rows V [k, n]. */
const along = (vectors: Float32Array, residual: Float64Array): Float64Array =>
  Float64Array.from({ length: vectors.length / residual.length }, (_, row) =>
    residual.reduce((sum, value, i) => sum + value * vectors[row * residual.length + i], 0),
  );

/** How far each layer's parameters have moved. */
function driftOf(now: readonly LayerWeights[], before: readonly LayerWeights[]) {
  return now.map(({ weight, bias }, l) => {
    const moved = (a: Values, b: Values) =>
      norm64(Float64Array.from(a, (value, at) => value - b[at]));
    const weights = moved(weight, before[l].weight);
    const biases = bias ? moved(bias, before[l].bias as Values) : 0;
    return { drift: Math.hypot(weights, biases), relative: weights / norm64(before[l].weight) };
  });
}
