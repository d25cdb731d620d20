import loadWgsl from "../../shaders/fragments/load.wgsl";
import schurWgsl from "../../shaders/fragments/schur.wgsl";
import triangleWgsl from "../../shaders/fragments/triangle.wgsl";
import factorWgsl from "../../shaders/4-lanczos/factor.wgsl";
import reverseWgsl from "../../shaders/4-lanczos/reverse.wgsl";
import substituteWgsl from "../../shaders/4-lanczos/substitute.wgsl";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { norm64, rowProducts, turns, U64 } from "./0-double.ts";
import { FiniteCheck } from "./0-finite.ts";
import { defineProduct } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import { turnInto } from "./2-tangent.ts";
import type { HostMatrix, Indefinite, Solution } from "./4-cholesky.ts";

/** Rows that are factored at once; `BLOCK` of the shaders is the same number. */
export const BLOCK = 64;

/** out = what is left of a block of rows of `matrix` + shift when leftᵀ right is taken away. */
export const schur = defineProduct({
  wgsl: [schurWgsl],
  buffers: {
    matrix: ["read", "leftColumns", "rightColumns"],
    out: ["read_write", "rows", "rightColumns"],
  },
  sizes: {},
});

export const factor = defineShader({
  name: "factor",
  wgsl: [factorWgsl, loadWgsl, triangleWgsl],
  dims: ["n", "first", "rows"],
  buffers: {
    block: ["read", "rows", "n"],
    corner: ["read_write", BLOCK, BLOCK],
    upper: ["read_write", "n", "n"],
    pivots: ["read_write", 1, "n"],
  },
  sizes: {},
});

export const substitute = defineShader({
  name: "substitute",
  wgsl: [substituteWgsl, loadWgsl, triangleWgsl],
  dims: [
    ...(["cornerRows", "cornerColumns", "cornerRow", "cornerColumn"] as const),
    ...(["outRows", "columns", "first", "columnFrom", "rows"] as const),
  ],
  buffers: {
    corner: ["read", "cornerRows", "cornerColumns"],
    block: ["read", "rows", "columns"],
    out: ["read_write", "outRows", "columns"],
  },
  sizes: { LANES: 8 },
});

export const reverse = defineShader({
  name: "reverse",
  wgsl: [reverseWgsl, loadWgsl],
  dims: ["rows", "columns"],
  buffers: { matrix: ["read", "rows", "columns"], out: ["read_write", "rows", "columns"] },
  sizes: {},
});

/** Solutions of (A + shift) X = B that were refined until nothing more was gained. */
export interface RefinedSolution extends Solution {
  /** Whether each residual is down to the roundings of one sum in f64: its backward error at most (n + 3) · 2⁻⁵³. */
  readonly converged: boolean;
  /** Times that the factor was used. */
  readonly rounds: number;
}

/** A + shift = L Lᵀ in f32 on the device. */
export interface DeviceCholesky {
  readonly definite: true;
  /** log det(A + shift). */
  readonly logDet: number;
  /** Lᵀ [n, n]: row k is column k of L, zero before its diagonal. */
  readonly upper: Matrix;
  /**
   * Solves for several right-hand sides by the factor, refined by residuals in f64 on the CPU.
   *
   * @param right [columns, n]: one right-hand side a row
   * @param exact A in f64, where the host has it; by default A is read back from the device, once
   *
   * **Error** the backward errors, which are measured; few units of f64 where `converged`, which is to be expected up
   * to ‖A⁻¹‖ ‖A‖ of about 1e6. **Cost** about 6 n² flops a column and round.
   * **From** Higham 2002, chapter 12.
   * @throws InputError for a wrong shape
   */
  solve(right: Float64Array, exact?: HostMatrix, job?: Job): Promise<RefinedSolution>;
  destroy(): void;
  [dispose](): void;
}

