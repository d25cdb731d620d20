import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import { PANEL, rowNorms, rowProducts, turns } from "./0-double.ts";
import type { Network } from "./0-network.ts";
import { uploadWeights, type LayerWeights } from "./0-weights.ts";
import { forward } from "./1-forward.ts";
import { isKinked } from "./1-kinks.ts";
import type { Precision, Spectrum } from "./5-spectrum.ts";

/** One reason why a tangent kernel is singular, or nearly so, or why that cannot be told. */
export type Finding =
  /** Pairs of samples with the same bits: their rows of H are equal, and H is singular. */
  | { readonly kind: "duplicates"; readonly count: number; readonly pairs: readonly Pair[] }
  /** Pairs that are multiples of each other, by a positive factor; singular without biases and with ReLU or no φ. */
  | { readonly kind: "parallel"; readonly count: number; readonly pairs: readonly Pair[] }
  /** Pairs that are multiples by a negative factor: H^∞ of one hidden layer without biases may be singular. */
  | { readonly kind: "antipodal"; readonly count: number; readonly pairs: readonly Pair[] }
  /** The pair of samples with the smallest angle, in radians, where none is parallel. */
  | { readonly kind: "closest"; readonly pairs: readonly [Pair]; readonly angle: number }
  /** Units of a hidden layer that are off for every sample, and give no row of H anything. */
  | {
      readonly kind: "dead units";
      readonly layer: number;
      readonly count: number;
      readonly of: number;
    }
  /** Samples for which a whole layer is off. */
  | { readonly kind: "dead samples"; readonly layer: number; readonly samples: readonly number[] }
  /** More rows than parameters: rank H ≤ p. */
  | { readonly kind: "few parameters"; readonly parameters: number; readonly order: number }
  /** How many eigenvalues are above 0 for sure, of those computed. */
  | { readonly kind: "rank"; readonly least: number; readonly of: number }
  /** λ_min is not told from 0 by this precision; another one might, or none. */
  | {
      readonly kind: "unresolved";
      readonly precision: Precision;
      readonly bound: number;
      readonly next: Precision | null;
    };

/** Two samples, from 0. */
export type Pair = readonly [number, number];

/** Pairs that are named; the others are counted. */
const NAMED = 10;
/** 1 − cos of an angle that f32 inputs may be off by: they count as parallel. */
const PARALLEL = 2 ** -42;
/** Beyond this many samples pairs are not looked at. */
const PAIRED = 8192;

/**
 * Why a kernel's λ_min is not told from 0: what about the samples, the network or the precision is to blame.
 *
 * @param spectrum as `ntk` gives it
 * @returns nothing where `condition` is a number: then H is regular
 *
 * **Cost** n² · inputs flops on the CPU, and one forward pass for networks with kinks.
 */
export async function diagnose(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  spectrum: Omit<Spectrum, "vectors">,
  order: number,
  job?: Job,
): Promise<Finding[]> {
  if (spectrum.condition !== null) return [];
  const n = inputs.length / net.inputs;
  const found: Finding[] = [];
  if (n <= PAIRED) found.push(...(await pairsOf(gpu, inputs, net.inputs, job)));
  if (net.parameters < order)
    found.push({ kind: "few parameters", parameters: net.parameters, order });
  if (net.layers.some(isKinked)) found.push(...(await deadUnits(gpu, net, weights, inputs, job)));
  const { eigenvalues, errorBounds, precision, lambdaMinBound } = spectrum;
  const least = eigenvalues.reduce((sum, value, i) => sum + (value > errorBounds[i] ? 1 : 0), 0);
  found.push({ kind: "rank", least, of: eigenvalues.length });
  const next = { fast: "compensated", compensated: "verified", verified: null } as const;
  const certain = found.some(({ kind }) => kind === "duplicates" || kind === "few parameters");
  found.push({
    kind: "unresolved",
    precision,
    bound: lambdaMinBound,
    next: certain ? null : next[precision],
  });
  return found;
}

async function pairsOf(gpu: Gpu, inputs: Values, width: number, job?: Job): Promise<Finding[]> {
  const n = inputs.length / width;
  const bits = new Uint32Array(inputs.slice().buffer);
  const same = (i: number, j: number): boolean => {
    for (let k = 0; k < width; k++) if (bits[i * width + k] !== bits[j * width + k]) return false;
    return true;
  };
  const unit = Float64Array.from(inputs);
  const lengths = rowNorms(unit, width);
  for (let at = 0; at < unit.length; at++) {
    const length = lengths[Math.floor(at / width)];
    if (length > 0) unit[at] /= length;
  }
  const lists = { duplicates: [], parallel: [], antipodal: [] } as Record<string, Pair[]>;
  const counts = { duplicates: 0, parallel: 0, antipodal: 0 };
  const note = (kind: keyof typeof counts, pair: Pair) => {
    counts[kind] += 1;
    if (lists[kind].length < NAMED) lists[kind].push(pair);
  };
  let closest: Pair | null = null;
  let nearest = -Infinity;
  const turn = turns(gpu, job, "diagnosis", n * n * width);
  const cosines = new Float64Array(PANEL * n);
  for (let from = 0; from < n; from += PANEL) {
    const rows = Math.min(PANEL, n - from);
    rowProducts(unit.subarray(from * width), 0, rows, unit, n, width, cosines);
    for (let i = from; i < from + rows; i++)
      for (let j = 0; j < i; j++) {
        const cosine = cosines[(i - from) * n + j];
        if (same(i, j)) note("duplicates", [j, i]);
        else if (cosine >= 1 - PARALLEL) note("parallel", [j, i]);
        else if (cosine <= PARALLEL - 1) note("antipodal", [j, i]);
        else if (cosine > nearest && lengths[i] > 0 && lengths[j] > 0) {
          nearest = cosine;
          closest = [j, i];
        }
      }
    await turn(2 * rows * n * width);
  }
  const kinds = ["duplicates", "parallel", "antipodal"] as const;
  const found: Finding[] = kinds
    .filter((kind) => counts[kind] > 0)
    .map((kind) => ({ kind, count: counts[kind], pairs: lists[kind] }));
  if (closest && counts.duplicates + counts.parallel === 0) {
    const [a, b] = closest.map((row) => unit.subarray(row * width, (row + 1) * width));
    // Kahan's form: cosines have lost what small angles differ by.
    const [apart, along] = [-1, 1].map((sign) => Math.hypot(...a.map((x, k) => x + sign * b[k])));
    found.push({ kind: "closest", pairs: [closest], angle: 2 * Math.atan2(apart, along) });
  }
  return found;
}

async function deadUnits(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  job?: Job,
): Promise<Finding[]> {
  using onDevice = uploadWeights(gpu, net, weights);
  using acts = await forward(gpu, net, onDevice, inputs, job);
  const found: Finding[] = [];
  for (const { index, units, activation } of net.layers) {
    if (activation !== "relu") continue;
    const z = await gpu.read(acts.z[index], job);
    const { n } = acts;
    const alive = new Uint8Array(n);
    let dead = 0;
    for (let h = 0; h < units; h++) {
      let on = false;
      for (let i = 0; i < n; i++)
        if (z[h * n + i] > 0) {
          on = true;
          alive[i] = 1;
        }
      if (!on) dead += 1;
    }
    const layer = index + 1;
    if (dead > 0) found.push({ kind: "dead units", layer, count: dead, of: units });
    const samples = Array.from(alive.keys()).filter((i) => alive[i] === 0);
    if (samples.length > 0)
      found.push({ kind: "dead samples", layer, samples: samples.slice(0, NAMED) });
  }
  return found;
}
