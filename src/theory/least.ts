import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { norm64, PANEL, rowNorms, rowProducts, SLACK, turns, U64 } from "../stages/0-double.ts";
import { normals64 } from "../stages/0-normal.ts";
import { hostFactor, substitute, type HostFactor, type HostMatrix } from "../stages/4-cholesky.ts";
import { denseEigen, type DenseEigen } from "../stages/4-dense.ts";
import { hostLanczos, inner } from "../stages/4-krylov.ts";
import { implicitQl } from "../stages/4-tridiagonal.ts";
import { boundedSpectrum } from "../stages/5-bounded.ts";
import { leastEigenvalue } from "../stages/5-extremes.ts";

/** The least eigenvalues of a symmetric matrix, with intervals that surely hold them. */
export interface LeastEigenvalues {
  /** Smallest first. */
  readonly values: Float64Array;
  /** The i-th smallest eigenvalue lies within `bounds[i]` of `values[i]`. */
  readonly bounds: Float64Array;
  /**
   * Whether each has an interval of its own, as no more eigenvalues are below the next one. Where values crowd nearer than
   * f64 tells apart, it is false: intervals then reach down to what is proved of the least.
   */
  readonly separated: boolean;
}

/** Up to this order all eigenvalues are solved for. */
const WHOLE = 256;
/** Vectors beyond those wanted, so that there is a gap to find. */
const GUARD = 3;
/** Lanczos steps for each vector, beside {@link LEAST_STEPS}. */
const STEPS = 8;
const LEAST_STEPS = 96;
/** A vector has converged when its residual is at most this times its Ritz value. */
const TOLERANCE = 2 ** -32;
/** How often the iteration is begun anew, beside what was found, for copies that it cannot see. */
const ROUNDS = 5;
/** How much larger the next shift is, where there was no factor. */
const FURTHER = 32;
/** Times that vectors go through the inverse: what they have of large eigenvalues shrinks by λ / λ_max each. */
const REFINEMENTS = 2;

/** Roundings of `rowProducts` over `depth` terms, and two more. */
const roundings = (depth: number): number => (36 + depth / 32) * U64 * SLACK;

/**
 * The least eigenvalues of a symmetric matrix in f64 on the CPU with guaranteed intervals, without all the others.
 *
 *   |λ_i − θ_i| ≤ ρ = (‖A V − V Θ‖ + 2 δ |θ|) / (1 − δ)     δ = ‖VᵀV − 1‖, for m eigenvalues
 *   λ_{m+1}(A) ≥ λ_1(A + τ V Vᵀ) ≥ σ                        so that these m are the least where θ_m + ρ < σ
 *
 * V comes from the Lanczos iteration on the inverse, σ from a factorization of A + τ V Vᵀ − σ: as V Vᵀ has rank m, at
 * most m eigenvalues of A are below.
 *
 * ```ts
 * const gram = Float64Array.of(2, 1, 0, 1, 2, 1, 0, 1, 2); // 2 − √2, 2, 2 + √2
 * const { values, bounds } = await leastEigenvalues(gpu, { gram, order: 3 }, 2);
 * ```
 *
 * @param count how many, 1 to n
 *
 * **Error** none: intervals are about γ_k ‖A‖_F wide, k = 36 + n / 32.
 * **Cost** two factorizations, n³ / 3 flops each, and 2 n² flops for each of about 100 steps; one more factorization for
 * each time that copies of an eigenvalue had to be looked for. 16 n² bytes.
 * **From** Parlett 1998, theorem 11.5.1 (Kahan), for ρ; Weyl for σ.
 * @throws InputError for a count that there is not, for entries that are not finite
 */
