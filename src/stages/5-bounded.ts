import { InputError, NonFiniteError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { denseEigen } from "./4-dense.ts";
import { enclose } from "./5-enclosure.ts";
import {
  endsOf,
  figuresOf,
  halfWidth,
  placesOf,
  WHOLE_ORDER,
  type EigenvalueChoice,
  type MatrixErrors,
  type Spectrum,
} from "./5-spectrum.ts";

/** Up to this order eigenvalues are solved for in f64 on the CPU unless the device is asked to. */
export const SOLVED_ORDER = 1024;

/** A symmetric matrix in f64, and what is known of its errors. */
export interface BoundedMatrix extends MatrixErrors {
  /** [order, order] row-major, symmetric to the bit. */
  readonly gram: Float64Array;
  readonly order: number;
  /** The probability that the errors are not larger; default 1. */
  readonly confidence?: number;
}

/**
 * All eigenvalues of a symmetric matrix in f64 on the CPU, each with an interval; guaranteed as far as the matrix is.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 1, 2); // eigenvalues 3 and 1
 * const { eigenvalues, errorBounds } = await boundedSpectrum(gpu, { gram, order: 2 });
 * ```
 *
 * @param gpu where `vectors` are put; not used else
 *
 * **Error** of the solver as `enclose` says; what is known of the matrix as {@link halfWidth} says.
 * **Cost** about 11 n³ flops: n = 512 half a second, 1024 four, 2048 half a minute.
 * @throws InputError beyond n = 4096
 */
export async function boundedSpectrum(
  gpu: Gpu,
  { gram, order: n, confidence = 1, ...errors }: BoundedMatrix,
  options: EigenvalueChoice = {},
): Promise<Omit<Spectrum, "precision">> {
  if (n > WHOLE_ORDER)
    throw new InputError(
      `boundedSpectrum: the matrix is ${n} × ${n}, but at most ${WHOLE_ORDER} × ${WHOLE_ORDER} are solved in f64. Take fewer samples, or another precision.`,
    );
  for (let at = 0; at < n * n; at++)
    if (!Number.isFinite(gram[at]))
      throw new NonFiniteError(
        "boundedSpectrum",
        "the matrix",
        at,
        1,
        "Scale what it was made of.",
      );
  const job: Job = { signal: options.signal, onProgress: options.onProgress };
  const { top, bottom } = endsOf(options, n);
  const eigen = await denseEigen(gpu, gram, n, job);
  const solver = await enclose(gpu, gram, n, eigen, job);
  const { trace, effectiveRank } = figuresOf(gram, n);
  const { values } = eigen;
  const bounds = values.map((_, i) => halfWidth(values[i], solver[i], errors));
  const places = placesOf(n, top, bottom);
  const pick = (list: Float64Array) => Float64Array.from(places, (place) => list[place]);
  const least = n - 1;
  const count = Math.min(options.vectors ?? 0, places.length);
  const chosen = new Float32Array(count * n);
  for (let r = 0; r < count; r++)
    chosen.set(eigen.vectors.subarray(places[r] * n, (places[r] + 1) * n), r * n);
  return {
    eigenvalues: pick(values),
    errorBounds: pick(bounds),
    lambdaMax: values[0],
    lambdaMin: values[least],
    lambdaMinBound: bounds[least],
    condition: Math.abs(values[least]) > bounds[least] ? values[0] / values[least] : null,
    effectiveRank,
    trace,
    boundKind: confidence === 1 ? "guaranteed" : "probabilistic",
    confidence,
    errorTerms: {
      solver: pick(solver),
      products: pick(values.map(() => errors.matrixError ?? 0)),
      features: pick(values.map((value) => halfWidth(value, 0, { ...errors, matrixError: 0 }))),
    },
    steps: n,
    converged: bounds.every((bound) => bound < Infinity),
    vectors: count > 0 ? gpu.upload("eigenvectors", count, n, chosen) : null,
  };
}
