import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions, ownValues, type Values } from "../gpu/values.ts";
import { SLACK } from "../stages/0-double.ts";
import type { Network } from "../stages/0-network.ts";
import { normals64 } from "../stages/0-normal.ts";
import { uploadWeights, type LayerWeights } from "../stages/0-weights.ts";
import { forward } from "../stages/1-forward.ts";
import { decideKinks, type Kinks } from "../stages/1-kinks.ts";
import { inner } from "../stages/4-krylov.ts";
import {
  CONFIDENCE,
  endsOf,
  placesOf,
  type EigenvalueChoice,
  type Spectrum,
} from "../stages/5-spectrum.ts";
import { bidiagonalEnds, RELATIVE, type Triplets } from "./bidiagonal.ts";
import { exactProducts, type ExactProducts } from "./exactProducts.ts";
import { directionLength, jacobianMap } from "./jacobianMap.ts";
import { leastAtMost, tripletIntervals } from "./tripletIntervals.ts";

/** Vectors of either side at the most: more of them cost more to keep orthogonal than they save. */
const BASIS = 192;
/** Random vectors that ‖H‖_F is estimated with. */
const PROBES = 4;

/** Half widths of a lower σ that is told from 0, as a share of it. */
const RESOLVED = 2 ** -6;

/** Which eigenvalues of a kernel that is not stored are wanted, and what may be spent on them. */
export interface OperatorOptions extends Omit<EigenvalueChoice, "all" | "vectors"> {
  /** Products with J and with Jᵀ at the most; default 500. */
  readonly steps?: number;
  /** Bytes on the host for bases and eigenvectors; default 2³⁰. */
  readonly memory?: number;
}

/** What `kernelSpectrum` holds on the host. */
export interface OperatorPlan {
  /** Vectors of either side before the iteration restarts from its best ones. */
  readonly basis: number;
  /** Bytes of all bases and eigenvectors. */
  readonly bytes: number;
}

/**
 * Eigenvalues at the ends of a tangent kernel that is never stored: by products with J and Jᵀ alone, so that n · O may
 * be beyond what a device can bind.
 *
 * ```ts
 * const inputs = normals(1, 300 * net.inputs);
 * const choice = { top: 3, bottom: 1, memory: 2 ** 28 };
 * const { spectrum } = await kernelSpectrum(gpu, net, weights(net, 0), inputs, choice);
 * ```
 *
 * λ = σ(J)², and σ are found without squaring, by {@link bidiagonalEnds} in f32: λ_min has digits down to about
 * 2⁻⁴⁴ · λ_max, where H in f32 has none below 2⁻²². Then every interval is measured in f64 on the CPU.
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @returns top values converge in tens of steps; bottom ones in hundreds where they are set apart, else not. Of those, and
 * of values that rounding hides, only 0 ≤ λ ≤ their upper bounds is said, and `condition` is null. `effectiveRank` is an estimate by 4 random vectors
 *
 * **Error** each interval holds an eigenvalue of its own for sure, whatever rounding did: residuals are computed in f64,
 * with ‖δJ‖ as `exactKernel` bounds it. Sure as well: the i-th largest is not below its interval, the i-th smallest not
 * above. That none lies beyond the ends is not proved, as that would take a factorization: a random start would have to be
 * nearly orthogonal to it, and a second one that looks for copies too; where values at the lower end stand close
 * together one may be missed. But for roundings, with m steps before the first restart, λ_max and λ_min are with
 * probability 1 − 1e-4 not more than λ_max · (ln(16480 √(n · O)) / (2 m − 1))² beyond their Ritz values (Kuczyński &
 * Woźniakowski 1992, for H and for λ_max − H).
 * **Cost** 8 · n · parameters flops a step, and at the end 4 · n · parameters flops on the CPU for each value;
 * 4 · (n · O + parameters) bytes a vector of the basis, at most 192 or what `memory` allows.
 * @throws InputError for eigenvectors or all eigenvalues asked for, and for too little memory or too few steps
 */
export async function kernelSpectrum(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  options: OperatorOptions = {},
): Promise<{ spectrum: Spectrum; kinks: Kinks; plan: OperatorPlan }> {
  const samples = ownValues("kernelSpectrum", "inputs", inputs);
  const order = (samples.length / net.inputs) * net.outputs;
  const { ends, top, zeros, steps, plan } = checked(options, order, directionLength(net));
  const job: Job = { signal: options.signal, onProgress: options.onProgress };
  const followed: Job = { signal: options.signal };
  using onDevice = uploadWeights(gpu, net, weights);
  using acts = await forward(gpu, net, onDevice, samples, job);
  const kinks = await decideKinks(gpu, net, weights, samples, acts, job);
  const map = jacobianMap(gpu, net, onDevice, acts, followed);
  const onStep = (step: number) => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ stage: "lanczos", share: (step - 1) / steps });
  };
  const triplets = await bidiagonalEnds(map, {
    ...{ top, steps, onStep, basis: plan.basis },
    bottom: Math.max(0, ends.bottom - zeros),
  });
  const { left, right } = triplets;
  const products = await exactProducts(gpu, net, weights, samples, left, right, job);
  let squares = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const z = Float32Array.from(normals64(1 + probe, order));
    const back = Float32Array.from(await map.transposed(z));
    const image = Float64Array.from(await map.times(back));
    squares += inner(image, image) / PROBES;
  }
  const { trace } = products;
  const found = intervalsOf(triplets, products, top, zeros);
  // The k-th of those found, or of the zeros that H has for want of parameters.
  const least = found.length - 1;
  const at = (place: number): Interval => {
    const fromBelow = order - 1 - place;
    if (fromBelow < zeros) return NOUGHT;
    return place < top ? found[place] : found[least - (fromBelow - zeros)];
  };
  const places = placesOf(order, ends.top, ends.bottom);
  const pick = (of: (interval: Interval) => number) =>
    Float64Array.from(places, (place) => of(at(place)));
  const [most, last] = [at(0), at(order - 1)];
  return {
    kinks,
    plan,
    spectrum: {
      eigenvalues: pick(({ value }) => value),
      errorBounds: pick(({ bound }) => bound),
      lambdaMax: most.value,
      lambdaMin: last.value,
      lambdaMinBound: last.bound,
      condition: last.value > last.bound ? most.value / last.value : null,
      effectiveRank: squares > 0 ? trace ** 2 / squares : 0,
      trace,
      precision: "fast",
      boundKind: "probabilistic",
      confidence: CONFIDENCE,
      errorTerms: {
        iteration: pick(({ bound, features }) => bound - features),
        features: pick(({ features }) => features),
      },
      steps: triplets.steps,
      converged: [most, ...places.map(at)].every(({ done }) => done),
      vectors: null,
    },
  };
}

