import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../gpu/matrix.ts";
import { matrixBytes } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions } from "../gpu/values.ts";
import { U64 } from "./0-double.ts";
import type { HostMatrix } from "./4-cholesky.ts";
import { lanczos, ritzVectors } from "./4-lanczos.ts";
import { ritzError } from "./5-bound.ts";

/** How much is done for the intervals; each is one word of `--precision`. */
export const PRECISIONS = ["fast", "compensated", "verified"] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Which eigenvalues are wanted. */
export interface EigenvalueChoice extends Job {
  /** Eigenvalues at the upper end; neither `top` nor `bottom`: all up to n = 4096, else 10 and 10. */
  readonly top?: number;
  /** Eigenvalues at the lower end. */
  readonly bottom?: number;
  /** Every eigenvalue, whatever n. */
  readonly all?: boolean;
  /** For how many of the eigenvalues, from the first, eigenvectors are wanted too; default 0. */
  readonly vectors?: number;
  /**
   * Finds several eigenvalues at both ends in f64 without the others, `extremeEigenvalues` of `webgpu-ntk/theory`. Without
   * it λ_max and λ_min alone are found so.
   */
  readonly ends?: EndsSolver;
}

/**
 * Finds `top` and `bottom` eigenvalues of a symmetric matrix, at least one of each.
 *
 * @returns values in the order of all [n], largest first, and guaranteed half widths; those between are not looked at
 */
export type EndsSolver = (
  gpu: Gpu,
  matrix: HostMatrix,
  job: Job,
  top: number,
  bottom: number,
) => Promise<{ readonly values: Float64Array; readonly solver: Float64Array }>;

/** Which eigenvalues are wanted, and what is known of the matrix. */
export interface SpectrumOptions extends EigenvalueChoice, MatrixErrors {
  /** The matrix on the host [n, n], where it is more exact than on the device; default what the device holds. */
  readonly values?: Float32Array | Float64Array;
}

/** Eigenvalues of a symmetric matrix with intervals. */
export interface Spectrum {
  /** Largest first; those asked for. */
  readonly eigenvalues: Float64Array;
  /** Half width of an interval around each of `eigenvalues` that holds the exact one. */
  readonly errorBounds: Float64Array;
  readonly lambdaMax: number;
  readonly lambdaMin: number;
  /** Half width of λ_min's interval. */
  readonly lambdaMinBound: number;
  /** λ_max / λ_min; null where λ_min's interval holds 0. */
  readonly condition: number | null;
  /** (tr H)² / ‖H‖_F². */
  readonly effectiveRank: number;
  readonly trace: number;
  readonly precision: Precision;
  /** `guaranteed`, or resting on random probes and samples. */
  readonly boundKind: "probabilistic" | "guaranteed";
  /** The probability that the bounds hold with. */
  readonly confidence: number;
  /** What each half width consists of, by what is to blame for it; each as long as `eigenvalues`. */
  readonly errorTerms: Readonly<Record<string, Float64Array>>;
  readonly steps: number;
  readonly converged: boolean;
  /** Unit eigenvectors [vectors, n], the caller's to destroy; null unless asked for. */
  readonly vectors: Matrix | null;
}

/** Up to this order, all eigenvalues are computed unless fewer are asked for. */
export const WHOLE_ORDER = 4096;
const ENDS = 10;

/** A round figure below what the probes (failure below 1e-6) and the samples of `gramError` give. */
export const CONFIDENCE = 0.9999;

/**
 * Eigenvalues of a symmetric matrix on the device, largest first, each with an interval.
 *
 * @param matrix [n, n], both triangles stored
 * @returns see {@link Spectrum}
 *
 * **Error** half widths: the iteration's residual, what rounding did to basis and T (measured in f64 by
 * random vectors), and what is known of the matrix, as {@link halfWidth} says.
 * **Cost** all: about 6 n³ flops on the device, 450 n² on the CPU.
 * @throws InputError for wrong options, GpuError "limit" where the basis does not fit a binding
 */
