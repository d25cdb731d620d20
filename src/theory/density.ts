import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions } from "../gpu/values.ts";
import { normals64 } from "../stages/0-normal.ts";
import { hostLanczos } from "../stages/4-krylov.ts";
import { lanczos, ritzVectors } from "../stages/4-lanczos.ts";
import { implicitQl, type Tridiagonal } from "../stages/4-tridiagonal.ts";
import { figuresOf } from "../stages/5-spectrum.ts";

/** How a density is estimated, and where. */
export interface DensityOptions extends Job {
  /** Random start vectors; more of them narrow the error bars as 1/√probes. Default 16, at least 2. */
  readonly probes?: number;
  /** Lanczos steps a vector, and so points of the quadrature; default 64, or n where that is less. */
  readonly steps?: number;
  /** Points of the grid; default 401. */
  readonly points?: number;
  /** Spacing of the grid, and of the smoothing; `auto` (default): log where Ritz values span over 1000 and are positive. */
  readonly axis?: "auto" | "linear" | "log";
  /** Seed of the start vectors; default 0. */
  readonly seed?: number;
}

/** The distribution of a matrix's eigenvalues, each of n with weight 1/n. */
export interface Density {
  /** λ, ascending. */
  readonly grid: Float64Array;
  /** Probability a unit of λ, smoothed by a Gaussian of deviation `width`. */
  readonly density: Float64Array;
  /** Standard error of each of `density`, from probe to probe. */
  readonly densityErrors: Float64Array;
  /** Mean of λ, λ², λ³, λ⁴: tr Hᵏ / n. */
  readonly moments: Float64Array;
  /** Standard error of each of `moments`. */
  readonly momentErrors: Float64Array;
  readonly axis: "linear" | "log";
  /** In units of λ on a linear axis, of ln λ on a logarithmic one. */
  readonly width: number;
  readonly probes: number;
  readonly steps: number;
}

/** Nodes and weights that stand for one random vector's share of the spectrum. */
export interface Quadrature {
  readonly values: Float64Array;
  /** Squares of the first components of T's eigenvectors; their sum is 1. */
  readonly weights: Float64Array;
}

const MOMENTS = 4;
/** Deviations of the smoothing that the grid reaches beyond the outermost Ritz values. */
const MARGIN = 4;
/** The smoothing's deviation in units of range / steps: nodes of a quadrature are π / 2 of them apart at the most. */
const SMOOTHING = 2;

/** Gauss's quadrature of a Lanczos run for the measure of its start vector. **From** Golub & Meurant 1994. */
export function quadrature(tridiagonal: Tridiagonal): Quadrature {
  const first = new Float64Array(tridiagonal.diagonal.length);
  first[0] = 1;
  const { values, rows } = implicitQl(tridiagonal, first, 1);
  return { values, weights: rows.map((component) => component * component) };
}

/**
 * The spectral density of a symmetric matrix on the device, by stochastic Lanczos quadrature; the eight largest
 * eigenvalues are found by themselves, so that random vectors need only tell of the others.
 *
 * @param matrix [n, n], both triangles stored
 *
 * **Error** statistical, as `densityErrors` and `momentErrors` say; the quadrature itself is exact for polynomials up to
 * degree 2 · steps − 1, so that on a linear axis the smoothing hides its nodes. On a logarithmic one, what lies near 0 is
 * as fine as the Ritz values there: take more steps. **Cost** probes · (2 n² + 4 n · steps) · steps flops.
 * **From** Ubaru, Chen & Saad 2017.
 * @throws InputError for wrong options
 */