export async function leastEigenvalues(
  gpu: Gpu,
  matrix: HostMatrix,
  count: number,
  job?: Job,
): Promise<LeastEigenvalues> {
  const { gram, order: n } = matrix;
  if (!(Number.isSafeInteger(count) && count >= 1 && count <= n))
    throw new InputError(
      `leastEigenvalues: count is ${count}, but there are ${n} eigenvalues. Ask for 1 to ${n}.`,
    );
  if (!(n >= 1 && gram.length === n * n))
    throw new InputError(
      `leastEigenvalues: gram holds ${gram.length} values, but must hold ${n} × ${n}. Check its shape.`,
    );
  const size = norm64(gram);
  if (!(size < Infinity))
    throw new InputError(
      `leastEigenvalues: ‖A‖ is ${size}, but must be finite. Check the matrix, or scale it down.`,
    );
  if (n <= WHOLE || 8 * count > n) return await amongAll(gpu, matrix, count, job);
  if (size === 0) {
    const zeros = () => new Float64Array(count);
    return { values: zeros(), bounds: zeros(), separated: false };
  }
  // Squares must neither vanish nor overflow.
  if (size >= 2 ** -200 && size <= 2 ** 200) return await solved(gpu, matrix, count, job);
  const power = 2 ** -Math.max(-1000, Math.floor(Math.log2(size)));
  const near = { gram: gram.map((value) => value * power), order: n };
  const found = await solved(gpu, near, count, job);
  return {
    ...found,
    values: found.values.map((value) => value / power),
    bounds: found.bounds.map((bound) => bound / power + Number.MIN_VALUE),
  };
}

async function amongAll(
  gpu: Gpu,
  matrix: HostMatrix,
  count: number,
  job?: Job,
): Promise<LeastEigenvalues> {
  const how = { bottom: count, signal: job?.signal, onProgress: job?.onProgress };
  const { eigenvalues, errorBounds } = await boundedSpectrum(gpu, matrix, how);
  return { values: eigenvalues.reverse(), bounds: errorBounds.reverse(), separated: true };
}

async function solved(
  gpu: Gpu,
  matrix: HostMatrix,
  count: number,
  job?: Job,
): Promise<LeastEigenvalues> {
  const factor = await nearest(gpu, matrix, job);
  let basis: Float64Array[] = [];
  for (let round = 1; ; round++) {
    // A Krylov space may be exhausted early, and sees one of equal eigenvalues' vectors alone.
    for (let left = count + GUARD; left > 0;) {
      const more = await inverseRitz(gpu, factor.lower, basis, left, job);
      if (more.length === 0) return await amongAll(gpu, matrix, count, job);
      basis.push(...more);
      left -= more.length;
    }
    const pairs = await projected(gpu, matrix, factor.lower, basis, job);
    const values = pairs.values.slice(0, count);
    const bounds = await separately(gpu, matrix, pairs, count, job);
    if (bounds) return { values, bounds, separated: true };
    if (round === ROUNDS) {
      const { residuals, off } = await measured(gpu, matrix, pairs, count, job);
      // From above by the minimax principle, from below by the least.
      const above = together(pairs, residuals, off);
      const least = await leastEigenvalue(gpu, matrix, job);
      const half = (value: number) =>
        Math.max(value - least.value + least.bound, above) * SLACK + 3 * U64 * Math.abs(value);
      return { values, bounds: values.map(half), separated: false };
    }
    basis = rowsOf(pairs.vectors, pairs.values.length);
  }
}

/** The factor of A + shift for the first of ever larger shifts that there is one for. */
async function nearest(gpu: Gpu, matrix: HostMatrix, job?: Job): Promise<HostFactor> {
  const size = norm64(matrix.gram);
  const unit = 4 * roundings(matrix.order) * size;
  // Not 0, so that what the inverse makes of vectors stays far from overflow.
  for (let shift = 2 ** -60 * size; ; shift = Math.max(unit, FURTHER * shift)) {
    const factor = await hostFactor(gpu, matrix, shift, job);
    if (factor.definite) return factor;
  }
}

const rowsOf = (vectors: Float64Array, count: number): Float64Array[] => {
  const n = vectors.length / count;
  return Array.from({ length: count }, (_, i) => vectors.subarray(i * n, (i + 1) * n));
};

/** Takes out of a vector what it has of others, twice. */
function orthogonalize(vector: Float64Array, others: readonly Float64Array[]): Float64Array {
  for (let round = 0; round < 2; round++)
    for (const other of others) {
      const along = inner(other, vector);
      for (let i = 0; i < vector.length; i++) vector[i] -= along * other[i];
    }
  return vector;
}

