/** Bounds, never tolerances: how a computed array is judged against the f64 reference. */

/** Unit roundoff of f32 with rounding to nearest: what hardware does; for quality figures. */
export const U = 2 ** -24;
/** What WGSL guarantees ("correctly rounded", either neighbour): for conformance bounds. */
export const UW = 2 ** -23;
/** The smallest normal f32: what one operation may lose where subnormals are flushed. */
export const OMEGA = 2 ** -126;

/**
 * γ_k(u) = k u/(1 − k u), the relative error of k roundings in a row. @throws RangeError unless 0 ≤
 * k u < 1
 */
export function gamma(k: number, u: number): number {
  const ku = k * u;
  if (!(ku >= 0 && ku < 1)) {
    throw new RangeError(`gamma: k·u is ${ku}, but must be in [0, 1). Split the sum into blocks.`);
  }
  return ku / (1 - ku);
}

export interface Worst {
  /** The largest error ÷ bound (0 ÷ 0 = 0); at most 1 if the assertion held. */
  worst: number;
  /** Where; −1 for empty arrays. */
  index: number;
}

/**
 * |actual_i − exact_i| ≤ bound_i for every i, written so that NaN anywhere fails, and arrays of
 * unequal lengths too.
 *
 * `bound`: one number for all, or one per entry. Returns the largest error ÷ bound, to be reported.
 *
 * @throws Error naming the worst entry, both values, error ÷ bound and the number of entries out of
 * bounds
 */
export function assertWithin(
  actual: ArrayLike<number>,
  exact: ArrayLike<number>,
  bound: ArrayLike<number> | number,
  label: string,
): Worst {
  if (actual.length !== exact.length) {
    throw new Error(`${label}: ${actual.length} values, but must be ${exact.length}.`);
  }
  if (typeof bound !== "number" && bound.length !== exact.length) {
    throw new Error(`${label}: ${bound.length} bounds, but must be ${exact.length}.`);
  }
  let worst = -1;
  let index = -1;
  let failures = 0;
  for (let i = 0; i < exact.length; i++) {
    const limit = typeof bound === "number" ? bound : bound[i];
    const error = Math.abs(actual[i] - exact[i]);
    if (!(error <= limit)) failures++;
    const quotient = error === 0 && limit === 0 ? 0 : error / limit;
    const ratio = Number.isNaN(quotient) ? Infinity : quotient;
    if (ratio > worst) {
      worst = ratio;
      index = i;
    }
  }
  if (failures > 0) {
    const limit = typeof bound === "number" ? bound : bound[index];
    throw new Error(
      `${label}: [${index}] is ${actual[index]}, but must be ${exact[index]} ± ${limit}: ` +
        `error ÷ bound = ${worst.toPrecision(4)}; ${failures} of ${exact.length} out of bounds.`,
    );
  }
  return { worst: Math.max(worst, 0), index };
}
