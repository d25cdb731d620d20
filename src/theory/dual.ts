import type { Activation } from "../stages/0-activation.ts";

/**
 * Where a pair of samples stands in one layer: u and v are Gaussian with variances q1, q2 and covariance c.
 *
 * 1 − ρ and 1 + ρ are carried beside c, since the angle between the two is their half-angle's tangent: taken from c, it
 * would lose half its digits between near-duplicates.
 */
export interface Pair {
  q1: number;
  q2: number;
  c: number;
  /** 1 − ρ, ρ = c / √(q1 q2); 1 where a variance is 0. */
  far: number;
  /** 1 + ρ */
  near: number;
  /** K = E[φ(u) φ(v)] */
  k: number;
  /** K̇ = E[φ′(u) φ′(v)] */
  kDot: number;
}

/** Activations whose K and K̇ are closed forms; the others have series. */
export type Closed = Exclude<Activation, "tanh" | "sigmoid" | "softplus" | "silu">;

/**
 * K and K̇ of a pair, in closed form, written into it; for relu, leaky_relu and linear, far and near become those of K.
 *
 *   relu, leaky_relu   (1 − a)²/(2π) √(q1 q2) (sin θ − θ cos θ) + c (1 + a²)/2     (1 + a²)/2 − (1 − a)² θ/(2π)
 *   erf                (2/π) atan2(2c, R)                                          (4/π)/R
 *   gelu               c P + (c² + q1 q2 D)/(2π E √D)                              P + c/(2π √D) (1/D + (2 + q1 + q2)/E)
 *   sin                e^{−(q1 + q2)/2} sinh c                                     e^{−(q1 + q2)/2} cosh c
 *
 * where Δ = q1 q2 − c², R² = 1 + 2 q1 + 2 q2 + 4 Δ, D = 1 + q1 + q2 + Δ, E = (1 + q1)(1 + q2), P = atan2(√D, −c)/(2π).
 *
 * @param slope a: φ(z) = a z below zero, for relu 0
 *
 * **Error** 1e-14 √(K1 K2) of K, likewise of K̇, seen, quadrature's own included. **From** Cho & Saul 2009, Williams 1997, Tsuchida et al. 2021; as
 * written here no formula subtracts what is nearly equal.
 */
export function closedDual(activation: Closed, slope: number, pair: Pair): void {
  const { q1, q2, c, far, near } = pair;
  switch (activation) {
    case "relu":
      return kinked(0, pair);
    case "leaky_relu":
      return kinked(slope, pair);
    case "linear":
      pair.k = c;
      pair.kDot = 1;
      return;
    case "erf": {
      const root = Math.sqrt(1 + 2 * (q1 + q2) + 4 * (q1 * q2) * far * near);
      pair.k = (2 / Math.PI) * Math.atan2(2 * c, root);
      pair.kDot = 4 / Math.PI / root;
      return;
    }
    case "gelu": {
      const product = q1 * q2;
      const d = 1 + (q1 + q2) + product * far * near;
      const root = Math.sqrt(d);
      const e = (1 + q1) * (1 + q2);
      const below = Math.atan2(root, -c) / (2 * Math.PI);
      pair.k = c * below + (c * c + product * d) / (2 * Math.PI * e * root);
      pair.kDot = below + (c / (2 * Math.PI * root)) * (1 / d + (2 + (q1 + q2)) / e);
      return;
    }
    case "sin": {
      const apart = (Math.sqrt(q1) - Math.sqrt(q2)) ** 2 / 2;
      const size = Math.sqrt(q1 * q2);
      // e^{c − m} and e^{−c − m}, m the mean of the variances.
      const plus = Math.exp(-apart - size * far);
      const minus = Math.exp(-apart - size * near);
      pair.k = c >= 0 ? -0.5 * plus * Math.expm1(-2 * c) : 0.5 * minus * Math.expm1(2 * c);
      pair.kDot = 0.5 * (plus + minus);
    }
  }
}

/** a z below zero, z above. The angle is taken from whichever end it is near, so that π − θ keeps its digits too. */
function kinked(a: number, pair: Pair): void {
  const { q1, q2, c, far, near } = pair;
  const both = 1 + a * a;
  const jump = (1 - a) ** 2 / (2 * Math.PI);
  const size = Math.sqrt(q1 * q2);
  if (size === 0) {
    pair.k = 0;
    // φ′(0) = a, against a and 1 on either side.
    pair.kDot = q1 === 0 && q2 === 0 ? a * a : (a * (1 + a)) / 2;
    return;
  }
  const share = (2 * jump) / both;
  if (c >= 0) {
    const angle = 2 * Math.atan2(Math.sqrt(far), Math.sqrt(near));
    const bend = sineBend(angle);
    pair.k = jump * size * bend + (c * both) / 2;
    pair.kDot = both / 2 - jump * angle;
    pair.far = far - share * bend;
    pair.near = near + share * bend;
  } else {
    const rest = 2 * Math.atan2(Math.sqrt(near), Math.sqrt(far));
    const bend = sineBend(rest);
    // π times `share`, and 2 less it.
    const odd = (1 - a) ** 2 / both;
    const even = (1 + a) ** 2 / both;
    pair.k = jump * size * bend + a * c;
    pair.kDot = a + jump * rest;
    pair.far = even + (odd - 1) * near - share * bend;
    pair.near = near + share * bend + odd * (1 - near);
  }
}

/** sin x − x cos x for 0 ≤ x ≤ π, to a few roundings: below 1 by Σ (−1)^{k+1} 2k x^{2k+1}/(2k + 1)!. */
function sineBend(x: number): number {
  if (x > 1) return Math.sin(x) - x * Math.cos(x);
  let term = (x * x * x) / 3;
  let sum = term;
  for (let k = 2; k <= 9; k++) {
    term *= (-x * x) / ((2 * k - 2) * (2 * k + 1));
    sum += term;
  }
  return sum;
}

/**
 * From the pair's K to its place in the next layer: c = σ_w² K + σ_b², and far and near from those of K.
 *
 *   Q1 Q2 − c² = σ_w⁴ K1 K2 (1 − ρ_K²) + σ_w² σ_b² ((√K1 − √K2)² + 2 √(K1 K2) (1 − ρ_K)),  Q = σ_w² K + σ_b²
 *
 * @param own1 K between the first sample and itself, own2 of the second
 */
export function enter(pair: Pair, own1: number, own2: number, w: number, b: number): void {
  pair.q1 = w * own1 + b;
  pair.q2 = w * own2 + b;
  pair.c = w * pair.k + b;
  if (b === 0 && w > 0) return;
  const inside = own1 * own2 * pair.far * pair.near;
  const apart = (Math.sqrt(own1) - Math.sqrt(own2)) ** 2;
  const gap = apart + 2 * Math.sqrt(own1 * own2) * pair.far;
  place(pair, w * w * inside + w * b * gap, Math.sqrt(pair.q1 * pair.q2), pair.c);
}

/** far and near out of size² − c² and c. */
export function place(pair: Pair, determinant: number, size: number, c: number): void {
  if (!(size > 0)) pair.far = pair.near = 1;
  else if (c >= 0) {
    pair.far = determinant / (size * (size + c));
    pair.near = 2 - pair.far;
  } else {
    pair.near = determinant / (size * (size - c));
    pair.far = 2 - pair.near;
  }
}
