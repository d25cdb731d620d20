import fewBitsWgsl from "../../shaders/fragments/fewBits.wgsl";
import hadamardPairWgsl from "../../shaders/fragments/hadamardPair.wgsl";
import leadingWgsl from "../../shaders/fragments/leading.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import orthogonalWgsl from "../../shaders/fragments/orthogonal.wgsl";
import pairWgsl from "../../shaders/fragments/pair.wgsl";
import samplesWgsl from "../../shaders/fragments/samples.wgsl";
import errorFreeWgsl from "../../shaders/0-matrix/errorFree.wgsl";
import deflateWgsl from "../../shaders/0-matrix/deflate.wgsl";
import leadWgsl from "../../shaders/0-matrix/lead.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { dispose, matrixBytes, type Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Network } from "./0-network.ts";
import { defineProduct, productFlops, storeProduct } from "./0-product.ts";
import { isSoftware, tuned } from "./0-search.ts";
import type { Activations } from "./1-forward.ts";
import type { Signals } from "./2-backward.ts";
import { mirrorLower, NOT_FINITE } from "./3-gram.ts";
import type { GramPlan } from "./3-plan.ts";

/** high + low += (c² A Aᵀ + β²) ∘ Gᵀ G of deflated A and G. */
export const hadamardPair = defineProduct({
  wgsl: [hadamardPairWgsl, leadingWgsl, pairWgsl, samplesWgsl],
  buffers: {
    leading: ["read", "rows", 8],
    leadingSeen: ["read", "samples", 8],
    seen: ["read", "rowSamples", "samples"],
    high: ["read_write", "rows", "columns"],
    low: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

export const lead = defineShader({
  name: "lead",
  wgsl: [leadWgsl, loadWgsl, orthogonalWgsl],
  dims: ["rows", "columns", "stride"],
  buffers: {
    matrix: ["read", "rows", "columns"],
    directions: ["read_write", "rows", 4],
    excess: ["read_write", 4, 4],
  },
  sizes: { LANES: 128 },
});

export const deflate = defineShader({
  name: "deflate",
  wgsl: [deflateWgsl, loadWgsl, fewBitsWgsl],
  dims: ["rows", "columns"],
  buffers: {
    matrix: ["read", "rows", "columns"],
    directions: ["read", "rows", 4],
    excess: ["read", 4, 4],
    rest: ["read_write", "rows", "columns"],
    leading: ["read_write", "columns", 8],
  },
  sizes: { DOWN: 16 },
});

export const errorFree = defineShader({
  name: "errorFree",
  wgsl: [errorFreeWgsl, loadWgsl, pairWgsl],
  dims: ["n", "zero"],
  buffers: { operands: ["read", 2, "n"], out: ["read_write", 2, "n"] },
  sizes: {},
});

const pairs = new WeakMap<Gpu, Promise<boolean>>();
const PROBES = 1024;

/**
 * Whether an engine's adapter keeps what roundings lose, as pairs of f32 need it: asked once of 1024 sums, whose
 * exact values f64 holds. Where compilers simplify it away, or sums are not rounded to nearest, it does not.
 */
export function keepsPairs(gpu: Gpu): Promise<boolean> {
  const known = pairs.get(gpu) ?? probed(gpu);
  pairs.set(gpu, known);
  return known;
}

/** For tests: what {@link keepsPairs} says from now on; null asks anew. @internal */
export function setKeepsPairs(gpu: Gpu, keeps: boolean | null): void {
  if (keeps === null) pairs.delete(gpu);
  else pairs.set(gpu, Promise.resolve(keeps));
}

async function probed(gpu: Gpu): Promise<boolean> {
  // Sizes 2¹³ to 2²³ apart, so that f64 holds every sum and f32 hardly one.
  const values = Float32Array.from({ length: 2 * PROBES }, (_, i) =>
    i < PROBES ? 3 * i + 1 : (2 * i + 1) / 2 ** 24,
  );
  using operands = gpu.upload("operands", 2, PROBES, values);
  using out = gpu.matrix("sums", 2, PROBES);
  errorFree(gpu, {
    dims: { n: PROBES, zero: 0 },
    buffers: { operands, out },
    groups: [Math.ceil(PROBES / 256)],
    flops: PROBES,
  });
  const found = await gpu.read(out);
  for (let i = 0; i < PROBES; i++)
    if (found[i] + found[PROBES + i] !== values[i] + values[PROBES + i]) return false;
  return true;
}

/** A matrix in two planes: high + low. */
export interface PairMatrix {
  readonly high: Matrix;
  readonly low: Matrix;
  destroy(): void;
  [dispose](): void;
}

/** Columns of a matrix that its leading directions are looked for in. */
const SKETCHED = 128;

type Shape = readonly [rows: number, columns: number];

const deepest = (shapes: readonly Shape[]) => Math.max(...shapes.map(([depth]) => depth));

/** The one that takes the most memory. */
const largest = (shapes: readonly Shape[]): Shape =>
  shapes.reduce((a, b) => (matrixBytes(...b) > matrixBytes(...a) ? b : a));

/** The shapes of a kernel's factors. */
const factorShapes = ({ layers }: Network, n: number, rows: number): Shape[] =>
  layers.flatMap(({ fanIn, units }) => [
    [fanIn, n],
    [units, rows],
  ]);

/**
 * The tangent kernel of one set of samples in two planes, layer by layer: what most of its samples share is known exactly,
 * and what is left is rounded as `gram` rounds all of it.
 *
 * @param signals one entry a part of the mean over outputs
 * @returns both planes [n·O, n·O], the caller's to destroy; each symmetric to the bit
 *
 * **Error** |ΔH| ≤ 6 γ(k) · Σ_l (c² ‖a_i‖ ‖a_j‖ + β²) ‖g_i‖ ‖g_j‖ beyond that of activations and signals, with `gram`'s k;
 * as much smaller as the samples' activations and signals are alike: 1e-11 · λ_max in λ_min for smooth data.
 * **Cost** that of `gram`, and two passes over activations and signals.
 * **From** the idea of deflation; Halko, Martinsson & Tropp 2011 for the leading directions.
 * @throws NonFiniteError where an entry overflows
 */
export async function gramPair(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  job?: Job,
): Promise<PairMatrix> {
  await tuned(gpu);
  const { n } = acts;
  const rows = n * signals[0].outputs;
  const flops = net.layers.reduce(
    (sum, { fanIn, units }) =>
      sum +
      productFlops(fanIn, n, n, true) +
      signals.length * productFlops(units, rows, rows, true),
    0,
  );
  const made: Matrix[] = [];
  const destroy = () => made.forEach((plane) => plane.destroy());
  try {
    for (const name of ["gram", "gram, low plane"]) made.push(gpu.matrix(name, rows, rows));
    const [high, low] = made;
    const out = { high, low };
    await addLayers(gpu, net, acts, signals, out, gpu.queue.meter(job, "gram", flops));
    mirrorLower(gpu, high);
    mirrorLower(gpu, low);
    // What is not finite in the low plane is not in the high one either.
    using check = new FiniteCheck(gpu, 1);
    check.watch(high, NOT_FINITE);
    await check.settle(job);
    return { ...out, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** What {@link gramPair} takes where `gram`, layer by layer, would take `plan`: another plane, and what deflation needs. */
export function pairPlan(net: Network, n: number, plan: GramPlan): GramPlan {
  const { rows } = plan;
  const shapes = factorShapes(net, n, rows);
  const depth = deepest(shapes);
  const more: Shape[] = [[rows, rows], largest(shapes), [depth, 4], [4, 4], [rows, 8], [n, 8]];
  return { ...plan, bytes: more.reduce((sum, shape) => sum + matrixBytes(...shape), plan.bytes) };
}

interface Planes {
  readonly high: Matrix;
  readonly low: Matrix;
}

/** high + low += Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ) over the number of parts, each factor without its leading directions. */
async function addLayers(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  { high, low }: Planes,
  meter: Meter,
): Promise<void> {
  const { n } = acts;
  const shapes = factorShapes(net, n, high.rows);
  using seen = gpu.matrix("activations' gram", n, n);
  using leadingSeen = gpu.matrix("leading coefficients", n, 8);
  using leading = gpu.matrix("leading coefficients", high.rows, 8);
  using directions = gpu.matrix("leading directions", deepest(shapes), 4);
  using excess = gpu.matrix("excess", 4, 4);
  using room = gpu.matrix("without leading directions", ...largest(shapes));
  // Where lanes are few, each takes more rows rather than waits for the others.
  const few = isSoftware(gpu);
  /** Records X = C Q + B for one factor X after another: the operands of Xᵀ X, until the next. */
  const deflated = (matrix: Matrix, leading: Matrix) => {
    const { rows, columns } = matrix;
    const dims = { rows, columns, stride: Math.ceil(columns / SKETCHED) };
    const rest = room.reshape(rows, columns);
    const led = { matrix, directions: directions.view(rows), excess };
    lead(gpu, {
      ...{ dims, buffers: led, groups: [1], flops: 200 * rows },
      sizes: { LANES: few ? 8 : 128 },
    });
    deflate(gpu, {
      dims,
      buffers: { ...led, rest, leading },
      groups: [Math.ceil(columns / 64)],
      flops: 26 * rows * columns,
      sizes: { DOWN: few ? 1 : 16 },
    });
    return { left: rest, right: rest, leading };
  };
  const triangle = true;
  for (const { index, scale, shift } of net.layers) {
    const { left, right } = deflated(acts.a[index], leadingSeen);
    await storeProduct(gpu, { buffers: { left, right, out: seen }, triangle }, meter);
    for (const { g, outputs } of signals)
      await hadamardPair(
        gpu,
        {
          buffers: { ...deflated(g[index], leading), leadingSeen, seen, high, low },
          outputs,
          scale: (scale * scale) / signals.length,
          shift: (shift * shift) / signals.length,
          triangle,
        },
        meter,
      );
  }
}
