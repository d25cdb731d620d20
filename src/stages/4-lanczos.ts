import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import { checkMatrixFits } from "../gpu/plan.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions, ownValues, type Values } from "../gpu/values.ts";
import { norm64 } from "./0-double.ts";
import { normals64 } from "./0-normal.ts";
import { storeProduct } from "./0-product.ts";
import { LanczosStep } from "./4-step.ts";
import {
  tridiagonalEigen,
  tridiagonalVectors,
  type Tridiagonal,
  type TridiagonalEigen,
} from "./4-tridiagonal.ts";

/** How long the iteration runs, and for what. */
export interface LanczosOptions extends Job {
  /** Most steps; default n, with which the factorization is complete. */
  readonly steps?: number;
  /** Eigenvalues wanted at the upper end; with `bottom`, the iteration stops when they have converged. */
  readonly top?: number;
  /** Eigenvalues wanted at the lower end. */
  readonly bottom?: number;
  /** A Ritz value has converged when its residual is at most this times ‖A‖; default 2⁻²². */
  readonly tolerance?: number;
  /** A size of the matrix's entries; the iteration runs on the matrix over it, to stay clear of overflow. Default 1. */
  readonly size?: number;
  /** Seed of the start vector, and of those that go on where a Krylov space is exhausted; default 0. */
  readonly seed?: number;
  /** The start vector itself, [n], of any length but 0. */
  readonly start?: Values;
}

/** A Q = Q T + β q eᵀ: an orthonormal basis of a Krylov space and the matrix in it. */
export interface Lanczos extends TridiagonalEigen {
  /** Q: row k is the k-th vector, [steps, n]. */
  readonly basis: Matrix;
  readonly steps: number;
  /** T in f64, of order `steps`. */
  readonly tridiagonal: Tridiagonal;
  /** What is left over after the last step: length β and direction q [n]; β is 0 when nothing is. */
  readonly rest: { readonly beta: number; readonly vector: Float32Array };
  /** Residual that the iteration itself expects of each Ritz value, β · |last component|, without rounding. */
  readonly residuals: Float64Array;
  /** Whether each wanted value has converged. */
  readonly converged: boolean;
  destroy(): void;
  [dispose](): void;
}

/** Steps between two looks at T: each look waits for the device. */
const BATCH = 16;

/**
 * The Lanczos iteration for a symmetric matrix, every new vector made orthogonal to all before it, twice.
 *
 * The vectors live on the device; the tridiagonal matrix is solved in f64 on the CPU. Where the Krylov space is
 * exhausted, a new random direction continues, so that multiple eigenvalues are found as often as they occur.
 *
 * @param matrix [n, n], symmetric; both triangles stored
 * @returns basis and Ritz values, largest first; the basis is the caller's to destroy
 *
 * **Error** ‖A Q − Q T − β q eᵀ‖ ≲ u ‖A‖ √steps and ‖QᵀQ − 1‖ ≲ u √steps, u = 2⁻²⁴; `spectrum` measures both.
 * **Cost** 2 n² + 8 n k flops for step k; 4 · n · steps bytes.
 * **From** Parlett 1998, chapter 13; "twice is enough" of Giraud, Langou & Rozložník 2005.
 * @throws InputError for wrong options, GpuError "limit" where the basis does not fit a binding
 */
export async function lanczos(
  gpu: Gpu,
  matrix: Matrix,
  options: LanczosOptions = {},
): Promise<Lanczos> {
  checkOptions("lanczos", options, [
    ...["steps", "top", "bottom", "tolerance", "size", "seed", "start"],
    ...["signal", "onProgress"],
  ]);
  const n = matrix.rows;
  const { steps = n, top = 0, bottom = 0, tolerance = 2 ** -22, size = 1, seed = 0 } = options;
  if (matrix.columns !== n)
    throw new InputError(
      `lanczos: the matrix is ${n} × ${matrix.columns}, but must be square. Hand in a symmetric matrix.`,
    );
  for (const [name, value, least] of [
    ["steps", steps, 1],
    ["top", top, 0],
    ["bottom", bottom, 0],
  ] as const)
    if (!(Number.isSafeInteger(value) && value >= least && value <= n))
      throw new InputError(
        `lanczos: ${name} is ${value}, but gram is ${n} × ${n}. Ask for ${least} to ${n}.`,
      );
  if (!(tolerance > 0))
    throw new InputError(`lanczos: tolerance is ${tolerance}, but must be above 0. Correct it.`);
  const start = options.start && ownValues("lanczos", "start", options.start);
  if (start && !(start.length === n && norm64(start) > 0))
    throw new InputError(
      `lanczos: start holds ${start.length} values of norm ${norm64(start)}, but must hold ${n}, not all 0. Choose another.`,
    );
  const power = 2 ** -Math.round(Math.log2(size));
  if (!(power > 0 && power < Infinity))
    throw new InputError(`lanczos: size is ${size}, but must be a positive number. Correct it.`);

  const vectors = steps + 1;
  checkMatrixFits(gpu.limits, "lanczos basis", vectors, n, "Ask for fewer steps.");
  const basis = gpu.matrix("lanczos basis", vectors, n);
  try {
    using run = new Run(gpu, matrix, basis, power, seed);
    run.begin(start ?? null);
    const eigen = await run.iterate(steps, top, bottom, tolerance, options);
    const vector = await gpu.read(basis, options, eigen.steps, 1);
    const destroy = () => basis.destroy();
    return {
      ...eigen,
      basis: basis.view(eigen.steps),
      rest: { beta: eigen.beta, vector },
      destroy,
      [dispose]: destroy,
    };
  } catch (error) {
    basis.destroy();
    throw error;
  }
}

