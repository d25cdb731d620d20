// What the results must be: plain loops in f64 that share no code with the engine or the packages' adapters.

/** Largest |error| / √(H_ii H_jj), or / (|a_i| |b_j|) of a product, that counts as right for sums in f32. */
export const BOUND = 1e-4;

/**
 * @typedef {{ values: Float64Array, rows: Float64Array, columns: Float64Array,
 *   formed?: (result: Float32Array) => Float64Array | null }} Reference  entry (i, j) is judged on the scale rows[i] ·
 *   columns[j]; `formed` makes what is judged of a result, where that is not unique or does not show what it is good
 *   for; null of one of a wrong length
 */

/** The exact result of a work, up to f64's rounding. @returns {Reference} */
export function reference(work) {
  if (work.kind === "gemm") {
    const { n, k, m } = work;
    const b = transposed(work.b, k, m);
    return { values: dots(work.a, b, n, m, k), rows: norms(work.a, n, k), columns: norms(b, m, k) };
  }
  if (work.kind === "step") return afterStep(work);
  if (work.kind === "eigh") return decomposed(work);
  if (work.kind === "cholesky") return factored(work);
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
export function verdict(result, { values, rows, columns, formed }) {
  const found = formed ? formed(result) : result;
  if (found?.length !== values.length)
    return {
      correct: false,
      worst: NaN,
      error: formed
        ? `the result holds ${result.length} numbers, which is not its length.`
        : `the result holds ${result.length} numbers, but ${values.length} are right.`,
    };
  let worst = 0;
  for (let i = 0; i < rows.length; i++)
    for (let j = 0; j < columns.length; j++) {
      const at = i * columns.length + j;
      const quality = Math.abs(found[at] - values[at]) / (rows[i] * columns[j]);
      if (!(quality <= BOUND))
        return {
          correct: false,
          worst: quality,
          error: `entry (${i}, ${j}) is ${found[at]}, but must be ${values[at]}: off by ${quality.toExponential(1)} of its scale, more than ${BOUND}.`,
        };
      worst = Math.max(worst, quality);
    }
  return { correct: true, worst };
}

const transposed = (matrix, rows, columns) =>
  turn(matrix, new Float32Array(matrix.length), rows, columns);
const transposed64 = (matrix, rows, columns) =>
  turn(matrix, new Float64Array(matrix.length), rows, columns);

function turn(matrix, turned, rows, columns) {
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

/** The factors of a network's layers, and the layers' numbers on the way forward. */
function passed({ spec, inputs, n }, weights) {
  const { widths, weightScale, biasScale } = spec;
  const standard = spec.parameterization === "standard";
  const scale = (l) =>
    standard ? 1 : weightScale / Math.sqrt(widths[spec.fan === "out" ? l + 1 : l]);
  const shift = biasScale === null ? 0 : standard ? 1 : biasScale;
  const acts = [Float64Array.from(inputs)];
  const slopes = [];
  weights.forEach(({ weight, bias }, l) => {
    const units = widths[l + 1];
    const last = l === weights.length - 1;
    const name = Array.isArray(spec.activation) ? spec.activation[l] : spec.activation;
    const [phi, slope] = ACTIVATIONS[last ? "linear" : name];
    const z = dots(acts[l], weight, n, units, widths[l]).map(
      (sum, at) => scale(l) * sum + (bias ? shift * bias[at % units] : 0),
    );
    acts.push(z.map((value) => phi(value, spec.negativeSlope ?? 0.01)));
    slopes.push(z.map((value) => slope(value, spec.negativeSlope ?? 0.01)));
  });
  return { acts, slopes, scale, shift };
}

/**
 * The network's outputs after one step of gradient descent, in f64 of the parameters that a result holds: weights [units,
 * fan] and biases, layer by layer. Judged on the scale of the outputs and of what the step changed of them, as what the
 * step adds to a parameter is lost in it.
 */
function afterStep(work) {
  const { spec, weights, targets, n, rate } = work;
  const { widths } = spec;
  const { acts, slopes, scale, shift } = passed(work, weights);
  const moved = [];
  let signals = acts.at(-1).map((value, at) => value - targets[at]);
  for (let l = weights.length - 1; l >= 0; l--) {
    const [units, fan, c] = [widths[l + 1], widths[l], scale(l)];
    const { weight, bias } = weights[l];
    const turned = transposed64(signals, n, units);
    const gradient = dots(turned, transposed64(acts[l], n, fan), units, fan, n);
    const slide = turned.reduce((sums, value, at) => {
      sums[Math.floor(at / n)] += shift * value;
      return sums;
    }, new Float64Array(units));
    moved[l] = {
      weight: gradient.map((value, at) => weight[at] - rate * c * value),
      bias: bias && slide.map((value, at) => bias[at] - rate * value),
    };
    if (l === 0) break;
    signals = dots(signals, transposed64(weight, units, fan), n, fan, units).map(
      (sum, at) => c * sum * slopes[l - 1][at],
    );
  }
  const outputs = (parameters) => passed(work, parameters).acts.at(-1);
  const values = outputs(moved);
  const change = values.map((value, at) => value - acts.at(-1)[at]);
  const size = Math.sqrt((squared(values) + squared(change)) / values.length);
  return {
    values,
    rows: new Float64Array(n).fill(size),
    columns: new Float64Array(widths.at(-1)).fill(1),
    formed(result) {
      let at = 0;
      const take = (given) => given && result.subarray(at, (at += given.length));
      const parameters = weights.map(({ weight, bias }) => ({
        weight: take(weight),
        bias: take(bias),
      }));
      return at === result.length ? outputs(parameters) : null;
    },
  };
}

const squared = (values) => values.reduce((sum, value) => sum + value * value, 0);

/** What LAPACK asks of its solvers: 60 n units in the last place, of ‖A‖ and of 1. */
const solver = (n) => 60 * n * 2 ** -23;

/** Of eigenvalues and then eigenvectors, one a column: V Λ Vᵀ, and below it Vᵀ V, within what f32 solvers are held to. */
function decomposed({ a, n }) {
  const exact = Float64Array.from({ length: 2 * n * n }, (_, at) =>
    at < n * n ? a[at] : Number((at - n * n) % (n + 1) === 0),
  );
  const size = Math.sqrt(squared(Float64Array.from(a)));
  const scale = solver(n) / BOUND;
  return {
    values: exact,
    rows: Float64Array.from({ length: 2 * n }, (_, i) => scale * (i < n ? size : 1)),
    columns: new Float64Array(n).fill(1),
    formed(result) {
      if (result.length !== n + n * n) return null;
      const vectors = Float64Array.from(result.subarray(n));
      const scaled = vectors.map((value, at) => value * result[at % n]);
      const turned = transposed64(vectors, n, n);
      const both = new Float64Array(2 * n * n);
      both.set(dots(scaled, vectors, n, n, n));
      both.set(dots(turned, turned, n, n, n), n * n);
      return both;
    },
  };
}

/** L Lᵀ of what stands in the lower triangle. */
function factored({ a, n }) {
  const roots = Float64Array.from({ length: n }, (_, i) => Math.sqrt(a[i * (n + 1)]));
  return {
    ...{ values: Float64Array.from(a), rows: roots, columns: roots },
    formed(result) {
      if (result.length !== n * n) return null;
      const lower = Float64Array.from(result, (value, at) =>
        at % n <= Math.floor(at / n) ? value : 0,
      );
      return dots(lower, lower, n, n, n);
    },
  };
}

/** H layer by layer, H = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ), and its size n·O. */
function tangentKernel(work) {
  const { spec, weights, n } = work;
  const { widths } = spec;
  const outputs = widths.at(-1);
  const size = n * outputs;
  const { acts, slopes, scale, shift } = passed(work, weights);

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
