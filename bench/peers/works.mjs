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

const ntk = (n, widths, activation) => () => {
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
  return { kind: "ntk", spec, weights, n, inputs: normal(n * widths[0]) };
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
};

/** Small networks, one an activation: not for timing but to see that the packages' answers are right. */
const NAMES = ["relu", "tanh", "gelu", "erf", "sigmoid", "softplus", "silu", "sin", "leaky_relu"];
for (const name of NAMES) WORKS[`small-${name}`] = ntk(12, [5, 17, 9, 3], name);
