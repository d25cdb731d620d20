import { norm64, SLACK, U64 } from "../stages/0-double.ts";
import { inner } from "../stages/4-krylov.ts";
import type { ExactProducts } from "./exactProducts.ts";

/** Vectors on either side of approximate singular triplets. */
export interface Pairs {
  readonly left: readonly Float64Array[];
  readonly right: readonly Float64Array[];
}

/** A singular value that lies within `bound` of `value`, another one for each entry of a list. */
export interface SingularInterval {
  readonly value: number;
  readonly bound: number;
  /** Place in the lists that were handed in. */
  readonly from: number;
}

/**
 * Intervals around approximate singular values, each with a singular value of its own in it, largest first.
 *
 *   σ = xᵀ J z        ρ² = (‖J z − σ x‖² + ‖Jᵀ x − σ z‖²) / 2        for unit x and z, which are scaled to that
 *
 * (x, z)/√2 is nearly an eigenvector of [0 J; Jᵀ 0], whose eigenvalues are ±σ and zeros: one lies within ρ. Where such
 * intervals meet, the whole group has as many eigenvalues within (‖R‖_F + δ · spread) / (1 − δ), with δ what its vectors
 * Y lack of being orthonormal, ‖YᵀY − 1‖_F.
 *
 * @param products of those very vectors
 * @returns `bound` counts residuals, the roundings of the products and ‖J̃ − J‖; where it is not below `value` nothing
 * but 0 ≤ σ is known from below
 *
 * **From** Parlett 1998, chapter 11 (Kahan's theorem): A U − U Θ = (U (P Θ − Θ P) + R) P⁻¹ with Y = U P the polar form.
 */
export function tripletIntervals(pairs: Pairs, products: ExactProducts): SingularInterval[] {
  const { images, backs, rounding, jacobianError } = products;
  const found = pairs.left.map((x, from) => {
    const z = pairs.right[from];
    const [p, q] = [1 / norm64(x), 1 / norm64(z)];
    const value = inner(x, images[from]) * p * q;
    let first = 0;
    let second = 0;
    for (let i = 0; i < x.length; i++) first += (q * images[from][i] - value * p * x[i]) ** 2;
    for (let i = 0; i < z.length; i++) second += (p * backs[from][i] - value * q * z[i]) ** 2;
    const rounded = rounding + 8 * U64 * Math.abs(value);
    const residual = Math.hypot(Math.sqrt(first) + rounded, Math.sqrt(second) + rounded);
    return { value, residual: (SLACK * residual) / Math.SQRT2, from };
  });
  found.sort((one, other) => other.value - one.value);
  // Groups of neighbours whose intervals meet; a wider bound may meet more.
  let groups = found.map((each) => ({ of: [each], bound: each.residual }));
  for (let met = true; met;) {
    met = false;
    const merged: typeof groups = [];
    for (const group of groups) {
      const before = merged[merged.length - 1];
      const low = before && before.of[before.of.length - 1].value - before.bound;
      if (before && !(low > group.of[0].value + group.bound)) {
        before.of.push(...group.of);
        before.bound = groupBound(pairs, before.of);
        met = true;
      } else merged.push({ ...group });
    }
    groups = merged;
  }
  return groups.flatMap(({ of, bound }) =>
    of.map(({ value, from }) => ({ value, bound: SLACK * (bound + jacobianError), from })),
  );
}

/** (‖R‖_F + δ · spread) / (1 − δ) of a group. */
function groupBound(
  pairs: Pairs,
  group: readonly { readonly value: number; readonly residual: number; readonly from: number }[],
): number {
  const delta = departure(group.map(({ from }) => [pairs.left[from], pairs.right[from]]));
  const spread = group[0].value - group[group.length - 1].value;
  const residual = norm64(Float64Array.from(group, (each) => each.residual));
  return delta < 1 ? (SLACK * (residual + delta * spread)) / (1 - delta) : Infinity;
}

/** ‖YᵀY − 1‖_F of vectors y that are scaled to length 1, each of sides that weigh alike. */
export function departure(vectors: readonly (readonly Float64Array[])[]): number {
  const sides = vectors[0].length;
  const lengths = vectors.map((parts) => parts.map((part) => norm64(part)));
  const entries = vectors[0].reduce((sum, part) => sum + part.length, 0);
  let off = 0;
  for (let i = 0; i < vectors.length; i++)
    for (let j = 0; j < i; j++) {
      let cosine = 0;
      for (let side = 0; side < sides; side++)
        cosine += inner(vectors[i][side], vectors[j][side]) / (lengths[i][side] * lengths[j][side]);
      off += 2 * (cosine / sides) ** 2;
    }
  return SLACK * Math.sqrt(off) + vectors.length * (entries + 8) * U64;
}

/**
 * Bounds from above on the smallest singular values of J: the j-th is at most what the span of the j vectors that are
 * shortened most can be stretched by.
 *
 *   σ_j² ≤ (max_i ‖Jᵀ x_i‖² + ‖offdiagonal of GᵀG‖_F) / (1 − ‖XᵀX − 1‖_F),   G = Jᵀ X
 *
 * @param vectors x on the shorter side of J, as only there no direction is 0 for want of others: else z
 * @param images Jᵀ x of each, or J z
 * @param order of places in both lists, the smallest first
 * @returns [order]
 *
 * **From** the theorem of Courant and Fischer.
 */
export function leastAtMost(
  vectors: readonly Float64Array[],
  images: readonly Float64Array[],
  { rounding, jacobianError }: Pick<ExactProducts, "rounding" | "jacobianError">,
  order: readonly number[],
): Float64Array {
  const lengths = vectors.map((x) => norm64(x));
  const bounds = new Float64Array(order.length);
  let largest = 0;
  let off = 0;
  for (const [j, place] of order.entries()) {
    largest = Math.max(largest, norm64(images[place]) / lengths[place]);
    for (const other of order.slice(0, j)) {
      const scale = lengths[place] * lengths[other];
      off += 2 * (inner(images[place], images[other]) / scale) ** 2;
    }
    const entries = images[place].length;
    const whole = (largest * largest + Math.sqrt(off)) * (1 + 4 * (j + 1) * (entries + 8) * U64);
    const delta = departure(order.slice(0, j + 1).map((k) => [vectors[k]]));
    // The computed G is off by `rounding` in each column.
    const stretch = Math.sqrt(whole) + Math.sqrt(j + 1) * rounding;
    bounds[j] = delta < 1 ? SLACK * (stretch / Math.sqrt(1 - delta) + jacobianError) : Infinity;
  }
  return bounds;
}
