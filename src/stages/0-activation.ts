import { U64 } from "./0-double.ts";

/** The activations that a network may have, in the order of the numbers that `activations.wgsl` knows them by. */
export const ACTIVATIONS = [
  "relu",
  "leaky_relu",
  "tanh",
  "erf",
  "gelu",
  "sigmoid",
  "softplus",
  "silu",
  "sin",
  "linear",
] as const;

/** One of {@link ACTIVATIONS}; `gelu` is the exact one, z · Φ(z). */
export type Activation = (typeof ACTIVATIONS)[number];

/** φ(z) in f64, to a few roundings. */
export function phi(activation: Activation, slope: number, z: number): number {
  switch (activation) {
    case "relu":
      return Math.max(z, 0);
    case "leaky_relu":
      return z > 0 ? z : slope * z;
    case "tanh":
      return Math.tanh(z);
    case "erf":
      return z < 0 ? -erf(-z) : erf(z);
    case "gelu":
      return z * normalBelow(z);
    case "sigmoid":
      return logistic(z);
    case "softplus":
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    case "silu":
      return z * logistic(z);
    case "sin":
      return Math.sin(z);
    case "linear":
      return z;
  }
}

/** φ′(z) in f64; at the kink of `relu` 0, of `leaky_relu` its slope. */
export function phiPrime(activation: Activation, slope: number, z: number): number {
  switch (activation) {
    case "relu":
      return z > 0 ? 1 : 0;
    case "leaky_relu":
      return z > 0 ? 1 : slope;
    case "tanh":
      return 4 * logistic(2 * z) * logistic(-2 * z);
    case "erf":
      return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z);
    case "gelu":
      return normalBelow(z) + (z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
    case "sigmoid":
      return logistic(z) * logistic(-z);
    case "softplus":
      return logistic(z);
    case "silu":
      return logistic(z) * (1 + z * logistic(-z));
    case "sin":
      return Math.cos(z);
    case "linear":
      return 1;
  }
}

/** What WGSL guarantees of one addition or multiplication, relatively. */
const U = 2 ** -23;
/** The smallest normal f32: below it a device may take a number for 0. */
const OMEGA = 2 ** -126;
/** What exponentials that underflow may lose of any φ and φ′: most of all z · e^z at −87.3. */
const FLOOR = 2 ** -119;
/** The sine's argument is reduced by four parts of π/2 whose products with the quarters are exact below this. */
const REDUCED = 1e5;

/** b and b′: the errors of φ and φ′ in units of 2⁻²³ of |φ| and of the terms of φ′. */
const ROUNDINGS: Partial<Record<Activation, readonly [number, number]>> = {
  tanh: [3, 9],
  erf: [2, 4],
  gelu: [8, 8],
  sigmoid: [5, 9],
  softplus: [6, 5],
  silu: [6, 8],
};

/**
 * How far φ(z) and φ′(z) of `activations.wgsl` may be from the exact ones, at a z that f32 holds:
 *
 *   |error of φ|  ≤ 2⁻²³ · b · |φ(z)| + 2⁻¹¹⁹
 *   |error of φ′| ≤ 2⁻²³ · b′ · Σ |terms of φ′(z)| + 2⁻¹¹⁹      gelu: Φ and z · density; silu: σ and z · σ σ(−z)
 *
 * relu and linear are exact; leaky_relu rounds the slope and the product; sin is off by 2⁻²² · min(|z|, 1), cos by
 * 2⁻²², and both are only known to lie in [−1, 1] where |z| ≥ 10⁵. A z below 2⁻¹²⁶ in size may be taken for 0.
 *
 * @param slope of `leaky_relu` below zero, before its rounding to f32
 *
 * **Error** rests on measurement, not proof: b and b′ are twice the worst of 16 000 arguments on SwiftShader and
 * lavapipe (tanh 0.7 and 2.5, erf 0.7 and 2, gelu 2.5 and 2.2, sigmoid 1.5 and 2.4, softplus 1.6 and 1.5, silu 1.6
 * and 1.9, sine 1 and 0.8), for other compilers' contractions, and 2 more for each ÷ on the way, whose result WGSL
 * lets be off by 2.5 ulp where these round correctly.
 */
export function activationError(
  activation: Activation,
  slope: number,
  z: number,
): { value: number; derivative: number } {
  const tiny = Math.abs(z) < OMEGA;
  switch (activation) {
    case "relu":
      return { value: tiny ? Math.abs(z) : 0, derivative: tiny && z > 0 ? 1 : 0 };
    case "leaky_relu":
      if (z > 0) return { value: tiny ? z : 0, derivative: tiny ? Math.abs(1 - slope) + U : 0 };
      return { value: 2 * U * Math.abs(slope * z) + OMEGA, derivative: U * Math.abs(slope) };
    case "linear":
      return { value: tiny ? Math.abs(z) : 0, derivative: 0 };
    case "sin":
      if (!(Math.abs(z) < REDUCED)) return { value: 2, derivative: 2 };
      return { value: 2 * U * Math.min(Math.abs(z), 1) + FLOOR, derivative: 2 * U };
    default: {
      const [value, derivative] = ROUNDINGS[activation] as readonly [number, number];
      return {
        value: value * U * Math.abs(phi(activation, slope, z)) + FLOOR,
        derivative: derivative * U * phiPrimeTerms(activation, slope, z) + FLOOR,
      };
    }
  }
}

