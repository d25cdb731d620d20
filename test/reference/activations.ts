/**
 * The activations in f64, and what the running bounds need of them: φ, φ′, φ″ and the largest |φ′|
 * and |φ″| near a point.
 *
 * Each value is right to a few f64 ulp of the largest term of its formula (φ of gelu, erf and
 * sigmoid also in the tails); `Math.exp`, `log1p`, `tanh`, `cosh`, `sin` and `cos` are trusted to 1
 * ulp, as V8's fdlibm gives them.
 */

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
export type ActivationName = (typeof ACTIVATIONS)[number];

const TWO_OVER_SQRT_PI = 1.1283791670955126;
const ONE_OVER_SQRT_PI = 0.5641895835477563;
const ONE_OVER_SQRT_TWO_PI = 0.3989422804014327;

/** Below it erf comes from its series, above it erfc from its continued fraction. */
const SERIES_END = 0.5;

/**
 * e^{−scale·x²}, scale a power of two: x = high + low, high² is exact, and so x²'s rounding does
 * not reach the exponent.
 */
function expNegativeSquare(x: number, scale: number): number {
  const high = Math.fround(x);
  return Math.exp(-scale * high * high) * Math.exp(-scale * (x - high) * (x + high));
}

/**
 * erf(x) = 2/√π · e^{−x²} Σ_k 2^k x^{2k+1}/(2k+1)!!, all terms of one sign; for |x| < SERIES_END.
 */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 1; Math.abs(term) > 1e-18 * Math.abs(sum); k++) {
    term *= (2 * x * x) / (2 * k + 1);
    sum += term;
  }
  return TWO_OVER_SQRT_PI * expNegativeSquare(x, 1) * sum;
}

/**
 * e^{x²} erfc(x) = (1/√π) / (x + ½/(x + 1/(x + (3/2)/(x + …)))), evaluated from its far end; for x
 * ≥ SERIES_END.
 */
function erfcxFraction(x: number): number {
  const terms = Math.ceil(10 + 200 / (x * x));
  let tail = x;
  for (let k = terms; k >= 1; k--) tail = x + (0.5 * k) / tail;
  return ONE_OVER_SQRT_PI / tail;
}

/** erf(x) = 2/√π ∫_0^x e^{−t²} dt. **Error** 1e-15 relative. */
export function erf(x: number): number {
  if (Math.abs(x) < SERIES_END) return erfSeries(x);
  return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
}

/**
 * erfc(x) = 1 − erf(x). **Error** 1e-15 relative, in the tail too (to where it becomes subnormal).
 */
export function erfc(x: number): number {
  if (x < SERIES_END) return 1 - erf(x);
  return expNegativeSquare(x, 1) * erfcxFraction(x);
}

/** e^{x²} erfc(x) for x ≥ 0. **Error** 1e-15 relative. */
export function erfcx(x: number): number {
  return x < SERIES_END ? (1 - erfSeries(x)) / expNegativeSquare(x, 1) : erfcxFraction(x);
}

/**
 * Φ(z) = ½ erfc(−z/√2), the normal distribution; z²/2 is taken from z, not from the rounded z/√2.
 */
function normalBelow(z: number): number {
  if (z > 0) return 1 - normalBelow(-z);
  const x = -z * Math.SQRT1_2;
  if (x < SERIES_END) return 0.5 * (1 - erfSeries(x));
  return 0.5 * expNegativeSquare(z, 0.5) * erfcxFraction(x);
}

/** e^{−z²/2}/√(2π). */
function normalDensity(z: number): number {
  return ONE_OVER_SQRT_TWO_PI * expNegativeSquare(z, 0.5);
}

function sigmoid(z: number): number {
  if (z >= 0) return 1 / (1 + Math.exp(-z));
  const e = Math.exp(z);
  return e / (1 + e);
}

/** φ(z); `slope` is leaky_relu's for z < 0, unused by the others. */
export function phi(name: ActivationName, slope: number, z: number): number {
  switch (name) {
    case "relu":
      return z > 0 ? z : 0;
    case "leaky_relu":
      return z > 0 ? z : slope * z;
    case "tanh":
      return Math.tanh(z);
    case "erf":
      return erf(z);
    case "gelu":
      return z * normalBelow(z);
    case "sigmoid":
      return sigmoid(z);
    case "softplus":
      return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    case "silu":
      return z * sigmoid(z);
    case "sin":
      return Math.sin(z);
    case "linear":
      return z;
  }
}

