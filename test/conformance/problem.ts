/**
 * A network with weights and inputs, on the engine and on the f64 reference, with the bounds between the two.
 * Host-neutral: the engine comes in as `core`.
 */
import type { Gpu, Network, NetworkSpec } from "../../src/index.ts";
import { gramBound, gramLayerwise, traceForm, type Pass } from "../reference/gram.ts";
import {
  backward,
  forward,
  type Arithmetic,
  type ReferenceNetwork,
  type ReferenceWeights,
} from "../reference/network.ts";

/** The engine's public names: `src/index.ts`, or `dist/index.js` built from it. */
export type Core = typeof import("../../src/index.ts");
export type Method = "jacobian" | "layerwise";
export const METHODS: readonly Method[] = ["jacobian", "layerwise"];

/** What a network is made of, as a caller of the engine has it in hand. */
export interface Problem {
  readonly spec: NetworkSpec;
  readonly weights: readonly { weight: Float32Array; bias: Float32Array | null }[];
  /** [n, widths[0]] */
  readonly inputs: Float32Array;
}

/** A problem's forward and backward pass in f64, with running bounds. */
export interface Reference {
  readonly net: ReferenceNetwork;
  readonly pass: Pass;
  readonly n: number;
  readonly outputs: number;
}

/** The reference's form of a network's description. */
export function referenceNetwork(spec: NetworkSpec): ReferenceNetwork {
  const { widths, activation } = spec;
  return {
    widths,
    activation:
      typeof activation === "string" ? Array(widths.length - 2).fill(activation) : activation,
    parameterization: spec.parameterization,
    weightScale: spec.weightScale,
    biasScale: spec.biasScale,
    fan: spec.fan ?? "in",
    negativeSlope: spec.negativeSlope ?? 0.01,
  };
}

/** Roundings on a term's way through the product: its product, a block of 64, a slab of 16 blocks, the slabs. */
export const chain = (terms: number): number =>
  1 + Math.min(terms, 64) + Math.min(Math.ceil(terms / 64), 16) + Math.ceil(terms / 1024);

/**
 * The f64 passes; `arithmetic`: what is known of the engine's φ and φ′ beyond the reference's defaults; `mask`: as
 * the reference's `backward` takes it.
 */
export function exact(
  { spec, weights, inputs }: Problem,
  arithmetic: Parameters<typeof backward>[3] = {},
): Reference {
  const net = referenceNetwork(spec);
  const n = inputs.length / spec.widths[0];
  const given = { chain, ...arithmetic };
  const activations = forward(net, weights as ReferenceWeights, inputs, n, given);
  const signals = backward(net, weights as ReferenceWeights, activations, given);
  return { net, pass: { activations, signals }, n, outputs: spec.widths[spec.widths.length - 1] };
}

/** How H was computed, as far as the number of roundings depends on it. */
export interface Route {
  readonly method: Method;
  readonly trace?: boolean;
  /** Of the plan; for `jacobian`. */
  readonly panels?: { readonly depth: number; readonly count: number } | null;
}

/**
 * The longest chain of roundings from stored activations and signals to an entry of H.
 *
 * jacobian: three for each of two entries of J (c, and two products), the sum over a panel, a sum over panels.
 * layerwise: A Aᵀ, then c², the product by it and + β²; G Gᵀ and the product by the factor; a sum over layers.
 * trace: 1/O and the product by it besides, and O times as many terms.
 */
export function roundings(net: ReferenceNetwork, { method, trace, panels }: Route): number {
  const { widths } = net;
  const outputs = widths[widths.length - 1];
  const [parts, mean] = trace && outputs > 1 ? [outputs, 2] : [1, 0];
  if (method === "jacobian") {
    if (!panels) throw new RangeError("roundings: the jacobian route needs its panels.");
    return 6 + chain(panels.depth) + mean + panels.count * parts;
  }
  const layers = widths.slice(1).map((units, l) => chain(widths[l]) + 3 + chain(units) + 1);
  return Math.max(...layers) + mean + layers.length * parts;
}

