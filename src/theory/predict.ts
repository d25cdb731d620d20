import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { rowProducts, turned, U64 } from "../stages/0-double.ts";
import type { HostMatrix } from "../stages/4-cholesky.ts";
import { cholesky } from "./cholesky.ts";
import { denseEigen } from "../stages/4-dense.ts";
import { descentFilter, flowFilter, functionTimes, type Filter } from "./filters.ts";

/** When a prediction is for: a time of the flow, also ∞, or after steps of descent. */
export type Moment = { readonly time: number } | { readonly rate: number; readonly steps: number };

/** Functions of a symmetric matrix, applied to vectors. */
export interface MatrixFunctions {
  /** f(A) v. */
  apply(f: (lambda: number) => number, vector: Float64Array): Promise<Float64Array>;
  /** Eigenvalues up to this are not told from 0. */
  readonly floor: number;
  /** How many eigenvalues are above `floor`; null where they were not computed. */
  readonly rank: number | null;
}

/** Up to this order all eigenvectors are computed, once; beyond it each vector has its own Lanczos run. */
const SPECTRAL_ORDER = 2048;

/**
 * Prepares functions of a kernel: by its eigenvectors, or by Krylov spaces where it is too large for them.
 *
 * @param error ‖ΔA‖, what the kernel may be off by: eigenvalues up to it count as 0
 *
 * **Cost** up to order 2048 about 6 n³ flops at once and 4 n² a vector, beyond it up to 256 products a vector.
 */
export async function matrixFunctions(
  gpu: Gpu,
  matrix: HostMatrix,
  error = 0,
  job?: Job,
): Promise<MatrixFunctions> {
  const { gram, order: n } = matrix;
  if (n > SPECTRAL_ORDER)
    return { apply: (f, vector) => functionTimes(matrix, f, vector), floor: error, rank: null };
  const { values, vectors } = await denseEigen(gpu, gram, n, job);
  const columns = turned(vectors, n);
  const floor = Math.max(error, 8 * n * U64 * Math.abs(values[0]));
  return {
    async apply(f, vector) {
      const along = new Float64Array(n);
      rowProducts(vector, 0, 1, vectors, n, n, along);
      for (let i = 0; i < n; i++) along[i] *= f(values[i]);
      const out = new Float64Array(n);
      rowProducts(along, 0, 1, columns, n, n, out);
      return out;
    },
    floor,
    rank: values.reduce((count, value) => count + (value > floor ? 1 : 0), 0),
  };
}

const filterOf = (moment: Moment, functions: MatrixFunctions): Filter => {
  if ("steps" in moment) return descentFilter(moment.rate, moment.steps, functions.floor);
  const { time } = moment;
  if (!(time >= 0))
    throw new InputError(`predict: time is ${time}, but must be from 0, or ∞. Correct it.`);
  return flowFilter(time, functions.floor);
};

/** What is known of samples before training: kernel blocks in f64, and where training starts. */
export interface Blocks {
  /** H [N, N] of the training points, N = n · O, index i · O + a. */
  readonly gram: Float64Array;
  /** K [M, N] between test points and training points. */
  readonly cross: Float64Array;
  /** y [N]. */
  readonly targets: ArrayLike<number>;
  /** f_0 of the training points [N]; default 0. */
  readonly start?: ArrayLike<number>;
  /** f_0 of the test points [M]; default 0. */
  readonly startTest?: ArrayLike<number>;
  /** ‖ΔH‖ of the kernel, below which eigenvalues count as 0; default 0. */
  readonly error?: number;
}

/** What a linear model has learnt at a moment. */
export interface Prediction {
  /** f_t of the test points [M]. */
  readonly mean: Float64Array;
  /** f_t − y of the training points [N]. */
  readonly residual: Float64Array;
  /** Eigenvalues of H that are told from 0; null where they were not computed. */
  readonly rank: number | null;
}

/**
 * What the linearization of a network, or kernel regression, predicts at any time of its training with the sum loss
 * ½ Σ r²; never NaN, also for a singular H:
 *
 *   r_t = e^(−Ht) r_0        f_t(x) = f_0(x) − K(x, X) · t φ₁(−Ht) · r_0        φ₁(z) = (e^z − 1) / z
 *
 * and for k steps of descent (1 − ηH)^k and Σ_j<k η (1 − ηH)^j in their place. At ∞ the pseudo-inverse of H.
 *
 * ```ts
 * const gram = Float64Array.of(1, 1, 1, 1); // two equal samples
 * const { mean } = await predict(gpu, { gram, cross: gram, targets: [1, 2] }, { time: 0.5 });
 * ```
 *
 * **Error** of the functions about 2⁻⁵⁰ by eigenvectors, 1e-10 by Krylov spaces, each times ‖K‖ t ‖r_0‖; the kernels'
 * own errors come on top. **Cost** as {@link matrixFunctions}. **From** Lee et al. 2019.
 * @throws InputError for wrong shapes or times
 */