/** φ′(z); at the kink φ′(0) = 0 for relu and `slope` for leaky_relu. */
export function phiPrime(name: ActivationName, slope: number, z: number): number {
  switch (name) {
    case "relu":
      return z > 0 ? 1 : 0;
    case "leaky_relu":
      return z > 0 ? 1 : slope;
    case "tanh":
      return 1 / Math.cosh(z) ** 2;
    case "erf":
      return TWO_OVER_SQRT_PI * expNegativeSquare(z, 1);
    case "gelu":
      return normalBelow(z) + z * normalDensity(z);
    case "sigmoid":
      return sigmoid(z) * sigmoid(-z);
    case "softplus":
      return sigmoid(z);
    case "silu":
      return sigmoid(z) * (1 + z * sigmoid(-z));
    case "sin":
      return Math.cos(z);
    case "linear":
      return 1;
  }
}

/** φ″(z); 0 for the piecewise linear ones, whose kink `hasKink` names. */
export function phiSecond(name: ActivationName, z: number): number {
  switch (name) {
    case "relu":
    case "leaky_relu":
    case "linear":
      return 0;
    case "tanh":
      return (-2 * Math.tanh(z)) / Math.cosh(z) ** 2;
    case "erf":
      return -2 * z * phiPrime("erf", 0, z);
    case "gelu":
      return (2 - z * z) * normalDensity(z);
    case "sigmoid":
      return -phiPrime("sigmoid", 0, z) * Math.tanh(z / 2);
    case "softplus":
      return phiPrime("sigmoid", 0, z);
    case "silu":
      return phiPrime("sigmoid", 0, z) * (2 - z * Math.tanh(z / 2));
    case "sin":
      return -Math.sin(z);
  }
}

export function hasKink(name: ActivationName): boolean {
  return name === "relu" || name === "leaky_relu";
}

/** max |φ′|, max |φ″|, max |φ‴| over the whole line, rounded up. */
const SMOOTH: Partial<Record<ActivationName, readonly [number, number, number]>> = {
  tanh: [1, 0.76981, 2],
  erf: [1.12838, 0.96789, 2.25676],
  gelu: [1.12891, 0.79789, 0.77877],
  sigmoid: [0.25, 0.09623, 0.125],
  softplus: [1, 0.25, 0.09623],
  silu: [1.09984, 0.5, 0.30819],
  sin: [1, 1, 1],
  linear: [1, 0, 0],
};

/** An upper bound of |φ′| over [z − dz, z + dz]: |φ′(z)| + dz·max|φ″|, and no more than max|φ′|. */
export function phiPrimeMax(name: ActivationName, slope: number, z: number, dz: number): number {
  const smooth = SMOOTH[name];
  if (smooth !== undefined) {
    return Math.min(smooth[0], Math.abs(phiPrime(name, slope, z)) + smooth[1] * dz);
  }
  const left = name === "relu" ? 0 : Math.abs(slope);
  if (z > dz) return 1;
  return z < -dz ? left : Math.max(1, left);
}

/**
 * An upper bound of |φ″| over [z − dz, z + dz]: |φ″(z)| + dz·max|φ‴|, and no more than max|φ″|; 0
 * beside a kink.
 */
export function phiSecondMax(name: ActivationName, z: number, dz: number): number {
  const smooth = SMOOTH[name];
  if (smooth === undefined) return 0;
  return Math.min(smooth[1], Math.abs(phiSecond(name, z)) + smooth[2] * dz);
}

/**
 * Σ |terms| of the formula of φ′: what a careful evaluation's error is proportional to where φ′
 * itself cancels.
 */
export function phiPrimeTerms(name: ActivationName, slope: number, z: number): number {
  switch (name) {
    case "gelu":
      return normalBelow(z) + Math.abs(z) * normalDensity(z);
    case "silu":
      return sigmoid(z) * (1 + Math.abs(z) * sigmoid(-z));
    case "sin":
      return 1;
    default:
      return Math.abs(phiPrime(name, slope, z));
  }
}
