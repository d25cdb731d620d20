import hadamardWgsl from "../../shaders/fragments/hadamard.wgsl";
import samplesWgsl from "../../shaders/fragments/samples.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import mirrorWgsl from "../../shaders/0-matrix/mirror.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import type { Part } from "../gpu/options.ts";
import type { PanelPlan } from "../gpu/plan.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import type { Values } from "../gpu/values.ts";
import type { NonFiniteError } from "../errors.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Network } from "./0-network.ts";
import { add, defineProduct, storeProduct } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import type { DeviceWeights } from "./0-weights.ts";
import { recordForward, samplesIn, type Activations } from "./1-forward.ts";
import { recordBackward, watchSignals, type Signals } from "./2-backward.ts";
import { fillJacobian } from "./2-jacobian.ts";
import { planGram, type GramOptions } from "./3-plan.ts";

export const hadamard = defineProduct({
  wgsl: [hadamardWgsl, samplesWgsl],
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

/**
 * The tangent kernel H of one set of samples, or between two.
 *
 *   H[i·O + a, j·O + b] = ⟨∇f_a(x_i), ∇f_b(x_j)⟩ = Σ_l (c² A Aᵀ + β²)[i, j] · (G Gᵀ)[i·O + a, j·O + b]
 *
 * @param acts activations of the samples along the rows
 * @param others activations of the samples along the columns; null for the kernel of `acts` with itself
 * @returns [n·O, n·O] (`trace`: [n, n], the mean over a = b), the caller's to destroy. Symmetric to the bit for one set.
 *
 * **Error** |ΔH| ≤ γ(k) · Σ_p |J[i,p] J[j,p]| beyond that of activations and signals, k = 64 + 16 +
 * ⌈depth / 1024⌉ + panels + 4.
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
  using check = new FiniteCheck(gpu, 1);
  return await checkedGram(gpu, net, weights, acts, others, options, check);
}

/**
 * The tangent kernel of what is on the device: the forward pass and `gram`, waited for once instead of twice. The side
 * of 0 that a ReLU unit is on is as f32 has it; `tangentKernel` and `decideKinks` settle that on the host.
 *
 * ```ts
 * using onDevice = uploadWeights(gpu, net, weights(net, 0));
 * using h = await deviceKernel(gpu, net, onDevice, normals(1, 100 * net.inputs));
 * ```
 *
 * @param inputs f32 [n, net.inputs] row-major; or on the device already, a matrix [net.inputs, n] that stays the caller's
 * @returns [n·O, n·O] as `gram` gives it, the caller's to destroy
 *
 * **Error**, **Cost** those of `forward` and `gram`.
 * @throws NonFiniteError that names the layer where a value overflows, GpuError "limit" where H does not fit a binding
 */
export async function deviceKernel(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  inputs: Values | Matrix,
  options: GramOptions = {},
): Promise<Matrix> {
  // What does not fit is refused before anything is allocated.
  planGram(gpu, net, samplesIn(net, inputs), 0, options);
  await tuned(gpu);
  using check = new FiniteCheck(gpu, net.layers.length + 1);
  using acts = await recordForward(gpu, net, weights, inputs, check, options);
  return await checkedGram(gpu, net, weights, acts, null, options, check);
}

/** What passes on the way to H have left, and what the way back needs of it. */
type Passed = Pick<Activations, "n" | "a" | "z">;

/** @param check what was recorded before is in it already */
async function checkedGram(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Passed,
  others: Passed | null,
  options: GramOptions,
  check: FiniteCheck,
): Promise<Matrix> {
  const plan = planGram(gpu, net, acts.n, others?.n ?? 0, options);
  await tuned(gpu);
  const out = gpu.matrix("gram", plan.rows, plan.columns);
  try {
    using sides = await Sides.open(gpu, net, weights, acts, others, options);
    const meter = gpu.queue.meter(options, "gram", plan.flops);
    if (plan.panels) await addPanels(gpu, net, sides, plan.panels, out, meter);
    else await addLayers(gpu, net, sides, wholeOf(sides), out, meter);
    if (!others) mirrorLower(gpu, out);
    check.watch(out, NOT_FINITE);
    try {
      await check.settle(options);
    } catch (error) {
      // No entry of a sample is finite where a signal of its is not: only then is it looked for the layer.
      if ((error as Partial<NonFiniteError>).operand === NOT_FINITE.operand)
        await sides.settle(gpu, net, options);
      throw error;
    }
    return out;
  } catch (error) {
    out.destroy();
    throw error;
  }
}

/** What a kernel with an entry that is not finite is refused with. @internal */
export const NOT_FINITE = {
  caller: "gram",
  operand: "the tangent kernel",
  cure: "Scale the weights or the inputs down.",
};

/** The upper triangle from the lower one. @internal */
export function mirrorLower(gpu: Gpu, matrix: Matrix): void {
  const n = matrix.rows;
  mirror(gpu, {
    dims: { n },
    buffers: { matrix },
    groups: [Math.ceil(n / 256), 4 * Math.ceil(n / 16)],
    flops: n ** 2,
  });
}

/** One set of samples: the rows of H, or its columns. One entry of signals a part of the mean over outputs. */
interface Side {
  readonly acts: Passed;
  readonly signals: readonly Signals[];
}

/** Both sets with their signals. @internal */
export class Sides {
  readonly left: Side;
  readonly right: Side;
  readonly #all: readonly Signals[];

  private constructor([left, right = left]: readonly Side[], all: readonly Signals[]) {
    this.left = left;
    this.right = right;
    this.#all = all;
  }

  /** Records the way back of each set. */
  static async open(
    gpu: Gpu,
    net: Network,
    weights: DeviceWeights,
    own: Passed,
    others: Passed | null,
    options: GramOptions,
  ): Promise<Sides> {
    const trace = options.outputs === "trace";
    const all: Signals[] = [];
    const sides: Side[] = [];
    try {
      for (const acts of others ? [own, others] : [own]) {
        const from = all.length;
        for (let first = 0; first < (trace ? net.outputs : 1); first++)
          all.push(
            await recordBackward(
              gpu,
              net,
              weights,
              acts,
              options,
              trace ? { first, count: 1 } : undefined,
            ),
          );
        sides.push({ acts, signals: all.slice(from) });
      }
    } catch (error) {
      all.forEach((part) => part.destroy());
      throw error;
    }
    return new Sides(sides, all);
  }

  /** Waits for the way back. @throws NonFiniteError that names the layer */
  async settle(gpu: Gpu, net: Network, job: Job): Promise<void> {
    using check = new FiniteCheck(gpu, this.#all.length * net.layers.length);
    this.#all.forEach((part) => watchSignals(check, net, part));
    await check.settle(job);
  }

  [dispose](): void {
    this.#all.forEach((part) => part.destroy());
  }
}

/** out += J Jᵀ, a panel of parameters at a time, over the number of parts. */
async function addPanels(
  gpu: Gpu,
  net: Network,
  { left, right }: Sides,
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

/** A rectangle of pairs of samples; `triangle`: one on the diagonal, whose lower half is enough. */
interface Rectangle extends Part {
  readonly triangle: boolean;
}

const wholeOf = ({ left, right }: Sides): Rectangle => ({
  ...{ row: 0, column: 0, rows: left.acts.n, columns: right.acts.n },
  triangle: right === left,
});

/** out, zero before, = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ) over the number of parts, for the pairs of a rectangle. @internal */
export async function addLayers(
  gpu: Gpu,
  net: Network,
  { left, right }: Sides,
  { triangle, ...pairs }: Rectangle,
  out: Matrix,
  meter: Meter,
): Promise<void> {
  const parts = left.signals.length;
  const { outputs } = left.signals[0];
  const part = {
    row: pairs.row * outputs,
    column: pairs.column * outputs,
    rows: out.rows,
    columns: out.columns,
  };
  using factor = gpu.matrix("activations' gram", pairs.rows, pairs.columns);
  // The last layer comes first; there the signals of a single output are 1.
  let ones = net.outputs < 2;
  for (const { index, scale, shift } of [...net.layers].reverse()) {
    await storeProduct(
      gpu,
      {
        buffers: {
          left: left.acts.a[index],
          right: right.acts.a[index],
          out: ones ? out : factor,
        },
        scale: scale * scale,
        shift: shift * shift,
        part: pairs,
        triangle,
      },
      meter,
    );
    for (let o = 0; o < parts && !ones; o++)
      await hadamard(
        gpu,
        {
          buffers: {
            left: left.signals[o].g[index],
            right: right.signals[o].g[index],
            factor,
            out,
          },
          outputs,
          scale: 1 / parts,
          part,
          triangle,
        },
        meter,
      );
    ones = false;
  }
}
