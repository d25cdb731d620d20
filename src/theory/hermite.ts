import { InputError } from "../errors.ts";
import type { Meter } from "../gpu/queue.ts";
import { phi, phiPrime, type Activation } from "../stages/0-activation.ts";
import { PANEL, rowProducts } from "../stages/0-double.ts";
import { place, type Pair } from "./dual.ts";

/** Activations that have a series: those that are smooth. */
export type Smooth = Exclude<Activation, "relu" | "leaky_relu" | "linear">;

/** Coefficients of φ′(√q z) in orthonormal Hermite polynomials, one row a sample. */
export interface Coefficients {
  readonly deviations: Float64Array;
  /** E[φ(√q z)] */
  readonly means: Float64Array;
  /** b_k for k = first, first + 2, …  [n, width]; the other b_k, but for b_0 where first is 1, are 0. */
  readonly rows: Float64Array;
  /** How many of a row count: beyond them Σ b_k² is 2⁻⁴⁷ of the whole. */
  readonly lengths: Int32Array;
}

/** The series of one layer, for each set of samples. */
export interface Series {
  readonly sets: readonly Coefficients[];
  /** 0 where φ′ is even, 1 where φ′ − ½ is odd. */
  readonly first: 0 | 1;
  readonly width: number;
  /** 1 / (k + 1) */
  readonly inverses: Float64Array;
}

/** Beyond it a sample's coefficients alone take 64 kB. */
const MAX_TERMS = 2 ** 14;
/** Share of Σ b_k² that may be left out; of a pair, all that is beyond the longer of the two. */
const LEFT = 2 ** -47;
/** √ of the Gaussian weight is 1e-17 there: Hermite polynomials times it stay below 1. */
const REACH = 12.5;

/** Distance of φ′'s nearest pole from the real line. */
const POLES: Partial<Record<Smooth, number>> = {
  tanh: Math.PI / 2,
  sigmoid: Math.PI,
  softplus: Math.PI,
  silu: Math.PI,
};

/**
 * Terms that suffice at deviation s, and how far in frequency φ′(s z) reaches. A pole at distance p makes
 * b_k ≈ e^{−√k p/s}; erf and gelu fall off geometrically, by √(2q/(1 + 2q)) and √(q/(1 + q)) a term; sin as s^k/√k!.
 */
function extent(activation: Smooth, s: number): { terms: number; band: number } {
  const q = s * s;
  switch (activation) {
    case "erf":
      return { terms: 16 + 35 / Math.log1p(0.5 / q), band: 13 * s };
    case "gelu":
      return { terms: 16 + 35 / Math.log1p(1 / q), band: 9 * s };
    case "sin":
      return { terms: 40 + 8 * q, band: s };
    default: {
      const widths = s / POLES[activation]!;
      return { terms: 32 + (20 * widths) ** 2, band: 40 * widths };
    }
  }
}

/**
 * Coefficients b_k = E[φ′(√q z) he_k(z)] for sets of variances, by the midpoint rule with one step for all:
 *
 *   K̇ = Σ b_k b′_k ρ^k        K = m m′ + c Σ b_k b′_k ρ^k / (k + 1)        m = E[φ(√q z)]
 *
 * since E[φ(s z) he_{k+1}] = s b_k / √(k + 1). Both are inner products of features, so that series cut off at one
 * length are positive semidefinite; a pair's own length moves it by the error below at the most.
 *
 * @param variances one array a set of samples
 *
 * **Error** of K̇ 2⁻⁴⁷ √(K̇1 K̇2) for the terms cut off and about as much for rounding.
 * **Cost** n · terms · nodes flops: at q = 1 for tanh 200 terms, half of them 0, and 90 nodes; terms grow as q.
 * @throws InputError where a variance needs too many terms
 */
export async function seriesOf(
  activation: Smooth,
  variances: readonly Float64Array[],
  layer: number,
  turn: Meter,
): Promise<Series> {
  let largest = 0;
  for (const set of variances) for (const q of set) largest = Math.max(largest, q);
  const { terms, band } = extent(activation, Math.sqrt(largest));
  if (!(terms <= MAX_TERMS))
    throw new InputError(
      `limit: pre-activations of layer ${layer + 1} have variance ${largest.toPrecision(4)}, but the series of ${activation} must do with ${MAX_TERMS} terms, which it does up to ${mostVariance(activation).toPrecision(2)}. Scale the inputs or weightScale down.`,
    );
  const first = ["softplus", "silu", "gelu"].includes(activation) ? 1 : 0;
  const width = Math.ceil(terms / 2);
  const step = (2 * Math.PI) / (Math.sqrt(terms) + band + 8);
  const nodes = Float64Array.from({ length: Math.ceil(REACH / step) }, (_, j) => (j + 0.5) * step);
  const table = hermiteTable(nodes, step, first, width);
  const even = nodes.map((z) => (step * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI));
  const sets: Coefficients[] = [];
  for (const set of variances) {
    const n = set.length;
    const deviations = set.map(Math.sqrt);
    const means = new Float64Array(n);
    const rows = new Float64Array(n * width);
    const lengths = new Int32Array(n);
    const values = new Float64Array(PANEL * nodes.length);
    for (let from = 0; from < n; from += PANEL) {
      const count = Math.min(PANEL, n - from);
      for (let i = 0; i < count; i++) {
        const s = deviations[from + i];
        nodes.forEach((z, j) => {
          const [up, down] = [s * z, -s * z];
          const slopes = phiPrime(activation, 0, up);
          values[i * nodes.length + j] =
            first === 0 ? 2 * slopes : slopes - phiPrime(activation, 0, down);
          means[from + i] += even[j] * (phi(activation, 0, up) + phi(activation, 0, down));
        });
      }
      const own = rows.subarray(from * width, (from + count) * width);
      rowProducts(values, 0, count, table, width, nodes.length, own);
      for (let i = 0; i < count; i++)
        lengths[from + i] = lengthOf(own.subarray(i * width, (i + 1) * width), first);
      await turn(2 * count * width * nodes.length);
    }
    sets.push({ deviations, means, rows, lengths });
  }
  const inverses = Float64Array.from({ length: width }, (_, j) => 1 / (first + 2 * j + 1));
  return { sets, first, width, inverses };
}

