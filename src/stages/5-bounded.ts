import { InputError, NonFiniteError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { largest64, powerInto } from "./0-double.ts";
import type { HostMatrix } from "./4-cholesky.ts";
import { denseEigen, denseValues, solverBound } from "./4-dense.ts";
import { enclose } from "./5-enclosure.ts";
import { greatestEigenvalue, leastEigenvalue } from "./5-extremes.ts";
import {
  endsOf,
  figuresOf,
  halfWidth,
  placesOf,
  WHOLE_ORDER,
  type EigenvalueChoice,
  type EndsSolver,
  type MatrixErrors,
  type Spectrum,
} from "./5-spectrum.ts";

/** Eigenvectors that are made by themselves, without all others. */
const FEW = 32;

/** Up to this order every eigenvalue is solved for in f64 on the CPU. */
const SOLVED_ORDER = 2048;

/** From this order on eigenvalues at the ends are found by themselves, where no others are wanted. */
const EXTREME_ORDER = 256;

/** Up to this order they are found at all: minutes, and three matrices of 2 GiB, five for several. */
const ENDS_ORDER = 16384;

/** Whether eigenvalues at the ends alone are wanted, and few enough for what finds them. */
const onlyExtremes = (order: number, options: EigenvalueChoice): boolean => {
  const { top, bottom } = endsOf(options, order);
  const few = options.ends ? order / 32 : 1;
  return order >= EXTREME_ORDER && top <= few && bottom <= few && !options.vectors;
};

/** Whether eigenvalues of a matrix of this order are solved for in f64 on the CPU, unless that is asked for. */
export const isSolved = (order: number, options: EigenvalueChoice): boolean =>
  order <= SOLVED_ORDER || (order <= WHOLE_ORDER && onlyExtremes(order, options));

/** @throws InputError for a matrix that is too large to be solved in f64 on the CPU */
export function checkSolvable(order: number, options: EigenvalueChoice): void {
  const most = onlyExtremes(order, options) ? ENDS_ORDER : WHOLE_ORDER;
  if (order > most)
    throw new InputError(
      `boundedSpectrum: the matrix is ${order} × ${order}, but at most ${most} × ${most} are solved in f64. Take fewer samples, ${most < ENDS_ORDER ? "fewer eigenvalues, " : ""}or another precision.`,
    );
}

/** Every eigenvalue, with what the solver may be off by, and every eigenvector. */
async function whole(gpu: Gpu, { gram, order }: HostMatrix, job: Job) {
  // Squares of residuals must neither vanish nor overflow either.
  const power = powerInto(largest64(gram));
  const near = power === 1 ? gram : gram.map((value) => value * power);
  const { values, vectors } = await denseEigen(gpu, near, order, job);
  const solver = await enclose(gpu, near, order, { values, vectors }, job);
  // What a bound may lose where it becomes subnormal.
  const lost = power === 1 ? 0 : Number.MIN_VALUE;
  return {
    vectors,
    values: values.map((value) => value / power),
    solver: solver.map((bound) => bound / power + lost),
  };
}

/** Every eigenvalue, and the vectors that are wanted or all, where no interval is guaranteed anyway. */
async function plain(gpu: Gpu, { gram, order }: HostMatrix, wanted: readonly number[], job: Job) {
  const { values, vectors } =
    wanted.length <= FEW
      ? await denseValues(gpu, gram, order, wanted, job)
      : await denseEigen(gpu, gram, order, job);
  const bound = solverBound(values);
  return { values, vectors, solver: values.map(() => bound) };
}

/** The first and the last eigenvalue alone; NaN in the places between. */
const extremes: EndsSolver = async (gpu, matrix, job) => {
  const [most, least] = [
    await greatestEigenvalue(gpu, matrix, job),
    await leastEigenvalue(gpu, matrix, job),
  ];
  const values = new Float64Array(matrix.order).fill(NaN);
  const solver = values.slice();
  [values[0], solver[0]] = [most.value, most.bound];
  [values[matrix.order - 1], solver[matrix.order - 1]] = [least.value, least.bound];
  return { values, solver };
};

/** A symmetric matrix in f64, and what is known of its errors. */
export interface BoundedMatrix extends HostMatrix, MatrixErrors {
  /** The probability that the errors are not larger; default 1. */
  readonly confidence?: number;
}

/**
 * Eigenvalues of a symmetric matrix in f64 on the CPU, each with an interval; guaranteed as far as the matrix is.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 1, 2); // eigenvalues 3 and 1
 * const { eigenvalues, errorBounds } = await boundedSpectrum(gpu, { gram, order: 2 });
 * ```
 *
 * @param gpu where `vectors` are put; not used else
 *
 * **Error** of the solver as `enclose` says; what is known of the matrix as {@link halfWidth} says.
 * **Cost** about 8 n³ flops: n = 512 a quarter of a second, 1024 one and a half, 2048 ten; of λ_max and λ_min alone, from
 * n = 256 on, about n³: a quarter of that time; with `ends` of up to n / 32 at either end, little more.
 * @throws InputError beyond n = 4096; of so few alone, without `vectors`, beyond 16384
 */
export async function boundedSpectrum(
  gpu: Gpu,
  { gram, order: n, confidence = 1, ...errors }: BoundedMatrix,
  options: EigenvalueChoice = {},
): Promise<Omit<Spectrum, "precision">> {
  checkSolvable(n, options);
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
  const places = placesOf(n, top, bottom);
  const wanted = places.slice(0, Math.min(options.vectors ?? 0, places.length));
  const none = new Float64Array(0);
  const { ends = extremes } = options;
  const { values, vectors, solver } = onlyExtremes(n, options)
    ? { vectors: none, ...(await ends(gpu, { gram, order: n }, job, top || 1, bottom || 1)) }
    : confidence < 1
      ? await plain(gpu, { gram, order: n }, wanted, job)
      : await whole(gpu, { gram, order: n }, job);
  const { trace, effectiveRank } = figuresOf(gram, n);
  const bounds = values.map((_, i) => halfWidth(values[i], solver[i], errors));
  const pick = (list: Float64Array) => Float64Array.from(places, (place) => list[place]);
  const least = n - 1;
  // All vectors where all were made, else those that are wanted, one after the other.
  const rowOf = (r: number) => (vectors.length === n * n ? wanted[r] : r);
  const count = wanted.length;
  const chosen = new Float32Array(count * n);
  for (let r = 0; r < count; r++)
    chosen.set(vectors.subarray(rowOf(r) * n, (rowOf(r) + 1) * n), r * n);
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
    converged: places.every((place) => bounds[place] < Infinity),
    vectors: count > 0 ? gpu.upload("eigenvectors", count, n, chosen) : null,
  };
}
