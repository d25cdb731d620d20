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

const logistic = (z: number): number => {
  const e = Math.exp(-Math.abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
};

const normalBelow = (z: number): number => {
  const tail = erfc(Math.abs(z) / Math.SQRT2) / 2;
  return z > 0 ? 1 - tail : tail;
};

/** erf(x) for x ≥ 0: its series below 2, from erfc above. */
function erf(x: number): number {
  if (x >= 2) return 1 - erfc(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** erfc(x) for x ≥ 0: Laplace's continued fraction above 2, from erf below. */
function erfc(x: number): number {
  if (x < 2) return 1 - erf(x);
  let tail = 0;
  for (let n = 60; n >= 1; n--) tail = n / 2 / (x + tail);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
}