/** Ritz vectors of the inverse's greatest eigenvalues among vectors orthogonal to a basis, at most `wanted`. */
async function inverseRitz(
  gpu: Gpu,
  lower: Float64Array,
  basis: readonly Float64Array[],
  wanted: number,
  job?: Job,
): Promise<Float64Array[]> {
  const n = Math.sqrt(lower.length);
  const most = Math.min(n - basis.length, LEAST_STEPS + STEPS * wanted);
  const turn = turns(gpu, job, "lanczos", 2 * n * n * most);
  const eigenOf = (tridiagonal: { diagonal: Float64Array; beside: Float64Array }) => {
    const m = tridiagonal.diagonal.length;
    const identity = Float64Array.from({ length: m * m }, (_, at) => (at % (m + 1) === 0 ? 1 : 0));
    const { values, rows } = implicitQl(tridiagonal, identity, m);
    return { m, values, rows };
  };
  const enough = ({ m, values, rows }: ReturnType<typeof eigenOf>, rest: number): boolean =>
    m >= wanted &&
    values
      .subarray(0, wanted)
      .every((value, i) => Math.abs(rest * rows[i * m + m - 1]) <= TOLERANCE * value);
  const krylov = await hostLanczos(
    async (vector) => {
      await turn(2 * n * n);
      const x = vector.slice();
      substitute(lower, x);
      return orthogonalize(x, basis);
    },
    orthogonalize(normals64(17 + basis.length, n), basis),
    most,
    (so, rest) => enough(eigenOf(so), rest),
  );
  const { m, rows } = eigenOf(krylov.tridiagonal);
  return Array.from({ length: Math.min(m, wanted) }, (_, i) => {
    const vector = new Float64Array(n);
    krylov.basis.forEach((q, k) => {
      const share = rows[i * m + k];
      for (let at = 0; at < n; at++) vector[at] += share * q[at];
    });
    return vector;
  });
}

/** A's Ritz pairs in the span of vectors that went through the inverse once more, smallest first. */
async function projected(
  gpu: Gpu,
  { gram, order: n }: HostMatrix,
  lower: Float64Array,
  vectors: readonly Float64Array[],
  job?: Job,
): Promise<DenseEigen> {
  const k = vectors.length;
  const turn = turns(gpu, job, "lanczos", 4 * k * n * n * REFINEMENTS);
  let basis = [...vectors];
  for (let round = 0; round < REFINEMENTS; round++) {
    const next: Float64Array[] = [];
    for (const vector of basis) {
      const x = vector.slice();
      substitute(lower, x);
      orthogonalize(x, next);
      const length = norm64(x);
      next.push(x.map((value) => value / length));
      await turn(4 * n * n);
    }
    basis = next;
  }
  const flat = new Float64Array(k * n);
  basis.forEach((vector, i) => flat.set(vector, i * n));
  const times = await timesRows(gpu, gram, flat, k, job);
  const small = new Float64Array(k * k);
  rowProducts(flat, 0, k, times, k, n, small);
  const { values, vectors: within } = await denseEigen(gpu, small, k, job);
  const turned = new Float64Array(k * n);
  for (let i = 0; i < k; i++)
    for (let j = 0; j < k; j++) {
      const share = within[(k - 1 - i) * k + j];
      for (let at = 0; at < n; at++) turned[i * n + at] += share * flat[j * n + at];
    }
  return { values: values.reverse(), vectors: turned };
}

/** A v for each row of vectors [count, n]. */
async function timesRows(
  gpu: Gpu,
  gram: Float64Array,
  vectors: Float64Array,
  count: number,
  job?: Job,
): Promise<Float64Array> {
  const n = Math.sqrt(gram.length);
  const turn = turns(gpu, job, "bounds", 2 * count * n * n);
  const product = new Float64Array(count * n);
  for (let from = 0; from < count; from += PANEL) {
    const to = Math.min(count, from + PANEL);
    rowProducts(vectors, from, to, gram, n, n, product);
    await turn(2 * (to - from) * n * n);
  }
  return product;
}

