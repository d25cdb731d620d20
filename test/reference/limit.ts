/**
 * Infinite-width kernels from their definition: K = E[φ(u) φ(v)] and K̇ = E[φ′(u) φ′(v)] over a Gaussian pair with
 * variances q1, q2 and covariance c, by quadrature in polar coordinates; and the recursion over layers.
 */
import { phi, phiPrime } from "./activations.ts";
import type { ReferenceNetwork } from "./network.ts";

export interface DualValues {
  /** E[φ(u) φ(v)] */
  k: number;
  /** E[φ′(u) φ′(v)] */
  kDot: number;
  /** E[(φ(u) − φ(v))²], to 1e-16 of √ of itself times φ: not a difference of expectations. */
  gap: number;
  /** E[(φ(u) + φ(v))²] */
  sum: number;
}

/** Gauss and Legendre's rule on [−1, 1], by Newton's iteration on the recurrence. */
function legendre(order: number): { nodes: number[]; weights: number[] } {
  const nodes: number[] = [];
  const weights: number[] = [];
  for (let i = 0; i < order; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (order + 0.5));
    let slope = 1;
    for (let step = 0; step < 100; step++) {
      let [before, value] = [1, x];
      for (let k = 2; k <= order; k++)
        [before, value] = [value, ((2 * k - 1) * x * value - (k - 1) * before) / k];
      slope = (order * (before - x * value)) / (1 - x * x);
      const change = value / slope;
      x -= change;
      if (Math.abs(change) < 1e-16) break;
    }
    nodes.push(x);
    weights.push(2 / ((1 - x * x) * slope * slope));
  }
  return { nodes, weights };
}

const ANGULAR = legendre(60);
const RADIAL = legendre(80);
/** e^{−r²/2} r beyond it is 1e-33. */
const REACH = 12.5;

/**
 * K and K̇ with u = √q1 r cos t, v = √q2 r cos(t − θ), where θ is the angle between them:
 *
 *   E[f(u, v)] = 1/(2π) ∫₀^{2π} ∫₀^∞ f r e^{−r²/2} dr dt
 *
 * the circle cut where u or v changes its sign, so that no piece has a kink inside.
 *
 * @param angle θ, which says more than c where the pair is nearly dependent
 *
 * **Error** 2e-15 relative to √(K1 K2) up to q = 4, from doubling the nodes.
 */
export function dual(
  net: Pick<ReferenceNetwork, "negativeSlope">,
  name: ReferenceNetwork["activation"][number],
  q1: number,
  q2: number,
  angle: number,
): DualValues {
  const slope = net.negativeSlope;
  const kinks = [0.5, 1.5]
    .flatMap((half) => [half * Math.PI, half * Math.PI + angle])
    .map((at) => at % (2 * Math.PI))
    .sort((a, b) => a - b);
  const [s1, s2] = [Math.sqrt(q1), Math.sqrt(q2)];
  let [k, kDot, gap, sum] = [0, 0, 0, 0];
  kinks.forEach((from, piece) => {
    const to = piece < 3 ? kinks[piece + 1] : kinks[0] + 2 * Math.PI;
    const half = (to - from) / 2;
    ANGULAR.nodes.forEach((node, a) => {
      const t = from + half * (1 + node);
      const [along1, along2] = [s1 * Math.cos(t), s2 * Math.cos(t - angle)];
      RADIAL.nodes.forEach((radial, b) => {
        const r = (REACH / 2) * (1 + radial);
        const share =
          (half *
            ANGULAR.weights[a] *
            (REACH / 2) *
            RADIAL.weights[b] *
            r *
            Math.exp(-0.5 * r * r)) /
          (2 * Math.PI);
        const [p1, p2] = [phi(name, slope, along1 * r), phi(name, slope, along2 * r)];
        k += share * p1 * p2;
        gap += share * (p1 - p2) ** 2;
        sum += share * (p1 + p2) ** 2;
        kDot += share * phiPrime(name, slope, along1 * r) * phiPrime(name, slope, along2 * r);
      });
    });
  });
  return { k, kDot, gap, sum };
}