/** Whether the series of these variances is short enough. */
export const hasSeries = (activation: Smooth, largest: number): boolean =>
  extent(activation, Math.sqrt(largest)).terms <= MAX_TERMS;

function mostVariance(activation: Smooth): number {
  let [low, high] = [0, 2 ** 20];
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (hasSeries(activation, middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** he_k(z) · Gaussian weight · step for k = first, first + 2, …  [width, nodes]. */
function hermiteTable(
  nodes: Float64Array,
  step: number,
  first: 0 | 1,
  width: number,
): Float64Array<ArrayBuffer> {
  const table = new Float64Array(width * nodes.length);
  nodes.forEach((z, j) => {
    let before = 0;
    let value = (step * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * Math.PI);
    for (let k = 0; k < first + 2 * width - 1; k++) {
      if (k % 2 === first) table[((k - first) / 2) * nodes.length + j] = value;
      const next = (z * value - Math.sqrt(k) * before) / Math.sqrt(k + 1);
      before = value;
      value = next;
    }
  });
  return table;
}

/** Terms of a row up to which all but LEFT of Σ b_k² is there. */
function lengthOf(row: Float64Array, first: 0 | 1): number {
  let total = first / 4;
  for (const value of row) total += value * value;
  let length = row.length;
  for (let tail = 0; length > 1; length--) {
    tail += row[length - 1] ** 2;
    if (tail > LEFT * total) break;
  }
  return length;
}

/** K and K̇ between sample i of the first set and j of the last, written into the pair. */
export function seriesDual(series: Series, i: number, j: number, pair: Pair): void {
  const { sets, first, width, inverses } = series;
  const [one, two] = [sets[0], sets[sets.length - 1]];
  const rho = pair.c >= 0 ? 1 - pair.far : pair.near - 1;
  const square = rho * rho;
  // Terms beyond are below 2⁻⁶⁰ of the first.
  const most = Math.ceil(-60 / Math.log2(square)) + 1;
  const longer = Math.max(one.lengths[i], two.lengths[j]);
  const count = Math.min(longer, square < 1 ? most : longer);
  let power = first === 0 ? 1 : rho;
  let sum = first / 4;
  let shares = sum;
  for (let t = 0, at1 = i * width, at2 = j * width; t < count; t++, at1++, at2++) {
    const term = one.rows[at1] * two.rows[at2] * power;
    sum += term;
    shares += term * inverses[t];
    power *= square;
  }
  pair.kDot = sum;
  pair.k = one.means[i] * two.means[j] + pair.c * shares;
}

/**
 * far and near of K between nearly dependent u and v: K1 K2 − K² out of the features a_k = E[φ he_k] themselves,
 *
 *   |a|² |a′|² − (a · a′)² + (a · a′ − K)(a · a′ + K),   a · a′ − K = Σ a_k a′_k (1 − |ρ|^k)
 *
 * with the signs of ρ^k in a′, and the first difference from what is left of a′ beside a.
 */
export function seriesApart(series: Series, i: number, j: number, pair: Pair): void {
  const { sets } = series;
  let one = featuresOf(series, sets[0], i);
  let two = featuresOf(series, sets[sets.length - 1], j);
  // The longer one first, so that the order of the two does not matter.
  if (pair.q2 > pair.q1) [one, two] = [two, one];
  const orders = one.map((_, t) => (t < 2 ? t : series.first + 2 * (t - 1 - series.first) + 1));
  if (pair.c < 0) two = two.map((value, t) => (orders[t] % 2 === 1 ? -value : value));
  const logRho = Math.log1p(-Math.min(pair.far, pair.near));
  let [ones, twos, both, drop] = [0, 0, 0, 0];
  for (let t = 0; t < one.length; t++) {
    ones += one[t] * one[t];
    twos += two[t] * two[t];
    both += one[t] * two[t];
    if (orders[t] > 0) drop -= one[t] * two[t] * Math.expm1(orders[t] * logRho);
  }
  const share = both / ones;
  let left = 0;
  for (let t = 0; t < one.length; t++) left += (two[t] - share * one[t]) ** 2;
  place(pair, ones * left + drop * (2 * both - drop), Math.sqrt(ones * twos), both - drop);
}

/** a_0, a_1 and then every second a_k of one sample: those that are not 0. */
function featuresOf(series: Series, set: Coefficients, i: number): Float64Array {
  const { first, width, inverses } = series;
  const s = set.deviations[i];
  const own = set.rows.subarray(i * width, (i + 1) * width);
  const features = new Float64Array(width + 1 + first);
  features[0] = set.means[i];
  if (first === 1) features[1] = s / 2;
  own.forEach((value, t) => {
    features[t + 1 + first] = s * value * Math.sqrt(inverses[t]);
  });
  return features;
}
