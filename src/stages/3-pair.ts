import addPairWgsl from "../../shaders/fragments/addPair.wgsl";
import hadamardPairWgsl from "../../shaders/fragments/hadamardPair.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import pairWgsl from "../../shaders/fragments/pair.wgsl";
import samplesWgsl from "../../shaders/fragments/samples.wgsl";
import errorFreeWgsl from "../../shaders/0-matrix/errorFree.wgsl";
import peaksWgsl from "../../shaders/0-matrix/peaks.wgsl";
import sliceWgsl from "../../shaders/0-matrix/slice.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { ALIGN, dispose, matrixBytes, pitch, type Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Network } from "./0-network.ts";
import { normals64 } from "./0-normal.ts";
import { add, defineProduct, storeProduct } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import type { Activations } from "./1-forward.ts";
import type { Signals } from "./2-backward.ts";
import { fillJacobian } from "./2-jacobian.ts";
import { mirrorLower, NOT_FINITE } from "./3-gram.ts";
import type { GramPlan } from "./3-plan.ts";

/** high + low += scale · leftᵀ right, for sums that one f32 cannot hold. */
export const addPair = defineProduct({
  wgsl: [addPairWgsl, pairWgsl],
  buffers: {
    high: ["read_write", "rows", "columns"],
    low: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

export const hadamardPair = defineProduct({
  wgsl: [hadamardPairWgsl, pairWgsl, samplesWgsl],
  buffers: {
    seenTop: ["read", "rowSamples", "samples"],
    seenRest: ["read", "rowSamples", "samples"],
    top: ["read", "rows", "columns"],
    between: ["read", "rows", "columns"],
    high: ["read_write", "rows", "columns"],
    low: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

export const peaks = defineShader({
  name: "peaks",
  wgsl: [peaksWgsl, loadWgsl],
  dims: ["rows", "columns"],
  buffers: { matrix: ["read", "rows", "columns"], peak: ["read_write", 1, "columns"] },
  sizes: {},
});

export const slice = defineShader({
  name: "slice",
  wgsl: [sliceWgsl, loadWgsl],
  dims: ["rows", "columns", "bits"],
  buffers: {
    matrix: ["read", "rows", "columns"],
    peak: ["read", 1, "columns"],
    top: ["read_write", "rows", "columns"],
    rest: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

export const errorFree = defineShader({
  name: "errorFree",
  wgsl: [errorFreeWgsl, loadWgsl, pairWgsl],
  dims: ["n", "zero"],
  buffers: { operands: ["read", 2, "n"], out: ["read_write", 4, "n"] },
  sizes: {},
});

const pairs = new WeakMap<Gpu, Promise<boolean>>();
const PROBES = 1024;

/**
 * Whether an engine's adapter keeps what roundings lose, as pairs of f32 need it: asked once of 1024 sums and products,
 * whose exact values f64 holds. Where compilers simplify it away, or products are not rounded to nearest, it does not.
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
  // Two sizes up to 2¹² apart, so that neither sums nor products leave f64.
  const values = normals64(29, 2 * PROBES).map((x, i) => Math.fround(x * 2 ** ((i * 5) % 13)));
  using operands = gpu.upload("operands", 2, PROBES, Float32Array.from(values));
  using out = gpu.matrix("sums and products", 4, PROBES);
  const groups = [Math.ceil(PROBES / 256)] as const;
  errorFree(gpu, {
    dims: { n: PROBES, zero: 0 },
    buffers: { operands, out },
    groups,
    flops: PROBES,
  });
  const found = await gpu.read(out);
  for (let i = 0; i < PROBES; i++) {
    const [a, b] = [values[i], values[PROBES + i]];
    const at = (row: number) => found[row * PROBES + i];
    if (at(0) + at(1) !== a + b || at(2) + at(3) !== a * b) return false;
  }
  return true;
}

/** A matrix in two planes: high + low. */
export interface PairMatrix {
  readonly high: Matrix;
  readonly low: Matrix;
  destroy(): void;
  [dispose](): void;
}

/**
 * A matrix X [depth, n] in two slices, T of few bits on one grid a column, and the rest R:
 *
 *   Xᵀ X = Tᵀ T + Tᵀ R + Rᵀ X        the first without any rounding, the others smaller by 2^−bits
 *
 * **From** the error-free transformation of Ozaki, Ogita, Oishi & Rump 2012, with one exact slice.
 */
class Slices {
  /** The three products, each by its operands. */
  readonly top: Operands;
  readonly between: Operands;
  readonly last: Operands;

  constructor(gpu: Gpu, matrix: Matrix) {
    const { rows, columns } = matrix;
    using peak = gpu.matrix("peaks", 1, columns);
    const top = gpu.matrix("leading bits", rows, columns);
    let rest: Matrix;
    try {
      rest = gpu.matrix("other bits", rows, columns);
    } catch (error) {
      top.destroy();
      throw error;
    }
    this.top = { left: top, right: top };
    this.between = { left: top, right: rest };
    this.last = { left: rest, right: matrix };
    const across = Math.ceil(pitch(columns) / 4 / 64);
    peaks(gpu, {
      dims: { rows, columns },
      buffers: { matrix, peak },
      groups: [across],
      flops: rows * columns,
    });
    slice(gpu, {
      dims: { rows, columns, bits: sliceBits(rows) },
      buffers: { matrix, peak, top, rest },
      groups: [across, Math.ceil(rows / ALIGN) * ALIGN],
      flops: 4 * rows * columns,
    });
  }

  [dispose](): void {
    this.between.left.destroy();
    this.between.right.destroy();
  }
}

interface Operands {
  readonly left: Matrix;
  readonly right: Matrix;
}

/** Bits of T for which f32 holds every sum of `depth` products of two of them: 2 · bits + log₂ depth ≤ 24. */
export const sliceBits = (depth: number): number =>
  Math.max(1, Math.floor((24 - Math.ceil(Math.log2(Math.max(2, depth)))) / 2));

/** Parameters of a panel of J that is sliced: more of them leave fewer bits to a slice. */
const DEPTH = 1024;

/**
 * The tangent kernel of one set of samples as `gram` computes it, but with sums that are exact where they are large, in
 * two planes: of f32 activations and signals, H to about 2⁻³² instead of 2⁻²².
 *
 * @param plan route and shape, as `planGram` gives them
 * @param signals one entry a part of the mean over outputs
 * @returns both planes [n·O, n·O], the caller's to destroy; each symmetric to the bit
 *
 * **Error** |ΔH| ≤ about 2^−bits · γ(k) · Σ_p |J[i,p] J[j,p]| with `bits` of the deepest product (7 up to depth 1024).
 * **Cost** 3 times the products of `gram`, and 5 passes over the operands.
 * @throws NonFiniteError where an entry overflows
 */
export async function gramPair(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  plan: GramPlan,
  job?: Job,
): Promise<PairMatrix> {
  await tuned(gpu);
  const meter = gpu.queue.meter(job, "gram", 3 * plan.flops);
  const made: Matrix[] = [];
  const destroy = () => made.forEach((plane) => plane.destroy());
  try {
    for (const name of ["gram", "gram, low plane"])
      made.push(gpu.matrix(name, plan.rows, plan.columns));
    const [high, low] = made;
    const out = { high, low };
    if (plan.method === "jacobian") await addPanels(gpu, net, acts, signals, out, meter);
    else await addLayers(gpu, net, acts, signals, out, meter);
    mirrorLower(gpu, high);
    mirrorLower(gpu, low);
    using check = new FiniteCheck(gpu, 2);
    check.watch(high, NOT_FINITE);
    check.watch(low, NOT_FINITE);
    await check.settle(job);
    return { ...out, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/**
 * What {@link gramPair} takes where `gram` would take what `plan` says: two planes of H and of its factors, slices, and
 * three products for one.
 */
export function pairPlan(net: Network, n: number, plan: GramPlan): GramPlan {
  const { rows, panels } = plan;
  const plane = matrixBytes(rows, rows);
  const slices = net.layers.map(({ fanIn, units }) =>
    Math.max(matrixBytes(fanIn, n), matrixBytes(units, rows)),
  );
  const more = panels
    ? plane + 3 * matrixBytes(Math.min(DEPTH, net.parameters), rows) - panels.bytes
    : 3 * plane + matrixBytes(n, n) + 2 * Math.max(...slices);
  return { ...plan, bytes: plan.bytes + more, flops: 3 * plan.flops };
}

interface Planes {
  readonly high: Matrix;
  readonly low: Matrix;
}

async function addLayers(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  { high, low }: Planes,
  meter: Meter,
): Promise<void> {
  const { n } = acts;
  using seenTop = gpu.matrix("activations' gram", n, n);
  using seenRest = gpu.matrix("activations' gram, rest", n, n);
  using top = gpu.matrix("signals' gram", high.rows, high.columns);
  using between = gpu.matrix("signals' gram, rest", high.rows, high.columns);
  const triangle = true;
  for (const { index, scale, shift } of net.layers) {
    {
      using seen = new Slices(gpu, acts.a[index]);
      await storeProduct(gpu, { buffers: { ...seen.top, out: seenTop }, triangle }, meter);
      await storeProduct(gpu, { buffers: { ...seen.between, out: seenRest }, triangle }, meter);
      await add(gpu, { buffers: { ...seen.last, out: seenRest }, triangle }, meter);
    }
    for (const { g, outputs } of signals) {
      using sliced = new Slices(gpu, g[index]);
      await storeProduct(gpu, { buffers: { ...sliced.top, out: top }, triangle }, meter);
      await storeProduct(gpu, { buffers: { ...sliced.between, out: between }, triangle }, meter);
      await hadamardPair(
        gpu,
        {
          buffers: { ...sliced.last, seenTop, seenRest, top, between, high, low },
          outputs,
          scale: (scale * scale) / signals.length,
          shift: (shift * shift) / signals.length,
          triangle,
        },
        meter,
      );
    }
  }
}

async function addPanels(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  { high, low }: Planes,
  meter: Meter,
): Promise<void> {
  using panel = gpu.matrix("jacobian panel", Math.min(DEPTH, net.parameters), high.rows);
  const [scale, triangle] = [1 / signals.length, true];
  for (let first = 0; first < net.parameters; first += panel.rows) {
    const rows = panel.view(Math.min(panel.rows, net.parameters - first));
    for (const part of signals) {
      await fillJacobian(gpu, net, acts, part, first, rows, meter);
      using sliced = new Slices(gpu, rows);
      for (const operands of [sliced.top, sliced.between, sliced.last])
        await addPair(gpu, { buffers: { ...operands, high, low }, scale, triangle }, meter);
    }
  }
}
