import type { Meter } from "../gpu/queue.ts";
import { PANEL, powerAgainst, rowProducts, U64 } from "./0-double.ts";
import { implicitQl, type Tridiagonal } from "./4-tridiagonal.ts";

/** Up to this order QL solves what is not cut any more. */
const LEAF = 32;

/** Of ‖T‖ = 1 what is taken for 0, so that no square of a difference vanishes. */
const TINY = 2 ** -400;

/** Far more steps than a root takes, of which 3 are usual; what is no number ends sooner. */
const ROUNDS = 200;

/**
 * All eigenvalues and eigenvectors of a symmetric tridiagonal matrix, by division: it is cut in two, each half is solved
 * by itself, and what lay between is put back as a change of rank 1.
 *
 *   T = diag(T₁, T₂) + |β| w wᵀ = Q (D + ρ z zᵀ) Qᵀ    1/ρ + Σ_j z_j² / (d_j − λ) = 0
 *   vector to λ_i: Q u / ‖u‖                          u_j = ẑ_j / (d_j − λ_i),  ẑ_j² = Π_i (λ_i − d_j) / Π_{i≠j} (d_i − d_j)
 *
 * @param turn told of 4/3 n³ flops, whether they were needed or not
 * @returns values, largest first, and unit vectors [n, n], one a row
 *
 * **Error** of values 2 n u ‖T‖₂, residuals ‖T v − λ v‖ 4 n u ‖T‖₂, ‖V Vᵀ − 1‖_F 16 n u, with u = 2⁻⁵³; up to
 * seven tenths of that were seen, of orders below 32.
 * **Cost** at most about 4/3 n³ flops; far fewer where eigenvalues lie close or vectors are local.
 * **From** Cuppen 1981; Gu & Eisenstat 1995 for ẑ, by which vectors are orthogonal even where λ is off; Li 1994 for the
 * steps to λ, here of fixed weight only and inside a bracket.
 */
export async function dividedEigen(
  { diagonal, beside }: Tridiagonal,
  turn: Meter,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  const n = diagonal.length;
  let size = 0;
  for (let i = 0; i < n; i++)
    size = Math.max(size, Math.abs(diagonal[i]), i + 1 < n ? Math.abs(beside[i]) : 0);
  const power = powerAgainst(size);
  const d = diagonal.map((value) => value * power);
  const e = beside.map((value) => (Math.abs(value * power) < TINY ? 0 : value * power));
  // Columns are vectors here, so that each row of a product depends on the same row alone.
  const q = new Float64Array(n * n);
  const solve = async (from: number, to: number): Promise<void> => {
    const m = to - from;
    if (m <= LEAF) {
      const one = Float64Array.from({ length: m * m }, (_, at) => (at % (m + 1) === 0 ? 1 : 0));
      const part = { diagonal: d.subarray(from, to), beside: e.subarray(from, to - 1) };
      const { values, rows } = implicitQl(part, one, m);
      d.set(values, from);
      for (let i = 0; i < m; i++)
        for (let row = 0; row < m; row++) q[(from + row) * n + from + i] = rows[i * m + row];
      return turn(m ** 3);
    }
    const cut = from + (m >> 1);
    const size = Math.abs(e[cut - 1]);
    d[cut - 1] -= size;
    d[cut] -= size;
    await solve(from, cut);
    await solve(cut, to);
    await merge(q.subarray(from * n + from), n, cut - from, d.subarray(from, to), e[cut - 1], turn);
  };
  await solve(0, n);
  const order = Uint32Array.from(d.keys()).sort((i, j) => d[j] - d[i]);
  const vectors = new Float64Array(n * n);
  for (let row = 0; row < n; row++) {
    order.forEach((i, place) => (vectors[place * n + row] = q[row * n + i]));
    await turn(0);
  }
  return { values: Float64Array.from(order, (i) => d[i] / power), vectors };
}

/**
 * Eigenvalues `d` and vectors, the columns of `q`, of two halves become those of the whole, in no order.
 *
 * @param q rows `stride` apart; of the first `cut` only the first `cut` entries are not 0, of the others the others
 * @param beta what stands between the halves
 */