/** A finite f32 or f64 number as an integer times 2^exponent. */
function scaled(value: number): bigint {
  let exponent = 0;
  let mantissa = value;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    exponent++;
  }
  if (exponent > 200) throw new RangeError(`scaled: ${value} is too small.`);
  return BigInt(mantissa) << BigInt(200 - exponent);
}

/** √ of a ratio of big integers to f64, through 160 bits. */
function rootOfRatio(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0;
  let shift = 0n;
  while ((numerator << shift) / denominator < 1n << 160n) shift += 2n;
  const wide = (numerator << shift) / denominator;
  let root = BigInt(Math.floor(Math.sqrt(Number(wide))));
  for (let step = 0; step < 8; step++) root = (root + wide / root) >> 1n;
  return Number(root) / 2 ** Number(shift / 2n);
}

/** The angle between two vectors, tan θ = √(|x|²|y|² − (x·y)²) / x·y, with the root's argument exact; and π − θ. */
export function angleBetween(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
): { angle: number; rest: number } {
  const [a, b] = [x, y].map((each) => Array.from(each, scaled));
  const dot = (p: bigint[], q: bigint[]) => p.reduce((sum, value, i) => sum + value * q[i], 0n);
  const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
  if (aa === 0n || bb === 0n) return { angle: Math.PI / 2, rest: Math.PI / 2 };
  if (ab === 0n) return { angle: Math.PI / 2, rest: Math.PI / 2 };
  const tangent = rootOfRatio(aa * bb - ab * ab, ab * ab);
  const near = Math.atan(tangent);
  return ab > 0n ? { angle: near, rest: Math.PI - near } : { angle: Math.PI - near, rest: near };
}

/**
 * Σ and Θ of one output between two inputs, layer by layer as the recursion says.
 *
 *   Σ⁺ = σ_w² K + σ_b²     Θ⁺ = Σ⁺ + σ_w² K̇ Θ     standard: Θ⁺ = n_in K + σ_w² K̇ Θ + (1 with biases)
 *
 * The angle is the half angle's tangent, from E[(u ∓ v)²].
 */
export function limitPair(
  net: ReferenceNetwork,
  x: ArrayLike<number>,
  y: ArrayLike<number>,
): { nngp: number; ntk: number } {
  const { widths, activation, parameterization, weightScale, biasScale } = net;
  const standard = parameterization === "standard";
  const [w, b] = [weightScale ** 2, (biasScale ?? 0) ** 2];
  const one = biasScale === null ? 0 : 1;
  const dot = (p: ArrayLike<number>, q: ArrayLike<number>) =>
    Array.from(p).reduce((sum, value, i) => sum + value * q[i], 0);
  const first = (p: ArrayLike<number>, q: ArrayLike<number>) => (w * dot(p, q)) / widths[0] + b;
  let [q1, q2, c] = [first(x, x), first(y, y), first(x, y)];
  let theta = standard ? dot(x, y) + one : c;
  let { angle } = angleBetween(x, y);
  if (b > 0) {
    const apart = Array.from(x, (value, i) => value - y[i]);
    const whole = Array.from(x, (value, i) => value + y[i]);
    const scale = w / widths[0];
    angle = angleOf(q1, q2, scale * dot(apart, apart), scale * dot(whole, whole) + 4 * b);
  }
  activation.forEach((name, l) => {
    const { k, kDot, gap, sum } = dual(net, name, q1, q2, angle);
    const own1 = dual(net, name, q1, q1, 0).k;
    const own2 = dual(net, name, q2, q2, 0).k;
    [q1, q2, c] = [w * own1 + b, w * own2 + b, w * k + b];
    angle = angleOf(q1, q2, w * gap, w * sum + 4 * b);
    theta = standard ? widths[l + 1] * k + w * kDot * theta + one : c + w * kDot * theta;
  });
  return { nngp: c, ntk: theta };
}

/** tan²(θ/2) = (E[(u − v)²] − (√q1 − √q2)²) / (E[(u + v)²] − (√q1 − √q2)²) */
function angleOf(q1: number, q2: number, gap: number, sum: number): number {
  const sizes = (Math.sqrt(q1) - Math.sqrt(q2)) ** 2;
  const [far, near] = [gap, sum].map((each) => Math.sqrt(Math.max(0, each - sizes)));
  return q1 * q2 > 0 ? 2 * Math.atan2(far, near) : Math.PI / 2;
}