/** An eigenvalue with its half width, and how much of that is due to ‖δJ‖. */
interface Interval {
  readonly value: number;
  readonly bound: number;
  readonly features: number;
  readonly done: boolean;
}

/** An eigenvalue 0 of H for want of parameters. */
const NOUGHT: Interval = { value: 0, bound: 0, features: 0, done: true };

/** Intervals around λ = σ², largest first; the first `top` are the largest, the others the smallest but for `zeros`. */
function intervalsOf(
  triplets: Triplets,
  products: ExactProducts,
  top: number,
  zeros: number,
): Interval[] {
  const { trace, jacobianError } = products;
  const found = tripletIntervals(triplets, products);
  const below = found.slice(top).reverse();
  const [vectors, images] =
    zeros > 0 ? [triplets.right, products.images] : [triplets.left, products.backs];
  const order = below.map(({ from }) => from);
  const atMost = leastAtMost(vectors, images, products, order);
  /** What is left of the trace: no eigenvalue that comes next is larger. */
  let left = SLACK * (Math.sqrt(trace) + jacobianError) ** 2;
  return found.map(({ value: sigma, bound, from }, place) => {
    const value = sigma * sigma;
    const done = triplets.done[from];
    // λ ± that is [(σ − b)², (σ + b)²] and what it lacks of being symmetric.
    const around = SLACK * (2 * Math.abs(sigma) * bound + bound * bound);
    const known = Math.max(0, sigma - bound) ** 2;
    // Lower ones must stand far from 0: where singular values crowd at rounding, an interval says little of its place.
    const told =
      triplets.residuals[from] <= RELATIVE * sigma && bound - jacobianError <= RESOLVED * sigma;
    let reach = around;
    if (!done && place < top) reach = Math.max(around, left - value);
    if (place >= top) {
      const upper = SLACK * atMost[found.length - 1 - place] ** 2;
      reach = Math.max(told ? around : value, upper - value);
    }
    left -= known;
    const rest = bound - jacobianError;
    const features = around - SLACK * (2 * Math.abs(sigma) * rest + rest * rest);
    return { value, bound: reach, features: Math.max(0, Math.min(features, reach)), done };
  });
}

/** Options with their defaults, and the plan of the memory. @throws InputError for what cannot be */
function checked(options: OperatorOptions, order: number, parameters: number) {
  checkOptions("kernelSpectrum", options, [
    ...["top", "bottom", "all", "vectors", "steps", "memory", "signal", "onProgress"],
  ]);
  const { steps = 500, memory = 2 ** 30 } = options;
  const asked = options as EigenvalueChoice;
  if (asked.all || asked.vectors)
    throw new InputError(
      `kernelSpectrum: ${asked.all ? "all eigenvalues" : "eigenvectors"} were asked for, but H with ${order} rows is not stored. Ask for some at the ends, or take fewer samples.`,
    );
  const ends = endsOf({ ...options, all: false }, order);
  const least = Math.min(order, parameters);
  const zeros = order - least;
  const top = Math.min(least, Math.max(1, ends.top));
  // One of either end is looked at in any case.
  const count = top + Math.max(1, Math.min(ends.bottom - zeros, least));
  const fewest = Math.min(least, 2 * count + 8);
  const pair = order + parameters;
  // Two bases of f32, a vector in f64 beside each; of each value two vectors and two products in f64, and a copy.
  const bytesOf = (basis: number) => 4 * (basis + 2) * pair + 24 * count * pair;
  if (!(Number.isSafeInteger(steps) && steps >= fewest))
    throw new InputError(
      `kernelSpectrum: steps is ${steps}, but for ${count} eigenvalues must be a whole number of at least ${fewest}. Raise it.`,
    );
  if (!(memory >= bytesOf(fewest)))
    throw new InputError(
      `kernelSpectrum: memory is ${memory} bytes, but ${count} eigenvalues with vectors of ${order} and ${parameters} values need at least ${bytesOf(fewest)}. Allow more, or ask for fewer.`,
    );
  const room = Math.floor((memory - bytesOf(0)) / (4 * pair));
  const basis = Math.min(least, Math.max(fewest, BASIS), room);
  return { ends, top, zeros, steps, plan: { basis, bytes: bytesOf(basis) } };
}