/** H of two references of one network (or of one with itself) in f64, and how far the engine's may be from it. */
export function exactGram(
  one: Reference,
  two: Reference,
  route: Route,
): { values: Float64Array; bound: Float64Array } {
  const { net, outputs, n } = one;
  const others = two === one ? one.pass : two.pass;
  const values = gramLayerwise(net, one.pass, others);
  const bound = gramBound(net, roundings(net, route), one.pass, others);
  if (!route.trace) return { values, bound };
  return {
    values: traceForm(values, n, two.n, outputs),
    bound: traceForm(bound, n, two.n, outputs),
  };
}

/** What the engine computes on the way to H, read back. */
export interface Computed {
  readonly net: Network;
  /** f [n, O] */
  readonly out: Float64Array;
  /** [n·O, params] */
  readonly jac: Float32Array;
  /** The engine's own activations and signals, taken as exact: what is left are the roundings of H itself. */
  readonly stored: Reference;
}

const transposed = (values: Float32Array, rows: number, columns: number): Float64Array =>
  Float64Array.from(values, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)]);

/** Forward, backward and Jacobian of the engine, read back. */
export async function compute(core: Core, gpu: Gpu, problem: Problem): Promise<Computed> {
  const net = core.network(problem.spec);
  using weights = core.uploadWeights(gpu, net, problem.weights);
  using acts = await core.forward(gpu, net, weights, problem.inputs);
  using signals = await core.backward(gpu, net, weights, acts);
  const { n } = acts;
  const rows = n * net.outputs;
  using panel = gpu.matrix("jacobian", net.parameters, rows);
  await core.fillJacobian(gpu, net, acts, signals, 0, panel, async () => {});
  const read = async (matrix: typeof panel): Promise<Float64Array> =>
    transposed(await gpu.read(matrix), matrix.rows, matrix.columns);
  const all = async (matrices: readonly (typeof panel)[]): Promise<Float64Array[]> => {
    const values: Float64Array[] = [];
    for (const matrix of matrices) values.push(await read(matrix));
    return values;
  };
  const [a, z, g] = [await all(acts.a), await all(acts.z), await all(signals.g)];
  const zero = (list: Float64Array[]) => list.map((values) => new Float64Array(values.length));
  const [da, dz, dg] = [zero(a), zero(z), zero(g)];
  return {
    net,
    out: z[z.length - 1],
    jac: Float32Array.from(await read(panel)),
    stored: {
      net: referenceNetwork(problem.spec),
      pass: { activations: { n, a, da, z, dz, ambiguous: 0 }, signals: { rows, g, dg } },
      n,
      outputs: net.outputs,
    },
  };
}

/** H by the engine, read back, with the route it took. */
export async function engineGram(
  core: Core,
  gpu: Gpu,
  { spec, weights, inputs }: Problem,
  options: { method: Method; outputs?: "full" | "trace"; panels?: number },
  others: Float32Array | null = null,
): Promise<{ values: Float32Array; route: Route }> {
  const net = core.network(spec);
  const n2 = others ? others.length / net.inputs : 0;
  const { panels } = core.planGram(gpu, net, inputs.length / net.inputs, n2, options);
  using h = await core.tangentKernel(gpu, net, weights, inputs, others, options);
  const route = { method: options.method, trace: options.outputs === "trace", panels };
  return { values: await gpu.read(h), route };
}

/** Normal numbers on a grid of 1/64: sums and small multiples of them are exact in f32. */
export const onGrid = (values: Float32Array): Float32Array =>
  values.map((value) => Math.round(64 * value) / 64);

/**
 * A network with random weights and inputs, from the first seed with which no unit of relu or leaky_relu is so near
 * its kink that the engine's φ′ may be either value.
 */
export function draw(
  core: Core,
  spec: NetworkSpec,
  n: number,
  seed = 0,
  arithmetic: Partial<Arithmetic> = {},
): Problem & { reference: Reference } {
  for (let attempt = seed; attempt < seed + 50; attempt++) {
    const inputs = onGrid(core.normals(1000 + attempt, n * spec.widths[0]));
    const problem = { spec, weights: core.weights(core.network(spec), attempt), inputs };
    const reference = exact(problem, arithmetic);
    if (reference.pass.activations.ambiguous === 0) return { ...problem, reference };
  }
  throw new RangeError("draw: 50 seeds in a row put a unit on its kink. Make the network smaller.");
}