export async function spectrum(
  gpu: Gpu,
  matrix: Matrix,
  options: SpectrumOptions = {},
): Promise<Spectrum> {
  checkOptions("spectrum", options, [
    "top",
    "bottom",
    "all",
    "vectors",
    "ends",
    "values",
    "matrixError",
    "jacobianError",
    "wholeError",
    "signal",
    "onProgress",
  ]);
  const n = matrix.rows;
  if (matrix.columns !== n)
    throw new InputError(
      `spectrum: the matrix is ${n} × ${matrix.columns}, but must be square. Hand in a symmetric matrix.`,
    );
  if (options.values !== undefined && options.values.length !== n * n)
    throw new InputError(
      `spectrum: values holds ${options.values.length} numbers, but the matrix has ${n * n}. Check their shape.`,
    );
  const { matrixError = 0, vectors = 0, signal, onProgress } = options;
  const job: Job = { signal, onProgress };
  const { all, top, bottom } = endsOf(options, n);
  const values = options.values?.slice() ?? (await gpu.read(matrix, job));
  const { trace, size, effectiveRank } = figuresOf(values, n);

  const { maxStorageBufferBindingSize: most } = gpu.limits;
  const fitting = Math.floor(most / matrixBytes(16, n)) * 16 - 1;
  using krylov = await lanczos(gpu, matrix, {
    steps: all ? n : Math.min(n, fitting),
    ...(all ? {} : { top: Math.max(top, 1), bottom: Math.max(bottom, 1) }),
    size: size || 1,
    signal,
    onProgress,
  });
  const basisError = await ritzError(gpu, values, krylov, job);
  const { steps, residuals } = krylov;
  const places = placesOf(steps, top, bottom);
  const each = (value: number) => new Float64Array(places.length).fill(value);
  const lambdaMax = krylov.values[0];
  const lambdaMin = krylov.values[steps - 1];
  const boundAt = (place: number): number =>
    halfWidth(krylov.values[place], residuals[place] + basisError, options);
  const lambdaMinBound = boundAt(steps - 1);
  return {
    eigenvalues: Float64Array.from(places, (place) => krylov.values[place]),
    errorBounds: Float64Array.from(places, boundAt),
    lambdaMax,
    lambdaMin,
    lambdaMinBound,
    condition: Math.abs(lambdaMin) > lambdaMinBound ? lambdaMax / lambdaMin : null,
    effectiveRank,
    trace,
    precision: "fast",
    boundKind: "probabilistic",
    confidence: CONFIDENCE,
    errorTerms: {
      iteration: Float64Array.from(places, (place) => residuals[place]),
      basis: each(basisError),
      products: each(matrixError),
      features: Float64Array.from(places, (place) =>
        halfWidth(krylov.values[place], 0, { ...options, matrixError: 0 }),
      ),
    },
    steps,
    converged: krylov.converged,
    vectors: vectors > 0 ? await ritzVectors(gpu, krylov, places.slice(0, vectors), job) : null,
  };
}

/** How many eigenvalues are wanted at either end. @throws InputError where there are not so many */
export function endsOf(
  options: EigenvalueChoice,
  n: number,
): { all: boolean; top: number; bottom: number } {
  for (const key of ["top", "bottom"] as const) {
    const count = options[key];
    if (count !== undefined && !(Number.isSafeInteger(count) && count >= 1 && count <= n))
      throw new InputError(
        `spectrum: ${key} is ${count}, but there are ${n} eigenvalues. Ask for 1 to ${n}.`,
      );
  }
  const ends = options.top ?? options.bottom;
  const all = options.all ?? (ends === undefined && n <= WHOLE_ORDER);
  const some = ends === undefined ? Math.min(ENDS, n) : 0;
  return {
    all,
    top: all ? n : (options.top ?? some),
    bottom: all ? 0 : (options.bottom ?? some),
  };
}

/** Places of both ends among `count` values. */
export const placesOf = (count: number, top: number, bottom: number): number[] =>
  Array.from({ length: count }, (_, i) => i).filter(
    (place) => place < top || place >= count - bottom,
  );

/** Trace, largest |entry| and (tr A)² / ‖A‖_F² of a matrix [n, n]. */
export function figuresOf(
  values: Float32Array | Float64Array,
  n: number,
): { trace: number; size: number; effectiveRank: number } {
  let trace = 0;
  let squares = 0;
  let size = 0;
  for (let i = 0; i < n; i++) trace += values[i * n + i];
  for (let i = 0; i < n * n; i++) size = Math.max(size, Math.abs(values[i]));
  for (let i = 0; i < n * n && size > 0; i++) squares += (values[i] / size) ** 2;
  return { trace, size, effectiveRank: squares > 0 ? (trace / size) ** 2 / squares : 0 };
}

/** What is known of how far a computed matrix is from the one that is meant; each default 0. */
export interface MatrixErrors {
  /** ‖δJ‖ where the matrix is meant as a Gram matrix J Jᵀ, but stands for (J + δJ)(J + δJ)ᵀ. */
  readonly jacobianError?: number;
  /** ‖computed − meant‖₂ beside that. */
  readonly matrixError?: number;
  /** ‖computed − meant‖₂ of both together, where that is known by itself; default unknown. */
  readonly wholeError?: number;
}

/**
 * Half width of an interval around a computed eigenvalue λ:
 *
 *   [lo, hi] = λ ± (solver + matrixError), then [(√lo − ‖δJ‖)², (√hi + ‖δJ‖)²], as σ(J) = √λ moves by ‖δJ‖ at the most
 *
 * or λ ± (solver + wholeError), where that is less: for a small λ the first is, ‖δJ‖ √λ instead of ‖δJ‖ √λ_max.
 */
export function halfWidth(
  value: number,
  solver: number,
  { jacobianError = 0, matrixError = 0, wholeError = Infinity }: MatrixErrors,
): number {
  const additive = solver + matrixError;
  if (jacobianError === 0) return additive;
  const low = Math.max(0, Math.sqrt(Math.max(0, value - additive)) - jacobianError) ** 2;
  const high = (Math.sqrt(Math.max(0, value + additive)) + jacobianError) ** 2;
  // The differences are of numbers near the value: their own roundings.
  const rounded = 8 * U64 * (high + Math.abs(value));
  return Math.min(Math.max(high - value, value - low) + rounded, solver + wholeError);
}
