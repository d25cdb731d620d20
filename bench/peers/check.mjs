// What the results must be: plain loops in f64 that share no code with the engine or the packages' adapters.

/** Largest |error| / √(H_ii H_jj), or / (|a_i| |b_j|) of a product, that counts as right for sums in f32. */
export const BOUND = 1e-4;

/**
 * @typedef {{ values: Float64Array, rows: Float64Array, columns: Float64Array }} Reference  entry (i, j) is judged on
 *   the scale rows[i] · columns[j]
 */

/** The exact result of a work, up to f64's rounding. @returns {Reference} */
export function reference(work) {
  if (work.kind === "gemm") {
    const { n, k, m } = work;
    const b = transposed(work.b, k, m);
    return { values: dots(work.a, b, n, m, k), rows: norms(work.a, n, k), columns: norms(b, m, k) };
  }
  const [values, n] =
    work.kind === "jjt"
      ? [dots(work.j, work.j, work.n, work.n, work.k), work.n]
      : tangentKernel(work);
  const rows = Float64Array.from({ length: n }, (_, i) => Math.sqrt(values[i * (n + 1)]));
  return { values, rows, columns: rows };
}

/**
 * Judges a result; NaN and a wrong length fail.
 *
 * @returns {{ correct: boolean, worst: number, error?: string }}
 */
export function verdict(result, { values, rows, columns }) {
  if (result.length !== values.length)
    return {
      correct: false,
      worst: NaN,
      error: `the result holds ${result.length} numbers, but ${values.length} are right.`,
    };
  let worst = 0;
  for (let i = 0; i < rows.length; i++)
    for (let j = 0; j < columns.length; j++) {
      const at = i * columns.length + j;
      const quality = Math.abs(result[at] - values[at]) / (rows[i] * columns[j]);
      if (!(quality <= BOUND))
        return {
          correct: false,
          worst: quality,
          error: `entry (${i}, ${j}) is ${result[at]}, but must be ${values[at]}: off by ${quality.toExponential(1)} of its scale, more than ${BOUND}.`,
        };
      worst = Math.max(worst, quality);
    }
  return { correct: true, worst };
}

function transposed(matrix, rows, columns) {
  const turned = new Float32Array(matrix.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j];
  return turned;
}

const norms = (matrix, rows, width) =>
  Float64Array.from({ length: rows }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += matrix[i * width + k] ** 2;
    return Math.sqrt(sum);
  });

/** a bᵀ of row-major a [n, width] and b [m, width]; one triangle where both are the same. */
function dots(a, b, n, m, width) {
  const out = new Float64Array(n * m);
  const x = Float64Array.from(a);
  const y = a === b ? x : Float64Array.from(b);
  for (let i = 0; i < n; i++)
    for (let j = a === b ? i : 0; j < m; j++) {
      let sum = 0;
      for (let k = 0, p = i * width, q = j * width; k < width; k++) sum += x[p + k] * y[q + k];
      out[i * m + j] = sum;
      if (a === b) out[j * m + i] = sum;
    }
  return out;
}

/** H layer by layer, H = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ), and its size n·O. */
function tangentKernel({ spec, weights, inputs, n }) {
  const { widths, weightScale, biasScale } = spec;
  const standard = spec.parameterization === "standard";
  const outputs = widths.at(-1);
  const size = n * outputs;
  const scale = (l) =>
    standard ? 1 : weightScale / Math.sqrt(widths[spec.fan === "out" ? l + 1 : l]);
  const shift = biasScale === null ? 0 : standard ? 1 : biasScale;

  const acts = [Float64Array.from(inputs)];
  const slopes = [];
  weights.slice(0, -1).forEach(({ weight, bias }, l) => {
    const units = widths[l + 1];
    const name = Array.isArray(spec.activation) ? spec.activation[l] : spec.activation;
    const [phi, slope] = ACTIVATIONS[name];
    const z = dots(acts[l], weight, n, units, widths[l]).map(
      (sum, at) => scale(l) * sum + (bias ? shift * bias[at % units] : 0),
    );
    acts.push(z.map((value) => phi(value, spec.negativeSlope ?? 0.01)));
    slopes.push(z.map((value) => slope(value, spec.negativeSlope ?? 0.01)));
  });

  let signals = new Float64Array(size * outputs);
  for (let row = 0; row < size; row++) signals[row * outputs + (row % outputs)] = 1;
  const gram = new Float64Array(size * size);
  for (let l = weights.length - 1; l >= 0; l--) {
    const inner = dots(acts[l], acts[l], n, n, widths[l]);
    const between = dots(signals, signals, size, size, widths[l + 1]);
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) {
        const same = inner[Math.floor(i / outputs) * n + Math.floor(j / outputs)];
        gram[i * size + j] += (scale(l) ** 2 * same + shift ** 2) * between[i * size + j];
      }
    if (l === 0) break;
    const turned = transposed(weights[l].weight, widths[l + 1], widths[l]);
    const [c, width, slope] = [scale(l), widths[l], slopes[l - 1]];
    signals = dots(signals, turned, size, width, widths[l + 1]).map((sum, at) => {
      const sample = Math.floor(at / width / outputs);
      return c * sum * slope[sample * width + (at % width)];
    });
  }
  return [gram, size];
}

const logistic = (z) => 1 / (1 + Math.exp(-z));
const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

/** erf by its series, which alternates: good to 1e-13 below 3; beyond, by its continued fraction. */
function erf(x) {
  if (x < 0) return -erf(-x);
  if (x > 3) {
    let tail = 0;
    for (let step = 60; step >= 1; step--) tail = step / 2 / (x + tail);
    return 1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + tail);
  }
  let term = x;
  let sum = x;
  for (let step = 1; Math.abs(term) > 1e-17 * sum; step++) {
    term *= (-x * x) / step;
    sum += term / (2 * step + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const below = (z) => (1 + erf(z * Math.SQRT1_2)) / 2;

/** φ and φ′. */
const ACTIVATIONS = {
  linear: [(z) => z, () => 1],
  relu: [(z) => Math.max(z, 0), (z) => (z > 0 ? 1 : 0)],
  leaky_relu: [(z, slope) => (z > 0 ? z : slope * z), (z, slope) => (z > 0 ? 1 : slope)],
  tanh: [Math.tanh, (z) => 1 - Math.tanh(z) ** 2],
  erf: [erf, (z) => (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z)],
  gelu: [(z) => z * below(z), (z) => below(z) + z * density(z)],
  sigmoid: [logistic, (z) => logistic(z) * logistic(-z)],
  silu: [(z) => z * logistic(z), (z) => logistic(z) * (1 + z * logistic(-z))],
  softplus: [(z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), logistic],
  sin: [Math.sin, Math.cos],
};