/** More rounds than any that converge take. */
const ROUNDS = 40;
/** A round that leaves more than this of every residual is the last. */
const GAIN = 0.5;

/**
 * Cholesky's factorization of a symmetric matrix in f32 on the device, by products of blocks of rows:
 *
 *   S = A[k, k:] + shift − Σ_{j<k} Lᵀ[j, k]ᵀ Lᵀ[j, k:]        Lᵀ[k, k]ᵀ Lᵀ[k, k:] = S
 *
 * ```ts
 * const factor = await deviceCholesky(gpu, h, 1e-3);
 * if (factor.definite) {
 *   const { values, converged } = await factor.solve(new Float64Array(h.rows).fill(1));
 *   factor.destroy();
 * }
 * ```
 *
 * @param matrix A [n, n], both triangles stored; borrowed, and to be alive for as long as `solve` may read it
 * @param shift added to the diagonal
 * @returns the factor, which is the caller's to destroy; or where a pivot is not positive
 *
 * **Error** |A + shift − L Lᵀ| ≤ γ(k) |L| |Lᵀ| entry by entry, u = 2⁻²³, shift rounded to f32, k = 2 + the larger of
 * the product's chain of roundings and min(n, 64) + 8; so it succeeds where λ_min(A + shift) is clearly above
 * n k u · max |a_ii + shift|.
 * **Cost** n³ / 3 flops; 4 n² bytes, and as many again once something is solved. Nothing is read back before the end.
 * **From** Higham 2002, theorem 10.3; its sums in the product's order.
 * @throws InputError for a matrix that is not square, NonFiniteError where A is not finite
 */
export async function deviceCholesky(
  gpu: Gpu,
  matrix: Matrix,
  shift = 0,
  job?: Job,
): Promise<DeviceCholesky | Indefinite> {
  const n = matrix.rows;
  if (matrix.columns !== n)
    throw new InputError(
      `deviceCholesky: ${matrix.name} is ${n} × ${matrix.columns}, but must be square. Hand in a symmetric matrix.`,
    );
  if (!(Math.abs(shift) < Infinity))
    throw new InputError(
      `deviceCholesky: shift is ${shift}, but must be a finite number. Correct it.`,
    );
  await tuned(gpu);
  const upper = gpu.matrix("factor", n, n);
  try {
    using pivots = gpu.matrix("pivots", 1, n);
    await sweep(gpu, { upper, matrix, out: upper, shift, pivots, job });
    const found = Float64Array.from(await gpu.read(pivots, job));
    const row = found.findIndex((pivot) => !(pivot >= SMALLEST && pivot < Infinity));
    if (row < 0) {
      const logDet = found.reduce((sum, pivot) => sum + Math.log(pivot), 0);
      return solver(gpu, { upper, matrix, shift, logDet });
    }
    using check = new FiniteCheck(gpu, 1);
    check.watch(matrix, {
      ...{ caller: "deviceCholesky", operand: `${matrix.name}, [n, n],` },
      cure: "Remove or replace them first.",
    });
    await check.settle(job);
    upper.destroy();
    return { definite: false, row, pivot: found[row] };
  } catch (error) {
    upper.destroy();
    throw error;
  }
}

/** Pivots below the normal numbers have lost their digits. */
const SMALLEST = 2 ** -126;

interface Sweep {
  /** The factor: what is known of it, or is found. */
  readonly upper: Matrix;
  /** A, or right-hand sides [n, columns]. */
  readonly matrix: Matrix;
  /** The factor itself, or solutions. */
  readonly out: Matrix;
  readonly shift?: number;
  /** Where the pivots go; null: the factor is known. */
  readonly pivots: Matrix | null;
  readonly job?: Job;
}

/** Blocks of rows that are recorded before they are sent. */
const AHEAD = 4;

