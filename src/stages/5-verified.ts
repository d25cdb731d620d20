import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { U64 } from "./0-double.ts";
import { denseEigen } from "./4-dense.ts";
import { enclose } from "./5-enclosure.ts";
import {
  endsOf,
  figuresOf,
  placesOf,
  WHOLE_ORDER,
  type EigenvalueChoice,
  type Spectrum,
} from "./5-spectrum.ts";

/** A symmetric matrix in f64, and what is certain of its errors. */
export interface VerifiedMatrix {
  /** [order, order] row-major, symmetric to the bit. */
  readonly gram: Float64Array;
  readonly order: number;
  /** ‖δJ‖ where the matrix is meant as a Gram matrix J Jᵀ, but stands for (J + δJ)(J + δJ)ᵀ; default 0. */
  readonly jacobianError?: number;
  /** ‖computed − meant‖₂ beside that; default 0. */
  readonly rounding?: number;
}

/**
 * Eigenvalues of a symmetric matrix with intervals that are guaranteed, in f64 on the CPU.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 1, 2); // eigenvalues 3 and 1
 * const { eigenvalues, errorBounds } = await verifiedSpectrum(gpu, { gram, order: 2 });
 * ```
 *
 * @param gpu where `vectors` are put; not used else
 *
 * **Error** of the solver as `enclose` says, + rounding; then, as σ(J) = √λ moves by ‖δJ‖ at the most, an interval
 * [lo, hi] becomes [(√lo − ‖δJ‖)², (√hi + ‖δJ‖)²]: for a small λ far less than ‖δJ‖ √λ_max.
 * **Cost** about 11 n³ flops: n = 512 half a second, 1024 four, 2048 half a minute.
 * @throws InputError beyond n = 4096
 */
export async function verifiedSpectrum(
  gpu: Gpu,
  { gram, order: n, jacobianError = 0, rounding = 0 }: VerifiedMatrix,
  options: EigenvalueChoice = {},
): Promise<Spectrum> {
  if (n > WHOLE_ORDER)
    throw new InputError(
      `verifiedSpectrum: the matrix is ${n} × ${n}, but at most ${WHOLE_ORDER} × ${WHOLE_ORDER} are verified. Take fewer samples, or another precision.`,
    );
  const job: Job = { signal: options.signal, onProgress: options.onProgress };
  const { top, bottom } = endsOf(options, n);
  const eigen = await denseEigen(gpu, gram, n, job);
  const solver = await enclose(gpu, gram, n, eigen, job);
  const { trace, effectiveRank } = figuresOf(gram, n);
  const { values } = eigen;
  /** Half width around value i with some of the errors. */
  const halfWidth = (i: number, additive: number, jacobian: number): number => {
    if (jacobian === 0) return additive;
    const low = Math.max(0, Math.sqrt(Math.max(0, values[i] - additive)) - jacobian) ** 2;
    const high = (Math.sqrt(Math.max(0, values[i] + additive)) + jacobian) ** 2;
    // The differences are of numbers near values[i]: their own roundings.
    return Math.max(high - values[i], values[i] - low) + 8 * U64 * (high + Math.abs(values[i]));
  };
  const bounds = values.map((_, i) => halfWidth(i, solver[i] + rounding, jacobianError));
  const places = placesOf(n, top, bottom);
  const pick = (list: Float64Array) => Float64Array.from(places, (place) => list[place]);
  const least = n - 1;
  const count = Math.min(options.vectors ?? 0, places.length);
  const chosen = places
    .slice(0, count)
    .flatMap((place) => [...eigen.vectors.subarray(place * n, (place + 1) * n)]);
  return {
    eigenvalues: pick(values),
    errorBounds: pick(bounds),
    lambdaMax: values[0],
    lambdaMin: values[least],
    lambdaMinBound: bounds[least],
    condition: Math.abs(values[least]) > bounds[least] ? values[0] / values[least] : null,
    effectiveRank,
    trace,
    precision: "verified",
    boundKind: "guaranteed",
    confidence: 1,
    errorTerms: {
      solver: pick(solver),
      products: pick(values.map(() => rounding)),
      features: pick(values.map((_, i) => halfWidth(i, 0, jacobianError))),
    },
    steps: n,
    converged: bounds.every((bound) => bound < Infinity),
    vectors: count > 0 ? gpu.upload("eigenvectors", count, n, Float32Array.from(chosen)) : null,
  };
}