export async function spectralDensity(
  gpu: Gpu,
  matrix: Matrix,
  options: DensityOptions = {},
): Promise<Density> {
  const { rows: n } = matrix;
  const { probes, steps, seed } = checked("spectralDensity", options, n);
  const { size } = figuresOf(await gpu.read(matrix, options), n);
  const scaled = { signal: options.signal, size: size || 1 };
  const largest = await outliers(gpu, matrix, Math.min(OUTLIERS, Math.floor(n / 8)), scaled);
  const rest = (n - largest.values.length) / n;
  const found: Quadrature[] = [];
  for (let probe = 0; probe < probes; probe++) {
    const onProgress =
      options.onProgress &&
      (({ share }: { share: number }) =>
        options.onProgress?.({ stage: "density", share: (probe + share) / probes }));
    const begin = (seed + probe) % 2 ** 32;
    const start = without(normals64(begin, n), largest.vectors);
    using run = await lanczos(gpu, matrix, { ...scaled, onProgress, steps, seed: begin, start });
    const { values, weights } = quadrature(run.tridiagonal);
    found.push({
      values: Float64Array.of(...largest.values, ...values),
      weights: Float64Array.of(
        ...largest.values.map(() => 1 / n),
        ...weights.map((weight) => weight * rest),
      ),
    });
  }
  return densityOf(found, steps, options);
}

/** Eigenvalues at the upper end that are taken as they are, out of the random vectors' way: they would dominate the error. */
const OUTLIERS = 8;

/** The largest eigenvalues that converge, and their vectors. */
async function outliers(
  gpu: Gpu,
  matrix: Matrix,
  count: number,
  job: Job & { readonly size: number },
): Promise<{ values: readonly number[]; vectors: readonly Float32Array[] }> {
  if (count === 0) return { values: [], vectors: [] };
  const n = matrix.rows;
  using run = await lanczos(gpu, matrix, { ...job, steps: Math.min(n, 128), top: count });
  const size = Math.abs(run.values[0]);
  const sure = Array.from({ length: Math.min(count, run.steps) }, (_, place) => place).filter(
    (place) => run.residuals[place] <= 2 ** -20 * size,
  );
  if (sure.length === 0) return { values: [], vectors: [] };
  using vectors = await ritzVectors(gpu, run, sure, job);
  const rows = await gpu.read(vectors, job);
  return {
    values: sure.map((place) => run.values[place]),
    vectors: sure.map((_, row) => rows.subarray(row * n, (row + 1) * n)),
  };
}

/** x less its parts along orthonormal vectors, twice, in f32. */
function without(x: Float64Array, vectors: readonly Float32Array[]): Float32Array {
  for (let round = 0; round < 2; round++)
    for (const vector of vectors) {
      let along = 0;
      for (let i = 0; i < x.length; i++) along += vector[i] * x[i];
      for (let i = 0; i < x.length; i++) x[i] -= along * vector[i];
    }
  return Float32Array.from(x);
}

/**
 * The same for a matrix that is known only by what it makes of vectors, as `kernelTimes` gives it.
 *
 * ```ts
 * using onDevice = uploadWeights(gpu, net, weights(net, 0));
 * using acts = await forward(gpu, net, onDevice, normals(1, 50 * net.inputs));
 * const times = (v: Float32Array) => kernelTimes(gpu, net, onDevice, acts, v);
 * const { moments } = await operatorDensity(times, 50 * net.outputs, { probes: 4, steps: 10 });
 * ```
 *
 * @param times v [n] ↦ A v [n], A symmetric
 *
 * **Cost** probes · steps products, and 4 n · steps² operations a probe on the CPU.
 */
export async function operatorDensity(
  times: (vector: Float32Array) => Promise<Float32Array | Float64Array>,
  n: number,
  options: DensityOptions = {},
): Promise<Density> {
  const { probes, steps, seed } = checked("operatorDensity", options, n);
  const found: Quadrature[] = [];
  for (let probe = 0; probe < probes; probe++) {
    let step = 0;
    const follow = async (vector: Float64Array): Promise<Float64Array> => {
      options.signal?.throwIfAborted();
      options.onProgress?.({ stage: "density", share: (probe + step++ / steps) / probes });
      return Float64Array.from(await times(Float32Array.from(vector)));
    };
    const start = normals64((seed + probe) % 2 ** 32, n);
    found.push(quadrature((await hostLanczos(follow, start, steps)).tridiagonal));
  }
  return densityOf(found, steps, options);
}