async function merge(
  q: Float64Array,
  stride: number,
  cut: number,
  d: Float64Array,
  beta: number,
  turn: Meter,
): Promise<void> {
  const m = d.length;
  const rho = 2 * Math.abs(beta);
  const z = d.map((_, j) =>
    j < cut
      ? q[(cut - 1) * stride + j] * Math.SQRT1_2
      : q[cut * stride + j] * Math.SQRT1_2 * Math.sign(beta),
  );
  const { kept, gone, rotations, half } = deflated(d, z, rho, cut);
  const k = kept.length;
  // Columns that are 0 in the lower half come first, those that are 0 in the upper half last.
  const places = Uint32Array.from(kept.keys()).sort((i, j) => half[kept[i]] - half[kept[j]]);
  const columns = Array.from(places, (i) => kept[i]);
  const upper = columns.filter((j) => half[j] < 3).length;
  const lower = columns.filter((j) => half[j] === 1).length;
  const poles = Float64Array.from(kept, (j) => d[j]);
  const weights = Float64Array.from(kept, (j) => z[j]);
  const { values, vectors } = await updated(poles, weights, rho, places, turn);
  const rest = gone.map((j) => d[j]);
  d.set(values);
  d.set(rest, k);
  const packed = new Float64Array(PANEL * k);
  const product = new Float64Array(PANEL * k);
  const others = new Float64Array(gone.length);
  for (let from = 0, to = 0; from < m; from = to) {
    to = Math.min(from < cut ? cut : m, from + PANEL);
    for (let row = from; row < to; row++) {
      const line = q.subarray(row * stride, row * stride + m);
      for (const { i, j, c, s } of rotations) {
        const x = line[i];
        line[i] = c * x - s * line[j];
        line[j] = c * line[j] + s * x;
      }
      for (let p = 0; p < k; p++) packed[(row - from) * k + p] = line[columns[p]];
    }
    const first = from < cut ? 0 : lower;
    const depth = (from < cut ? upper : k) - first;
    const right = vectors.subarray(first);
    rowProducts(packed.subarray(first), 0, to - from, right, k, depth, product, false, k);
    for (let row = from; row < to; row++) {
      const line = q.subarray(row * stride, row * stride + m);
      gone.forEach((j, at) => (others[at] = line[j]));
      line.set(product.subarray((row - from) * k, (row - from + 1) * k));
      line.set(others, k);
    }
    await turn((to - from) * m * m);
  }
}

/** Columns i and j of Q become c qᵢ − s qⱼ and s qᵢ + c qⱼ. */
interface Rotation {
  readonly i: number;
  readonly j: number;
  readonly c: number;
  readonly s: number;
}

/**
 * What of D + ρ z zᵀ is an eigenvalue already, up to 8 roundings: where z is small, or where two poles are so close that
 * a rotation takes z from one of them.
 *
 * @returns columns `kept`, by ascending pole, and `gone`; the rotations, which `d` and `z` have gone through; for each
 * column 1 or 3 where it is 0 in the lower or the upper half, else 2
 */
function deflated(d: Float64Array, z: Float64Array, rho: number, cut: number) {
  const size = d.reduce((most, value) => Math.max(most, Math.abs(value)), rho);
  const small = Math.max(8 * U64 * size, TINY);
  const half = Uint8Array.from(d, (_, j) => (j < cut ? 1 : 3));
  const kept: number[] = [];
  const gone: number[] = [];
  const rotations: Rotation[] = [];
  for (const j of Uint32Array.from(d.keys()).sort((i, j) => d[i] - d[j])) {
    if (rho * Math.abs(z[j]) <= small) {
      gone.push(j);
      continue;
    }
    if (kept.length > 0) {
      const i = kept[kept.length - 1];
      const length = Math.hypot(z[i], z[j]);
      const [c, s] = [z[j] / length, z[i] / length];
      const gap = d[j] - d[i];
      if (Math.abs(gap * c * s) <= small) {
        rotations.push({ i, j, c, s });
        z[j] = length;
        d[j] -= gap * s * s;
        d[i] += gap * s * s;
        if (half[i] !== half[j]) half[i] = half[j] = 2;
        gone.push(kept.pop()!);
      }
    }
    kept.push(j);
  }
  return { kept, gone, rotations, half };
}

/**
 * Eigenvalues of D + ρ z zᵀ, and unit vectors, one a row.
 *
 * @param d poles, ascending
 * @param places order of the vectors' components
 */
