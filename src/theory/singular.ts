import { norm64 } from "../stages/0-double.ts";
import { normals64 } from "../stages/0-normal.ts";
import { inner } from "../stages/4-krylov.ts";

/** A = P S Qᵀ of a small square matrix, by columns: `left` P, `values` S largest first, `right` Q. */
export interface Singular {
  readonly values: Float64Array;
  readonly left: readonly Float64Array[];
  readonly right: readonly Float64Array[];
}

/** Columns whose cosine is at most this count as orthogonal. */
const COSINE = 2 ** -50;
const SWEEPS = 40;
/** Columns as short as this beside the longest count as zero. */
const ZERO = 2 ** -60;

/**
 * Singular values and vectors of a small matrix in f64, by rotations that make its columns orthogonal. AᵀA is never
 * formed: values down to 2⁻⁵⁰ of the largest have digits.
 *
 * @param columns of A, as many as each has entries; left as they are
 *
 * **Error** a few m · 2⁻⁵³ of each column's length. **Cost** about 50 m³ flops.
 * **From** Hestenes 1958; Demmel & Veselić 1992.
 */
export function singular(columns: readonly Float64Array[]): Singular {
  const m = columns.length;
  const a = columns.map((column) => column.slice());
  const q = columns.map((_, j) => Float64Array.from({ length: m }, (_, i) => (i === j ? 1 : 0)));
  let turned = m > 1;
  for (let sweep = 0; turned && sweep < SWEEPS; sweep++) {
    turned = false;
    for (let i = 0; i < m - 1; i++)
      for (let j = i + 1; j < m; j++) {
        const [x, y, across] = [inner(a[i], a[i]), inner(a[j], a[j]), inner(a[i], a[j])];
        if (!(Math.abs(across) > COSINE * Math.sqrt(x) * Math.sqrt(y))) continue;
        turned = true;
        const zeta = (y - x) / (2 * across);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t);
        rotate(a[i], a[j], c, c * t);
        rotate(q[i], q[j], c, c * t);
      }
  }
  const lengths = a.map((column) => norm64(column));
  const nothing = ZERO * lengths.reduce((most, length) => Math.max(most, length), 0);
  const order = Array.from(lengths.keys()).sort((i, j) => lengths[j] - lengths[i]);
  const left: Float64Array[] = [];
  for (const at of order) {
    const some = lengths[at] > nothing;
    let column: Float64Array = a[at].map((value) => (some ? value / lengths[at] : 0));
    // Of a column of zeros, any direction that no other has.
    for (let seed = 0; !(norm64(column) > 0.5); seed++) {
      column = normals64(seed, m);
      for (let round = 0; round < 2; round++) for (const other of left) subtract(column, other);
      const length = norm64(column);
      column = column.map((value) => (length > 2 ** -20 ? value / length : 0));
    }
    left.push(column);
  }
  return {
    values: Float64Array.from(order, (at) => (lengths[at] > nothing ? lengths[at] : 0)),
    left,
    right: order.map((at) => q[at]),
  };
}

function rotate(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let k = 0; k < x.length; k++) {
    const value = x[k];
    x[k] = c * value - s * y[k];
    y[k] = s * value + c * y[k];
  }
}

/** x −= ⟨q, x⟩ q. */
function subtract(x: Float64Array, q: Float64Array): void {
  const along = inner(q, x);
  for (let k = 0; k < x.length; k++) x[k] -= along * q[k];
}