/** Σ |terms| of the formula of φ′, which is what its error is relative to where they cancel. */
function phiPrimeTerms(activation: Activation, slope: number, z: number): number {
  const whole = phiPrime(activation, slope, z);
  if (z >= 0) return whole;
  if (activation === "gelu")
    return whole - (2 * z * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
  if (activation === "silu") return logistic(z) * (1 - z * logistic(-z));
  return whole;
}

const logistic = (z: number): number => {
  const e = Math.exp(-Math.abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
};

const normalBelow = (z: number): number => {
  const tail = erfc(Math.abs(z) / Math.SQRT2) / 2;
  return z > 0 ? 1 - tail : tail;
};

/** erf(x) for x ≥ 0: a series of positive terms, 2/√π e^{−x²} Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · … · (2n + 1)), below 2; from erfc above. */
function erf(x: number): number {
  if (x >= 2) return 1 - erfc(x);
  let term = x;
  let sum = x;
  for (let n = 1; term > 1e-18 * sum; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** erfc(x) for x ≥ 0: Laplace's continued fraction above 2, from erf below. */
function erfc(x: number): number {
  if (x < 2) return 1 - erf(x);
  let tail = 0;
  for (let n = 60; n >= 1; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
}

/** Largest |φ′| and |φ″| of each activation, rounded up. */
const STEEPEST: Record<Activation, readonly [number, number]> = {
  relu: [1, 0],
  leaky_relu: [1, 0],
  tanh: [1, 0.7699],
  erf: [1.1284, 0.9679],
  gelu: [1.1291, 0.798],
  sigmoid: [0.25, 0.0963],
  softplus: [1, 0.25],
  silu: [1.0999, 0.5],
  sin: [1, 1],
  linear: [1, 0],
};

/** Largest |φ′| and |φ″| away from a kink, and how far φ′ jumps at it. */
export function steepness(
  activation: Activation,
  slope: number,
): { first: number; second: number; jump: number } {
  const [first, second] = STEEPEST[activation];
  if (activation === "relu") return { first, second, jump: 1 };
  if (activation === "leaky_relu")
    return { first: Math.max(1, Math.abs(slope)), second, jump: Math.abs(1 - slope) };
  return { first, second, jump: 0 };
}

/**
 * How far `phi` and `phiPrime` may be from the exact ones, at a z that f64 holds.
 *
 * **Error** counted rounding by rounding, as far as the host's `Math.exp`, `tanh`, `log1p`, `sin` and `cos` are right to
 * 4 · 2⁻⁵³ relatively: the language leaves them free; of V8's the worst seen is tanh, with 2.8.
 */
export function phiError64(
  activation: Activation,
  slope: number,
  z: number,
): { value: number; derivative: number } {
  const size = Math.abs(z);
  const off = (value: number, derivative: number) => ({
    value: value * U64,
    derivative: derivative * U64,
  });
  switch (activation) {
    case "relu":
    case "linear":
      return off(0, 0);
    case "leaky_relu":
      return off(z > 0 ? 0 : Math.abs(slope * z), 0);
    case "tanh":
      return off(4 * Math.abs(Math.tanh(z)), 18 * phiPrime(activation, slope, z));
    case "erf":
      return off(tailError(size) + 1, (size * size + 8) * phiPrime(activation, slope, z));
    case "gelu": {
      const below = tailError(size / Math.SQRT2) + 2;
      const density = Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI);
      return off((below + 1) * size, below + 2 + (z * z + 10) * size * density);
    }
    case "sigmoid":
      return off(8 * logistic(z), 18 * phiPrime(activation, slope, z));
    case "softplus":
      return off(10 * phi(activation, slope, z), 8 * logistic(z));
    case "silu":
      return off(9 * size * logistic(z), 28 * logistic(z) * (1 + size * logistic(-z)));
    case "sin":
      return off(4 * Math.abs(Math.sin(z)), 4 * Math.abs(Math.cos(z)));
  }
}

/**
 * |error of erf(x), or of erfc(x)| over 2⁻⁵³ for x ≥ 0, an x off by 2 roundings included. Below 2 the series: 8 for
 * exp(−x²), the n-th term 4 n, the sum one for each of up to 45 terms, the product 3; above, exp and the fraction.
 */
const tailError = (x: number): number =>
  x < 2 ? 90 : (5 * x * x + 20) * Math.min(1, Math.exp(-x * x));