/** ‖A v − θ v‖ ÷ ‖v‖ of the first pairs, roundings included, and ‖VᵀV − 1‖. */
async function measured(
  gpu: Gpu,
  { gram, order: n }: HostMatrix,
  { values, vectors }: DenseEigen,
  count: number,
  job?: Job,
): Promise<{ residuals: Float64Array; off: number }> {
  const size = norm64(gram);
  const product = await timesRows(gpu, gram, vectors, count, job);
  for (let at = 0; at < count * n; at++) product[at] -= values[Math.floor(at / n)] * vectors[at];
  const lengths = rowNorms(vectors.subarray(0, count * n), n);
  const residuals = rowNorms(product, n).map(
    (residual, i) =>
      ((residual + (roundings(n) * size + 3 * U64 * Math.abs(values[i])) * lengths[i]) * SLACK) /
      (lengths[i] * (1 - roundings(n))),
  );
  const products = new Float64Array(count * count);
  rowProducts(vectors, 0, count, vectors, count, n, products);
  for (let i = 0; i < count; i++) products[i * (count + 1)] -= 1;
  const squares = lengths.reduce((sum, length) => sum + length * length, 0);
  return { residuals, off: (norm64(products) + roundings(n) * squares) * SLACK };
}

/** ρ: as many eigenvalues as there are residuals are matched with the values, in order, within this. */
function together({ values }: DenseEigen, residuals: Float64Array, off: number): number {
  if (!(off < 0.5)) return Infinity;
  const largest = residuals.reduce((most, _, i) => Math.max(most, Math.abs(values[i])), 0);
  return ((norm64(residuals) * Math.sqrt(1 + off) + 2 * off * largest) / (1 - off)) * SLACK;
}

/** Half widths of the first `count`, where it can be proved which places they have; else null. */
async function separately(
  gpu: Gpu,
  matrix: HostMatrix,
  pairs: DenseEigen,
  count: number,
  job?: Job,
): Promise<Float64Array | null> {
  const { values, vectors } = pairs;
  const { gram, order: n } = matrix;
  // Below the widest gap beyond those that are wanted.
  let m = 0;
  for (let i = count; i < values.length; i++)
    if (m === 0 || values[i] - values[i - 1] > values[m] - values[m - 1]) m = i;
  if (m === 0) return null;
  const { residuals, off } = await measured(gpu, matrix, pairs, m, job);
  const rho = together(pairs, residuals, off);
  const next = values[m];
  const between = (values[m - 1] + next) / 2;
  if (!(values[m - 1] + rho < between)) return null;
  const lift = 2 * (next - values[0]);
  const lifted = gram.slice();
  const across = new Float64Array(n * m);
  for (let i = 0; i < m; i++)
    for (let at = 0; at < n; at++) across[at * m + i] = vectors[i * n + at];
  const turn = turns(gpu, job, "bounds", 2 * m * n * n);
  const panel = new Float64Array(PANEL * n);
  for (let from = 0; from < n; from += PANEL) {
    const rows = Math.min(PANEL, n - from);
    rowProducts(across.subarray(from * m), 0, rows, across, n, m, panel);
    for (let at = 0; at < rows * n; at++) lifted[from * n + at] += lift * panel[at];
    await turn(2 * rows * n * m);
  }
  const proof = await hostFactor(gpu, { gram: lifted, order: n }, -between, job);
  if (!proof.definite) return null;
  // What rounding made of A + τ V Vᵀ.
  const size = norm64(gram) + lift * norm64(across) ** 2;
  const above = proof.least - roundings(m) * size * SLACK;
  if (!(values[m - 1] + rho < above)) return null;
  return Float64Array.from({ length: count }, (_, i) => {
    const own = residuals[i];
    const gap = Math.min(
      i > 0 ? values[i] - values[i - 1] : Infinity,
      (i + 1 < m ? values[i + 1] : above) - values[i],
    );
    return own < rho && gap * (1 - 4 * U64) > rho + own ? own : rho;
  });
}
