import addWgsl from "../../shaders/fragments/add.wgsl";
import hadamardWgsl from "../../shaders/fragments/hadamard.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import mirrorWgsl from "../../shaders/0-matrix/mirror.wgsl";
import { InputError } from "../errors.ts";
import { READ_BYTES, type Gpu } from "../gpu/device.ts";
import { matrixBytes, type Matrix } from "../gpu/matrix.ts";
import { checkMatrixFits, planPanels, type PanelPlan } from "../gpu/plan.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { checkOptions } from "../gpu/values.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Layer, Network } from "./0-network.ts";
import { defineProduct, productFlops, storeProduct } from "./0-product.ts";
import type { DeviceWeights } from "./0-weights.ts";
import type { Activations } from "./1-forward.ts";
import { backward, type OutputRange, type Signals } from "./2-backward.ts";
import { fillJacobian, jacobianFlops } from "./2-jacobian.ts";

export const add = defineProduct({
  wgsl: [addWgsl],
  buffers: { out: ["read_write", "rows", "columns"] },
  sizes: {},
});

export const hadamard = defineProduct({
  wgsl: [hadamardWgsl],
  buffers: {
    factor: ["read", "rowSamples", "samples"],
    out: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

export const mirror = defineShader({
  name: "mirror",
  wgsl: [mirrorWgsl, loadWgsl],
  dims: ["n"],
  buffers: { matrix: ["read_write", "n", "n"] },
  sizes: {},
});

/** `jacobian`: H = J Jᵀ in panels of parameters. `layerwise`: each layer's factors, without J. `auto`: the cheaper. */
export type GramMethod = "auto" | "jacobian" | "layerwise";

/** How the tangent kernel is to be computed. */
export interface GramOptions extends Job {
  readonly method?: GramMethod;
  /** `full` (default): every pair of outputs. `trace`: the mean over equal outputs. */
  readonly outputs?: "full" | "trace";
  /** Number of panels that a Jacobian is cut into, instead of the plan's own; for tests of the cutting. */
  readonly panels?: number;
}

/** The names of {@link GramOptions}. */
export const GRAM_OPTIONS = ["method", "outputs", "panels", "signal", "onProgress"] as const;

/** What a tangent kernel will take, known before anything is allocated. */
export interface GramPlan {
  readonly method: "jacobian" | "layerwise";
  /** H has this many rows and columns. */
  readonly rows: number;
  readonly columns: number;
  /** How the Jacobian is cut; null for `layerwise`. */
  readonly panels: PanelPlan | null;
  /** Floating-point operations beyond the passes. */
  readonly flops: number;
  /** Most bytes on the device at once, from the weights to H and its read-back. */
  readonly bytes: number;
}

/**
 * Plans a tangent kernel: route, shape, panels, operations.
 *
 * @param n1 samples along the rows of H
 * @param n2 samples along the columns; 0 for the kernel of the first set with itself
 * @throws InputError for wrong options, GpuError "limit" where anything of it does not fit
 */
export function planGram(
  gpu: Pick<Gpu, "limits">,
  net: Network,
  n1: number,
  n2: number,
  options: GramOptions = {},
): GramPlan {
  checkOptions("gram", options, GRAM_OPTIONS);
  const { method = "auto", outputs = "full", panels } = options;
  if (!["auto", "jacobian", "layerwise"].includes(method))
    throw new InputError(
      `gram: method is "${method}", but must be auto, jacobian or layerwise. Choose one.`,
    );
  if (!["full", "trace"].includes(outputs))
    throw new InputError(`gram: outputs is "${outputs}", but must be full or trace. Choose one.`);
  if (panels !== undefined && !(Number.isSafeInteger(panels) && panels >= 1))
    throw new InputError(
      `gram: panels is ${panels}, but must be a whole number from 1. Correct it.`,
    );
  const [groups, each] = outputs === "full" ? [1, net.outputs] : [net.outputs, 1];
  const rows = n1 * each;
  const columns = (n2 || n1) * each;
  const triangle = n2 === 0;
  checkMatrixFits(gpu.limits, "gram", rows, columns);
  for (const { index, fanIn, units } of net.layers) {
    const layer = `layer ${index + 1}`;
    checkMatrixFits(gpu.limits, `${layer} weights`, fanIn, units);
    if (index > 0) checkMatrixFits(gpu.limits, `${layer} weights`, units, fanIn);
    for (const n of triangle ? [n1] : [n1, n2]) {
      checkMatrixFits(gpu.limits, `activations below ${layer}`, fanIn, n);
      checkMatrixFits(gpu.limits, `pre-activations of ${layer}`, units, n);
      checkMatrixFits(gpu.limits, `signals of ${layer}`, units, n * each);
    }
  }
  const layerwise = net.layers.reduce(
    (sum, layer) =>
      sum +
      productFlops(layer.fanIn, n1, n2 || n1, triangle) +
      groups * productFlops(layer.units, rows, columns, triangle),
    0,
  );
  const jacobian =
    groups *
    (jacobianFlops(net, rows + (triangle ? 0 : columns)) +
      productFlops(net.parameters, rows, columns, triangle));
  const chosen = method === "auto" ? (layerwise <= jacobian ? "layerwise" : "jacobian") : method;
  const cut =
    chosen === "jacobian"
      ? planPanels(gpu.limits, net.parameters, Math.max(rows, columns), panels)
      : null;
  const sides = triangle ? [n1] : [n1, n2];
  const layers = net.layers.map(
    ({ fanIn, units }) =>
      2 * matrixBytes(fanIn, units) +
      sides.reduce(
        (sum, n) =>
          sum +
          matrixBytes(fanIn, n) +
          matrixBytes(units, n) +
          groups * matrixBytes(units, n * each),
        0,
      ),
  );
  return {
    method: chosen,
    rows,
    columns,
    panels: cut,
    flops: chosen === "jacobian" ? jacobian : layerwise,
    bytes:
      layers.reduce((sum, bytes) => sum + bytes, matrixBytes(rows, columns) + READ_BYTES) +
      (cut ? sides.length * cut.bytes : matrixBytes(n1, n2 || n1)),
  };
}

/**
 * The tangent kernel H of one set of samples, or between two.
 *
 *   H[i·O + a, j·O + b] = ⟨∇f_a(x_i), ∇f_b(x_j)⟩ = Σ_l (c² A Aᵀ + β²)[i, j] · (G Gᵀ)[i·O + a, j·O + b]
 *
 * @param acts activations of the samples along the rows
 * @param others activations of the samples along the columns; null for the kernel of `acts` with itself
 * @returns [n·O, n·O] (`trace`: [n, n], the mean over a = b), the caller's to destroy. Symmetric to the bit for one set.
 *
 * **Error** |ΔH| ≤ γ(k) · Σ_p |J[i,p] J[j,p]| beyond that of activations and signals, k = 64 + ⌈depth / 64⌉ + panels + 4.
 * **Cost** layerwise Σ_l n²(fanIn + O² units) flops; jacobian n² O² parameters, and panels of 4 · n · O · depth bytes.
 * **From** Novak, Sohl-Dickstein & Schoenholz 2022 for the layer-by-layer form.
 * @throws NonFiniteError where an entry overflows, GpuError "limit" where H does not fit a binding
 */
export async function gram(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  others: Activations | null = null,
  options: GramOptions = {},
): Promise<Matrix> {
  const plan = planGram(gpu, net, acts.n, others?.n ?? 0, options);
  const out = gpu.matrix("gram", plan.rows, plan.columns);
  try {
    const { layers, outputs } = net;
    const ranges: OutputRange[] =
      options.outputs === "trace"
        ? Array.from({ length: outputs }, (_, first) => ({ first, count: 1 }))
        : [{ first: 0, count: outputs }];
    const sides: Side[] = [];
    try {
      for (const side of others ? [acts, others] : [acts]) {
        const signals: Signals[] = [];
        sides.push({ acts: side, signals });
        for (const range of ranges)
          signals.push(await backward(gpu, net, weights, side, options, range));
      }
      const meter = gpu.queue.meter(options, "gram", plan.flops);
      const [left, right = left] = sides;
      if (plan.panels) await addPanels(gpu, net, left, right, plan.panels, out, meter);
      else for (const layer of layers) await addLayer(gpu, layer, left, right, out, meter);
    } finally {
      sides.forEach(({ signals }) => signals.forEach((each) => each.destroy()));
    }
    if (!others)
      mirror(gpu, {
        dims: { n: plan.rows },
        buffers: { matrix: out },
        groups: [Math.ceil(plan.rows / 64), plan.rows],
        flops: plan.rows ** 2,
      });
    using check = new FiniteCheck(gpu, 1);
    check.watch(out, "the tangent kernel");
    await check.settle("gram", "Scale the weights or the inputs down.", options);
    return out;
  } catch (error) {
    out.destroy();
    throw error;
  }
}

/** One set of samples: the rows of H, or its columns. One entry of signals a part of the mean over outputs. */
interface Side {
  readonly acts: Activations;
  readonly signals: readonly Signals[];
}

/** out += J Jᵀ, a panel of parameters at a time, over the number of parts. */
async function addPanels(
  gpu: Gpu,
  net: Network,
  left: Side,
  right: Side,
  plan: PanelPlan,
  out: Matrix,
  meter: Meter,
): Promise<void> {
  const parts = left.signals.length;
  using rowPanel = gpu.matrix("jacobian panel", plan.depth, out.rows);
  using columnPanel = right === left ? null : gpu.matrix("jacobian panel", plan.depth, out.columns);
  for (let first = 0; first < net.parameters; first += plan.depth) {
    const depth = Math.min(plan.depth, net.parameters - first);
    const rows = rowPanel.view(depth);
    const columns = columnPanel?.view(depth) ?? rows;
    for (let part = 0; part < parts; part++) {
      await fillJacobian(gpu, net, left.acts, left.signals[part], first, rows, meter);
      if (columnPanel)
        await fillJacobian(gpu, net, right.acts, right.signals[part], first, columns, meter);
      const buffers = { left: rows, right: columns, out };
      await add(gpu, { buffers, scale: 1 / parts, triangle: !columnPanel }, meter);
    }
  }
}

/** out += (c² A Aᵀ + β²) ∘ (G Gᵀ) of one layer, over the number of parts. */
async function addLayer(
  gpu: Gpu,
  { index, scale, shift }: Layer,
  left: Side,
  right: Side,
  out: Matrix,
  meter: Meter,
): Promise<void> {
  const parts = left.signals.length;
  const triangle = right === left;
  using factor = gpu.matrix("activations' gram", left.acts.n, right.acts.n);
  await storeProduct(
    gpu,
    {
      buffers: { left: left.acts.a[index], right: right.acts.a[index], out: factor },
      scale: scale * scale,
      shift: shift * shift,
      triangle,
    },
    meter,
  );
  for (let part = 0; part < parts; part++)
    await hadamard(
      gpu,
      {
        buffers: {
          left: left.signals[part].g[index],
          right: right.signals[part].g[index],
          factor,
          out,
        },
        outputs: left.signals[part].outputs,
        scale: 1 / parts,
        triangle,
      },
      meter,
    );
}