/** Solves upperᵀ · out = matrix + shift from block to block of rows, with `upper` known before or found on the way. */
async function sweep(gpu: Gpu, { upper, matrix, out, shift, pivots, job }: Sweep): Promise<void> {
  const { rows: n, columns } = matrix;
  using block = gpu.matrix("block of rows", Math.min(BLOCK, n), columns);
  using corner = gpu.matrix("corner", BLOCK, BLOCK);
  // Nothing is above the first block.
  using noLeft = gpu.matrix("nothing", 1, n);
  using noRight: Matrix | null = pivots ? null : gpu.matrix("nothing", 1, columns);
  const total = pivots ? n ** 3 / 3 : n * n * columns;
  const meter: Meter = gpu.queue.meter(job, pivots ? "cholesky" : "solve", total);
  for (let first = 0; first < n; first += BLOCK) {
    const rows = Math.min(BLOCK, n - first);
    const from = pivots ? first : 0;
    const part = { row: first, column: from, rows, columns: columns - from };
    const left = first > 0 ? upper.view(first) : noLeft;
    const right = upper === out ? left : first > 0 ? out.view(first) : noRight!;
    const own = block.view(rows);
    await schur(
      gpu,
      { buffers: { left, right, matrix, out: own }, part, shift, split: false },
      meter,
    );
    if (pivots)
      factor(gpu, {
        dims: { n, first, rows },
        buffers: { block: own, corner, upper, pivots },
        groups: [1],
        flops: rows ** 3 / 3,
      });
    const columnFrom = pivots ? first + BLOCK : 0;
    if (columnFrom < columns)
      substitute(gpu, {
        dims: {
          ...{ cornerRows: pivots ? BLOCK : n, cornerColumns: pivots ? BLOCK : n },
          ...{ cornerRow: pivots ? 0 : first, cornerColumn: pivots ? 0 : first },
          ...{ outRows: n, columns, first, columnFrom, rows },
        },
        buffers: { corner: pivots ? corner : upper, block: own, out },
        groups: [Math.ceil((columns - columnFrom) / (8 * substitute.table.sizes.LANES))],
        flops: rows * rows * (columns - columnFrom),
      });
    await meter(rows * rows * (columns - columnFrom));
    // The device is to begin while the rest is recorded.
    if ((first / BLOCK) % AHEAD === 0) gpu.queue.submit();
  }
}

interface Factored {
  readonly upper: Matrix;
  readonly matrix: Matrix;
  readonly shift: number;
  readonly logDet: number;
}

/** J Lᵀᵀ J for J that turns the order of the rows round: with it the way back is a way there. */
function turnedRound(gpu: Gpu, upper: Matrix): Matrix {
  using turned = gpu.matrix("factor, turned", upper.rows, upper.rows);
  turnInto(gpu, upper, turned);
  return reversed(gpu, turned);
}

/** A matrix with the order of its rows and of its columns turned round; the caller's to destroy. */
function reversed(gpu: Gpu, matrix: Matrix): Matrix {
  const { rows, columns } = matrix;
  const out = gpu.matrix(`${matrix.name}, reversed`, rows, columns);
  reverse(gpu, {
    dims: { rows, columns },
    buffers: { matrix, out },
    groups: [Math.ceil(columns / 64), 16 * Math.ceil(rows / 16)],
    flops: rows * columns,
  });
  return out;
}

