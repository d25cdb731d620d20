/** Checks of products in f64 that cost little beside the product: some rows entry by entry, every row in one sum. */

/** u of WGSL's "correctly rounded", either neighbour. */
const U = 2 ** -23;

/** γ(k) = k u / (1 − k u): the relative error of k roundings in a row. */
export const gamma = (k: number): number => (k * U) / (1 - k * U);

/** Roundings that a term of a sum meets at the most: a block of 64, the blocks, slabs or panels, the epilogue. */
export const chain = (depth: number): number => Math.min(depth, 64) + Math.ceil(depth / 64) + 8;

/** The larger of two quotients error ÷ bound; NaN is larger than all. */
export const worse = (a: number, b: number): number =>
  Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b);

/** |error| ÷ bound, where 0 ÷ 0 is 0. */
export const quotient = (error: number, bound: number): number =>
  error === 0 && bound === 0 ? 0 : Math.abs(error) / bound;

/** The largest |actual − exact| ÷ bound of two arrays; NaN where one is NaN, Infinity where lengths differ. */
export function compare(
  actual: ArrayLike<number>,
  exact: (index: number) => number,
  bound: (index: number) => number,
  length: number,
): number {
  if (actual.length !== length) return Infinity;
  let worst = 0;
  for (let i = 0; i < length; i++) worst = worse(worst, quotient(actual[i] - exact(i), bound(i)));
  return worst;
}

/** A product as it was computed: out[i, j] = weights[i] · weights[j] · Σ_k left[k, i] · right[k, j]. */
export interface Product {
  readonly depth: number;
  readonly rows: number;
  readonly columns: number;
  /** [depth, rows] and [depth, columns]. */
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** Only j ≤ i holds something. */
  readonly triangle: boolean;
  /** A factor of each row and column, exact in f32; default 1. */
  readonly weights?: Float32Array;
}

/** Multiply-adds that entry-by-entry checks may take. */
const WORK = 1e8;

/**
 * The largest error ÷ bound of a product.
 *
 * Entry by entry in some rows, the first and the last among them; and for every row Σ_j ± out[i, j], signs at random,
 * against the sum of the bounds, in 2 · depth · (rows + columns) operations.
 *
 * @param out [rows, columns]
 */
export function checkProduct(product: Product, out: Float32Array): number {
  const { depth, rows, columns } = product;
  if (out.length !== rows * columns) return Infinity;
  const count = Math.max(3, Math.min(rows, Math.floor(WORK / depth / columns)));
  let worst = checkSums(product, out);
  for (let c = 0; c < count; c++) {
    const row = count === 1 ? 0 : Math.round((c * (rows - 1)) / (count - 1));
    worst = worse(worst, checkRow(product, out, row));
  }
  return worst;
}

function checkRow(product: Product, out: Float32Array, row: number): number {
  const { depth, rows, columns, left, right, triangle, weights } = product;
  const end = triangle ? row + 1 : columns;
  const sum = new Float64Array(end);
  const size = new Float64Array(end);
  for (let k = 0; k < depth; k++) {
    const l = left[k * rows + row];
    for (let j = 0; j < end; j++) {
      const term = l * right[k * columns + j];
      sum[j] += term;
      size[j] += Math.abs(term);
    }
  }
  const factor = (j: number) => (weights ? weights[row] * weights[j] : 1);
  return compare(
    out.subarray(row * columns, row * columns + end),
    (j) => factor(j) * sum[j],
    (j) => gamma(chain(depth)) * Math.abs(factor(j)) * size[j],
    end,
  );
}

function checkSums(product: Product, out: Float32Array): number {
  const { depth, rows, columns, left, right, triangle, weights } = product;
  const sign = (j: number) => (Math.imul(j + 1, 0x9e3779b1) & 0x10000 ? 1 : -1);
  const factors = Float64Array.from(
    { length: columns },
    (_, j) => sign(j) * (weights ? weights[j] : 1),
  );
  const sum = new Float64Array(rows);
  const size = new Float64Array(rows);
  for (let k = 0; k < depth; k++) {
    let [part, sizes] = [0, 0];
    const add = (j: number) => {
      const term = right[k * columns + j] * factors[j];
      part += term;
      sizes += Math.abs(term);
    };
    if (!triangle) for (let j = 0; j < columns; j++) add(j);
    for (let i = 0; i < rows; i++) {
      if (triangle) add(i);
      const l = left[k * rows + i];
      sum[i] += l * part;
      size[i] += Math.abs(l) * sizes;
    }
  }
  const found = (i: number): number => {
    let total = 0;
    const end = triangle ? i + 1 : columns;
    for (let j = 0; j < end; j++) total += sign(j) * out[i * columns + j];
    return total;
  };
  const factor = (i: number) => weights?.[i] ?? 1;
  const actual = Float64Array.from({ length: rows }, (_, i) => found(i));
  return compare(
    actual,
    (i) => factor(i) * sum[i],
    (i) => gamma(chain(depth)) * factor(i) * size[i],
    rows,
  );
}