async function updated(
  d: Float64Array,
  z: Float64Array,
  rho: number,
  places: Uint32Array,
  turn: Meter,
): Promise<{ values: Float64Array; vectors: Float64Array }> {
  const k = d.length;
  const values = new Float64Array(k);
  const vectors = new Float64Array(k * k);
  const squares = z.map((value) => value * value);
  const near = new Float64Array(k).fill(1);
  for (let i = 0; i < k; i++) {
    const away = vectors.subarray(i * k, (i + 1) * k);
    values[i] = root(d, squares, rho, i, away);
    for (let j = 0; j < i; j++) near[j] *= away[j] / (d[j] - d[i]);
    near[i] *= away[i];
    for (let j = i + 1; j < k; j++) near[j] *= away[j] / (d[j] - d[i]);
    if (i % 4 === 0) await turn(0);
  }
  for (let j = 0; j < k; j++) near[j] = Math.sqrt(Math.abs(near[j])) * Math.sign(z[j]);
  const u = new Float64Array(k);
  for (let i = 0; i < k; i++) {
    const row = vectors.subarray(i * k, (i + 1) * k);
    let sum = 0;
    for (let j = 0; j < k; j++) {
      u[j] = near[j] / row[j];
      sum += u[j] * u[j];
    }
    const length = Math.sqrt(sum);
    for (let p = 0; p < k; p++) row[p] = u[places[p]] / length;
    if (i % 64 === 0) await turn(0);
  }
  return { values, vectors };
}

/** The root of c x² − a x + b that a rational function with two poles has between them. */
function quadratic(a: number, b: number, c: number): number {
  const spread = Math.sqrt(Math.abs(a * a - 4 * b * c));
  return a <= 0 ? (a - spread) / (2 * c) : (2 * b) / (a + spread);
}

/**
 * The i-th root of f(λ) = 1/ρ + Σ_j squares_j / (d_j − λ), which grows from −∞ at d_i to ∞ at d_{i+1}.
 *
 * @param d poles, ascending
 * @param away becomes d_j − λ, each of them right to a few roundings: λ is measured from the nearer pole
 */
function root(
  d: Float64Array,
  squares: Float64Array,
  rho: number,
  i: number,
  away: Float64Array,
): number {
  const k = d.length;
  const end = i === k - 1;
  const gap = end ? rho * squares.reduce((sum, value) => sum + value, 0) : d[i + 1] - d[i];
  let origin = d[i];
  let low = 0;
  let high = gap;
  let x = gap / 2;
  for (let round = 0; ; round++) {
    let f = 1 / rho;
    let size = f;
    let slope = 0;
    for (let j = 0; j < k; j++) {
      const to = d[j] - origin - x;
      const part = squares[j] / to;
      away[j] = to;
      f += part;
      size += 8 * Math.abs(part);
      slope += part / to;
    }
    if (!(Math.abs(f) > U64 * (size + Math.abs(x) * slope)) || round === ROUNDS) break;
    if (f < 0) low = x;
    else high = x;
    const [a0, a1] = [away[i], away[i + 1]];
    let next: number;
    if (end) next = x + (a0 * f) / (f - a0 * slope);
    else if (round === 0) {
      const rest = f - squares[i] / a0 - squares[i + 1] / a1;
      const far = f < 0 ? -gap : gap;
      const own = f < 0 ? squares[i + 1] : squares[i];
      if (f < 0) {
        origin = d[i + 1];
        low = -x;
        high = 0;
      }
      next = quadratic(rest * far + squares[i] + squares[i + 1], far * own, rest);
    } else {
      // The nearer pole keeps its weight, the other has what makes the slope right.
      const [to, off, own] = low < 0 ? [a1, a0, squares[i + 1]] : [a0, a1, squares[i]];
      const c = f - off * slope - ((to - off) * own) / to ** 2;
      next = x + quadratic((to + off) * f - to * off * slope, to * off * f, c);
    }
    // What leaves the bracket or takes long is cut in two by orders of magnitude.
    if (!(next > low && next < high) || (round > 20 && round % 3 === 0)) {
      const [near, other] = low < 0 ? [high, low] : [low, high];
      next =
        near === 0
          ? other / 1024
          : Math.sign(other) * Math.sqrt(Math.abs(near)) * Math.sqrt(Math.abs(other));
      if (!(next > low && next < high)) break;
    }
    x = next;
  }
  return origin + x;
}