function solver(gpu: Gpu, { upper, matrix, shift, logDet }: Factored): DeviceCholesky {
  const n = upper.rows;
  let back: Matrix | null = null;
  let stored: Float64Array | null = null;
  const destroy = () => {
    upper.destroy();
    back?.destroy();
  };
  /** (L Lᵀ)⁻¹ of each row of [columns, n], in f32. */
  const roughly = async (right: Float64Array, job?: Job): Promise<Float64Array> => {
    const columns = right.length / n;
    const sizes = Float64Array.from({ length: columns }, (_, c) =>
      powerOf(right.subarray(c * n, (c + 1) * n)),
    );
    const scaled = Float32Array.from(right, (value, at) => value / sizes[Math.floor(at / n)]);
    using given = gpu.upload("right-hand sides", n, columns, scaled, true);
    using middle = gpu.matrix("half solved", n, columns);
    await sweep(gpu, { upper, matrix: given, out: middle, pivots: null, job });
    back ??= turnedRound(gpu, upper);
    using opposite = reversed(gpu, middle);
    using solved = gpu.matrix("solved", n, columns);
    await sweep(gpu, { upper: back, matrix: opposite, out: solved, pivots: null, job });
    const read = await gpu.read(solved, job);
    // Rows and columns came back in the opposite order.
    return right.map(
      (_, at) =>
        read[(n - 1 - (at % n)) * columns + columns - 1 - Math.floor(at / n)] *
        sizes[Math.floor(at / n)],
    );
  };
  return {
    ...{ definite: true, logDet, upper, destroy, [dispose]: destroy },
    async solve(right, exact, job) {
      const columns = right.length / n;
      if (!(Number.isSafeInteger(columns) && columns >= 1))
        throw new InputError(
          `solve: right holds ${right.length} values, but must hold one or more rows of ${n}. Check its shape.`,
        );
      if (exact && !(exact.order === n && exact.gram.length === n * n))
        throw new InputError(
          `solve: exact holds ${exact.gram.length} values, but must hold ${n} × ${n}. Hand in the matrix that was factored.`,
        );
      const gram = exact?.gram ?? (stored ??= Float64Array.from(await gpu.read(matrix, job)));
      const turn = turns(gpu, job, "solve", ROUNDS * 2 * n * n * columns);
      return refined({ gram, order: n }, shift, right, async (residual) => {
        await turn(2 * n * n * columns);
        return roughly(residual, job);
      });
    },
  };
}

/** The power of two below the largest |value|, within what f32 can hold; 1 where all are 0. */
function powerOf(values: Float64Array): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest > 0 && largest < Infinity ? 2 ** Math.floor(Math.log2(largest)) : 1;
}

/** Adds what `roughly` solves of each residual, for as long as that makes residuals smaller. */
async function refined(
  { gram, order: n }: HostMatrix,
  shift: number,
  right: Float64Array,
  roughly: (residual: Float64Array) => Promise<Float64Array>,
): Promise<RefinedSolution> {
  const columns = right.length / n;
  const shifted = gram.slice();
  for (let i = 0; i < n; i++) shifted[i * n + i] += shift;
  const size = norm64(shifted);
  const row = (of: Float64Array, c: number) => of.subarray(c * n, (c + 1) * n);
  const values = new Float64Array(columns * n);
  const residual = right.slice();
  const product = new Float64Array(columns * n);
  const backwardErrors = Float64Array.from({ length: columns }, (_, c) =>
    norm64(row(right, c)) === 0 ? 0 : 1,
  );
  let rounds = 0;
  for (let gains = backwardErrors.some((each) => each > 0); gains && rounds < ROUNDS;) {
    const step = await roughly(residual);
    rounds += 1;
    gains = false;
    const tried = values.map((value, at) => value + step[at]);
    rowProducts(tried, 0, columns, gram, n, n, product);
    const left = right.map((value, at) => value - product[at] - shift * tried[at]);
    for (let c = 0; c < columns; c++) {
      const scale = size * norm64(row(tried, c)) + norm64(row(right, c));
      const error = norm64(row(left, c)) / scale;
      // What is worse than before, or not finite, is not taken.
      if (!(error < backwardErrors[c])) continue;
      gains ||= error > 2 * U64 && error <= GAIN * backwardErrors[c];
      backwardErrors[c] = error;
      values.set(row(tried, c), c * n);
      residual.set(row(left, c), c * n);
    }
  }
  const converged = backwardErrors.every((each) => each <= (n + 3) * U64);
  return { values, backwardErrors, converged, rounds };
}