/**
 * Ritz vectors: what an eigenvector of T becomes in the full space, V = S Q.
 *
 * @param which places in `values`, largest first
 * @returns [which, n], one unit vector a row; the caller's to destroy
 *
 * **Error** as the residual of its Ritz value. **Cost** 2 · which · steps · n flops.
 */
export async function ritzVectors(
  gpu: Gpu,
  { basis, steps, tridiagonal, values }: Lanczos,
  which: readonly number[],
  job?: Job,
): Promise<Matrix> {
  const within = tridiagonalVectors(
    tridiagonal,
    which.map((place) => values[place]),
  );
  using left = gpu.upload(
    "eigenvectors of T",
    steps,
    which.length,
    Float32Array.from(within),
    true,
  );
  const out = gpu.matrix("ritz vectors", which.length, basis.columns);
  const flops = 2 * steps * which.length * basis.columns;
  await storeProduct(
    gpu,
    { buffers: { left, right: basis, out } },
    gpu.queue.meter(job, "vectors", flops),
  );
  return out;
}

/** One run of the iteration, and what T holds so far. */
class Run {
  readonly #gpu: Gpu;
  readonly #n: number;
  readonly #basis: Matrix;
  readonly #power: number;
  readonly #seed: number;
  readonly #step: LanczosStep;
  #drawn = 0;

  constructor(gpu: Gpu, matrix: Matrix, basis: Matrix, power: number, seed: number) {
    this.#gpu = gpu;
    this.#n = matrix.rows;
    this.#basis = basis;
    this.#power = power;
    this.#seed = seed;
    this.#step = new LanczosStep(gpu, matrix, basis, power);
  }

  /** Row 0 of the basis: a given direction, or a random one. */
  begin(start: Values | null): void {
    if (!start) return this.#draw(0);
    const length = norm64(start);
    this.#gpu.writeBits(
      this.#basis,
      0,
      start.map((value) => value / length),
    );
  }

  async iterate(steps: number, top: number, bottom: number, tolerance: number, job: Job) {
    const n = this.#n;
    const alpha = new Float64Array(steps);
    const beta = new Float64Array(steps);
    const total = 2 * n * n * steps + 4 * n * steps * steps;
    const meter = this.#gpu.queue.meter(job, "lanczos", total);
    let done = 0;
    let batch = BATCH;
    let norm = 0;
    for (;;) {
      const end = Math.min(steps, done + batch);
      for (let step = done; step < end; step++) {
        this.#step.record(step);
        await meter(2 * n * n + 8 * n * (step + 1));
      }
      const values = await this.#gpu.read(this.#step.tridiagonal, job);
      let step = done;
      for (; step < end; step++) {
        alpha[step] = values[step];
        beta[step] = values[this.#basis.rows + step];
        norm = Math.max(norm, Math.abs(alpha[step]) + beta[step] + (step > 0 ? beta[step - 1] : 0));
        // What is left is rounding: its direction is no longer orthogonal, or there is none.
        if (!(beta[step] > 64 * U * norm)) break;
      }
      batch = step < end ? 1 : Math.min(BATCH, 2 * batch);
      done = Math.min(end, step + 1);
      if (step < end && done < steps) this.#renew(step, beta, norm);
      const complete = done === steps;
      if (!complete && (top + bottom === 0 || done % BATCH !== 0 || done < top + bottom)) continue;
      const rest = done === n ? 0 : beta[done - 1];
      const tridiagonal = { diagonal: alpha.slice(0, done), beside: beta.slice(0, done) };
      const { values: ritz, last } = tridiagonalEigen(tridiagonal);
      const residuals = last.map((component) => Math.abs(rest * component));
      const wanted = [...residuals.subarray(0, top), ...residuals.subarray(done - bottom)];
      const asked = top + bottom > 0 ? wanted : [...residuals];
      const converged = asked.every((residual) => residual <= tolerance * norm);
      if (!complete && !converged) continue;
      const back = 1 / this.#power;
      const scaled = (list: Float64Array) => list.map((value) => value * back);
      return {
        steps: done,
        beta: rest * back,
        tridiagonal: { diagonal: scaled(tridiagonal.diagonal), beside: scaled(tridiagonal.beside) },
        values: scaled(ritz),
        last,
        residuals: scaled(residuals),
        converged,
      };
    }
  }

  /** A random unit vector becomes row `row` of the basis. */
  #draw(row: number): void {
    const n = this.#n;
    const start = normals64(this.#seed, n, this.#drawn);
    this.#drawn += n;
    const length = norm64(start);
    this.#gpu.writeBits(
      this.#basis,
      row,
      Float32Array.from(start, (value) => value / length),
    );
  }

  /** After a step that left only rounding: what is left made orthogonal once more, or a new direction in its place. */
  #renew(step: number, beta: Float64Array, norm: number): void {
    if (!(beta[step] > U * norm)) {
      beta[step] = 0;
      this.#draw(step + 1);
    }
    this.#step.orthogonalize(step, 2);
  }

  [dispose](): void {
    this.#step[dispose]();
  }
}

const U = 2 ** -24;