function checked(caller: string, options: DensityOptions, n: number) {
  checkOptions(caller, options, [
    ...["probes", "steps", "points", "axis", "seed", "signal", "onProgress"],
  ]);
  const { probes = 16, steps = Math.min(n, 64), points = 401, seed = 0, axis = "auto" } = options;
  for (const [name, value, least, most] of [
    ["probes", probes, 2, 2 ** 16],
    ["steps", steps, 1, n],
    ["points", points, 2, 2 ** 20],
    ["seed", seed, 0, 2 ** 32 - 1],
  ] as const)
    if (!(Number.isSafeInteger(value) && value >= least && value <= most))
      throw new InputError(
        `${caller}: ${name} is ${value}, but must be a whole number from ${least} to ${most}. Correct it.`,
      );
  if (!["auto", "linear", "log"].includes(axis))
    throw new InputError(
      `${caller}: axis is ${axis}, but must be auto, linear or log. Choose one.`,
    );
  return { probes, steps, seed };
}

/** Mean and standard error of it, entry by entry. */
function statistics(lists: readonly Float64Array[]): { mean: Float64Array; error: Float64Array } {
  const count = lists.length;
  const mean = lists[0].map((_, k) => lists.reduce((sum, list) => sum + list[k], 0) / count);
  const error = mean.map((middle, k) =>
    Math.sqrt(lists.reduce((sum, list) => sum + (list[k] - middle) ** 2, 0) / (count - 1) / count),
  );
  return { mean, error };
}

/** Density and moments from one quadrature a probe. */
function densityOf(found: readonly Quadrature[], steps: number, options: DensityOptions): Density {
  const { points = 401, axis: asked = "auto" } = options;
  // Nodes without weight are rounding, or another block of a matrix that fell apart.
  const seen = found.flatMap(({ values, weights }) =>
    Array.from(values).filter((_, k) => weights[k] > 2 ** -40),
  );
  const low = seen.reduce((least, value) => Math.min(least, value), Infinity);
  const high = seen.reduce((most, value) => Math.max(most, value), -Infinity);
  const log = asked === "log" || (asked === "auto" && low > 0 && high > 1000 * low);
  if (log && !(low > 0))
    throw new InputError(
      `density: the axis is log, but a Ritz value is ${low}, not above 0. Choose linear.`,
    );
  const place = log ? Math.log : (value: number) => value;
  const span = place(high) - place(low);
  // All in one place: a share of its size stands for the range.
  const range = span > 0 ? span : log ? 1 : Math.abs(high) || 1;
  const width = (SMOOTHING * range) / Math.max(8, steps);
  const from = place(low) - MARGIN * width;
  const step = (span + 2 * MARGIN * width) / (points - 1);
  const at = Float64Array.from({ length: points }, (_, k) => from + k * step);
  const grid = log ? at.map(Math.exp) : at;
  const smoothed = statistics(
    found.map(({ values, weights }) =>
      at.map((x, k) => {
        let sum = 0;
        for (let node = 0; node < values.length; node++)
          if (weights[node] > 2 ** -40)
            sum += weights[node] * Math.exp(-0.5 * ((x - place(values[node])) / width) ** 2);
        return sum / (width * Math.sqrt(2 * Math.PI)) / (log ? grid[k] : 1);
      }),
    ),
  );
  const powers = statistics(
    found.map(({ values, weights }) =>
      Float64Array.from({ length: MOMENTS }, (_, k) =>
        values.reduce((sum, value, node) => sum + weights[node] * value ** (k + 1), 0),
      ),
    ),
  );
  return {
    grid,
    density: smoothed.mean,
    densityErrors: smoothed.error,
    moments: powers.mean,
    momentErrors: powers.error,
    axis: log ? "log" : "linear",
    width,
    probes: found.length,
    steps,
  };
}