export async function predict(
  gpu: Gpu,
  { gram, cross, targets, start, startTest, error }: Blocks,
  moment: Moment,
  job?: Job,
): Promise<Prediction> {
  const order = targets.length;
  const tests = cross.length / order;
  for (const [name, length, right] of [
    ["gram", gram.length, order * order],
    ["cross", cross.length, Math.round(tests) * order],
    ["start", start?.length ?? order, order],
    ["startTest", startTest?.length ?? tests, tests],
  ] as const)
    if (length !== right || order === 0)
      throw new InputError(
        `predict: ${name} holds ${length} values, but for ${order} targets must hold ${right}. Check its shape.`,
      );
  const residual = Float64Array.from(targets, (y, at) => (start?.[at] ?? 0) - y);
  const at = (learnt: Float64Array): Float64Array => {
    const change = new Float64Array(tests);
    rowProducts(learnt, 0, 1, cross, tests, order, change);
    return change.map((value, place) => (startTest?.[place] ?? 0) - value);
  };
  if (order > SPECTRAL_ORDER && "time" in moment && moment.time === Infinity) {
    const factor = await cholesky(gpu, { gram, order }, 0, job);
    const resolved = error ? await cholesky(gpu, { gram, order }, -error, job) : factor;
    if (!factor.definite || !resolved.definite)
      throw new InputError(
        `predict: time is ∞ and the kernel is singular as far as can be told, but for more than ${SPECTRAL_ORDER} rows must be definite. Take a finite time.`,
      );
    const { values } = await factor.solve(residual, job);
    return { mean: at(values), residual: new Float64Array(order), rank: order };
  }
  const functions = await matrixFunctions(gpu, { gram, order }, error, job);
  const { left, gain } = filterOf(moment, functions);
  return {
    mean: at(await functions.apply(gain, residual)),
    residual: await functions.apply(left, residual),
    rank: functions.rank,
  };
}

/** An ensemble's outputs at test points: normal, as infinite width has it. */
export interface Ensemble {
  /** [M]. */
  readonly mean: Float64Array;
  /** [M, M]. */
  readonly covariance: Float64Array;
}

/**
 * Mean and covariance over random initializations of infinitely wide networks after training:
 *
 *   A = Θ_TD · t φ₁(−Θt)        mean = A y        cov = K_TT + A K_DD Aᵀ − A K_DT − K_TD Aᵀ
 *
 * @param ntk Θ_DD [N, N] and Θ_TD [M, N]
 * @param nngp K_DD [N, N], K_TD [M, N] and K_TT [M, M]
 *
 * **Cost** as {@link matrixFunctions}, and 4 N² M flops. **From** Lee et al. 2019, eq. 16.
 */
export async function ensemble(
  gpu: Gpu,
  ntk: { readonly gram: Float64Array; readonly cross: Float64Array },
  nngp: {
    readonly gram: Float64Array;
    readonly cross: Float64Array;
    readonly test: Float64Array;
  },
  targets: ArrayLike<number>,
  moment: Moment,
  job?: Job,
): Promise<Ensemble> {
  const order = targets.length;
  const tests = ntk.cross.length / order;
  const functions = await matrixFunctions(gpu, { gram: ntk.gram, order }, 0, job);
  const { gain } = filterOf(moment, functions);
  const a = new Float64Array(tests * order);
  for (let i = 0; i < tests; i++)
    a.set(await functions.apply(gain, ntk.cross.slice(i * order, (i + 1) * order)), i * order);
  const mean = new Float64Array(tests);
  rowProducts(Float64Array.from(targets), 0, 1, a, tests, order, mean);
  const seen = new Float64Array(tests * order);
  rowProducts(a, 0, tests, nngp.gram, order, order, seen);
  const [inside, across] = [new Float64Array(tests * tests), new Float64Array(tests * tests)];
  rowProducts(seen, 0, tests, a, tests, order, inside);
  rowProducts(a, 0, tests, nngp.cross, tests, order, across);
  const covariance = nngp.test.map((value, at) => {
    const [i, j] = [Math.floor(at / tests), at % tests];
    return value + inside[at] - across[at] - across[j * tests + i];
  });
  return { mean, covariance };
}

/**
 * The share of samples whose class is told right: by the sign for one output, by the largest for several.
 *
 * @param outputs, targets [n, O]
 */
export function accuracy(
  values: ArrayLike<number>,
  targets: ArrayLike<number>,
  outputs: number,
): number {
  const n = targets.length / outputs;
  const classOf = (row: ArrayLike<number>, i: number): number => {
    if (outputs === 1) return row[i] > 0 ? 1 : 0;
    let best = 0;
    for (let o = 1; o < outputs; o++) if (row[i * outputs + o] > row[i * outputs + best]) best = o;
    return best;
  };
  let right = 0;
  for (let i = 0; i < n; i++) right += classOf(values, i) === classOf(targets, i) ? 1 : 0;
  return right / n;
}
