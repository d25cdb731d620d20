// The works that `run.mjs` times, their operands drawn from a seeded stream.

/** Numbers that look normal: sums of four uniform ones from a small generator, of variance 1. */
function stream(seed) {
  let state = seed >>> 0 || 1;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const next = () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);
  return (length) => Float32Array.from({ length }, next);
}

const gemm = (n, k, m) => () => {
  const normal = stream(1);
  return { kind: "gemm", n, k, m, a: normal(n * k), b: normal(k * m) };
};

const jjt = (n, k) => () => ({ kind: "jjt", n, k, j: stream(2)(n * k) });

/** A network with its parameters and samples. */
function drawn(n, widths, activation) {
  const normal = stream(3);
  const weights = widths.slice(1).map((units, l) => ({
    weight: normal(units * widths[l]),
    bias: normal(units),
  }));
  const spec = {
    widths,
    activation,
    parameterization: "ntk",
    weightScale: activation === "relu" ? Math.SQRT2 : 1,
    biasScale: 0.1,
  };
  return { spec, weights, n, inputs: normal(n * widths[0]), targets: normal(n * widths.at(-1)) };
}

const ntk = (n, widths, activation) => () => {
  const { targets, ...work } = drawn(n, widths, activation);
  return { kind: "ntk", ...work };
};

const step = (n, widths, activation, rate) => () => ({
  ...{ kind: "step", rate },
  ...drawn(n, widths, activation),
});

/** Symmetric and positive definite: X Xᵀ / n + 1. */
const definite = (kind, n) => () => {
  const x = stream(4)(n * n);
  const a = new Float32Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? n : 0;
      for (let k = 0; k < n; k++) sum += x[i * n + k] * x[j * n + k];
      a[i * n + j] = a[j * n + i] = sum / n;
    }
  return { kind, n, a };
};

/** By name; each gives a work as `peers.mjs` takes it. */
export const WORKS = {
  gemm512: gemm(512, 512, 512),
  gemm1024: gemm(1024, 1024, 1024),
  jjt512: jjt(512, 16384),
  jjt1024: jjt(1024, 2048),
  "ntk-relu": ntk(256, [784, 512, 512, 1], "relu"),
  "ntk-tanh": ntk(512, [64, 256, 256, 256, 1], "tanh"),
  "ntk-gelu": ntk(1024, [32, 512, 512, 1], "gelu"),
  "ntk-outputs": ntk(64, [32, 256, 256, 10], "tanh"),
  step: step(512, [784, 512, 512, 1], "relu", 2 ** -10),
  eigh: definite("eigh", 512),
  cholesky: definite("cholesky", 1024),
};

/** Small networks, one an activation: not for timing but to see that the packages' answers are right. */
const NAMES = ["relu", "tanh", "gelu", "erf", "sigmoid", "softplus", "silu", "sin", "leaky_relu"];
for (const name of NAMES) {
  WORKS[`small-${name}`] = ntk(12, [5, 17, 9, 3], name);
  WORKS[`small-step-${name}`] = step(12, [5, 17, 9, 3], name, 2 ** -5);
}
WORKS["small-eigh"] = definite("eigh", 12);
WORKS["small-cholesky"] = definite("cholesky", 12);
