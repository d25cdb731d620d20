import activationsWgsl from "../../shaders/fragments/activations.wgsl";
import biasWgsl from "../../shaders/fragments/bias.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import tangentWgsl from "../../shaders/fragments/tangent.wgsl";
import transcendentalWgsl from "../../shaders/fragments/transcendental.wgsl";
import turnWgsl from "../../shaders/0-matrix/turn.wgsl";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { ownValues, type Values } from "../gpu/values.ts";
import { ACTIVATIONS } from "./0-activation.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Layer, Network } from "./0-network.ts";
import { add, defineProduct, storeProduct } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import type { DeviceWeights } from "./0-weights.ts";
import type { Activations } from "./1-forward.ts";
import { mask } from "./2-backward.ts";

export const turn = defineShader({
  name: "turn",
  wgsl: [turnWgsl, loadWgsl],
  dims: ["rows", "columns"],
  buffers: { matrix: ["read", "rows", "columns"], out: ["read_write", "columns", "rows"] },
  sizes: {},
});

export const bias = defineProduct({
  wgsl: [biasWgsl],
  buffers: { bias: ["read", 1, "rows"], out: ["read_write", "rows", "columns"] },
  sizes: {},
});

export const tangent = defineProduct({
  wgsl: [tangentWgsl, activationsWgsl, transcendentalWgsl],
  buffers: {
    z: ["read", "rows", "columns"],
    before: ["read", "rows", "columns"],
    out: ["read_write", "rows", "columns"],
  },
  sizes: { ACTIVATION: 0, SLOPE: 0.01 },
});

/** A direction in the space of parameters, layer by layer, as J w takes it and Jᵀ v gives it. */
export interface Tangent {
  /** `weight` [fan, units], the layer's weights on their side; `bias` [1, units]. */
  readonly layers: readonly { readonly weight: Matrix; readonly bias: Matrix }[];
  destroy(): void;
  [dispose](): void;
}

const act = (net: Network, { activation }: Layer) => ({
  ACTIVATION: ACTIVATIONS.indexOf(activation),
  SLOPE: net.slope,
});

/** out [columns, rows] = matrix [rows, columns] on its side. */
export function turnInto(gpu: Gpu, matrix: Matrix, out: Matrix): void {
  const { rows, columns } = matrix;
  turn(gpu, {
    dims: { rows, columns },
    buffers: { matrix, out },
    groups: [Math.ceil(columns / 64), 4 * Math.ceil(rows / 16)],
    flops: rows * columns,
  });
}

function turned(gpu: Gpu, matrix: Matrix): Matrix {
  const out = gpu.matrix(`${matrix.name}, turned`, matrix.columns, matrix.rows);
  turnInto(gpu, matrix, out);
  return out;
}

/**
 * Jᵀ v without J, by one weighted pass back:
 *
 *   g[L] = v        g[l] = (c[l+1] · W[l+1]ᵀ g[l+1]) ∘ φ′(z[l])        dW[l] = c[l] · g[l] a[l]ᵀ,  db[l] = β[l] · Σ g[l]
 *
 * @param vector f32 [n · O], index i · O + a for sample i and output a
 * @returns the caller's to destroy
 *
 * **Error** of a sum as in the product's class, one after another through the layers.
 * **Cost** 4 · n · parameters flops, whatever O.
 * @throws InputError for a vector of another length, NonFiniteError where a value overflows
 */
export async function jacobianTransposed(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  vector: Values,
  job?: Job,
): Promise<Tangent> {
  const { n } = acts;
  const own = ownValues("jacobianTransposed", "vector", vector);
  if (own.length !== n * net.outputs)
    throw new InputError(
      `jacobianTransposed: vector holds ${own.length} values, but must hold samples × outputs = ${n} × ${net.outputs}. Check its shape.`,
    );
  await tuned(gpu);
  const made: { weight: Matrix; bias: Matrix }[] = Array(net.layers.length);
  const destroy = () =>
    made.forEach((layer) => {
      layer.weight.destroy();
      layer.bias.destroy();
    });
  using check = new FiniteCheck(gpu, net.layers.length);
  using ones = gpu.upload("ones", n, 1, new Float32Array(n).fill(1));
  const meter = gpu.queue.meter(job, "backward", 4 * n * net.parameters);
  let g = gpu.upload("weighted outputs", net.outputs, n, own, true);
  try {
    for (const layer of [...net.layers].reverse()) {
      const { index, fanIn, units, scale, shift } = layer;
      {
        using left = turned(gpu, acts.a[index]);
        using right = turned(gpu, g);
        const place = `layer ${index + 1}`;
        const weight = gpu.matrix(`tangent of the weights of ${place}`, fanIn, units);
        made[index] = { weight, bias: gpu.matrix(`tangent of the biases of ${place}`, 1, units) };
        await storeProduct(gpu, { buffers: { left, right, out: weight }, scale }, meter);
        const buffers = { left: ones, right, out: made[index].bias };
        await storeProduct(gpu, { buffers, scale: shift }, meter);
        check.watch(weight, {
          caller: "jacobianTransposed",
          operand: `the tangent of the weights of ${place}, [fan, units],`,
          cure: "Scale the vector or the weights down.",
        });
      }
      if (index === 0) break;
      const below = gpu.matrix(`weighted signals of layer ${index}`, fanIn, n);
      const before = g;
      g = below;
      try {
        const left = weights.layers[index].weight as Matrix;
        const z = acts.z[index - 1];
        const sizes = act(net, net.layers[index - 1]);
        await mask(gpu, { buffers: { left, right: before, z, out: below }, scale, sizes }, meter);
      } finally {
        before.destroy();
      }
    }
    await check.settle(job);
    return { layers: made, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  } finally {
    g.destroy();
  }
}

/**
 * J w without J, by one tangent pass forward:
 *
 *   dz[l] = c[l] · (dW[l] a[l] + W[l] da[l]) + β[l] · db[l]        da[l+1] = φ′(z[l]) ∘ dz[l],  da[0] = 0
 *
 * @param direction w, as {@link jacobianTransposed} gives it
 * @returns f32 [n · O], index i · O + a
 *
 * **Error** of a sum as in the product's class, one after another through the layers.
 * **Cost** 4 · n · parameters flops, whatever O.
 * @throws NonFiniteError where a value overflows
 */
export async function jacobianTimes(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  direction: Tangent,
  job?: Job,
): Promise<Float32Array<ArrayBuffer>> {
  await tuned(gpu);
  const { n } = acts;
  const last = net.layers.length - 1;
  const meter = gpu.queue.meter(job, "forward", 4 * n * net.parameters);
  let da: Matrix | null = null;
  let dz: Matrix | null = null;
  try {
    for (const layer of net.layers) {
      const { index, units, scale, shift } = layer;
      dz = gpu.matrix(`tangent of the pre-activations of layer ${index + 1}`, units, n);
      const { weight: left, bias: own } = direction.layers[index];
      const right = acts.a[index];
      const call = { buffers: { left, right, bias: own, out: dz }, scale, shift };
      await bias(gpu, call, meter);
      // What comes from below; for the first layer nothing does, and one row of zeros stands for it.
      using none: Matrix | null = da ? null : gpu.matrix("no tangent", 1, n);
      using noWeights: Matrix | null = da ? null : gpu.matrix("no weights", 1, units);
      const from: { left: Matrix; right: Matrix } = {
        left: noWeights ?? weights.layers[index].transposed,
        right: none ?? da!,
      };
      if (index === last) {
        if (da) await add(gpu, { buffers: { ...from, out: dz }, scale }, meter);
        break;
      }
      const next: Matrix = gpu.matrix(`tangent of the activations of layer ${index + 1}`, units, n);
      const buffers = { ...from, z: acts.z[index], before: dz, out: next };
      await tangent(gpu, { buffers, scale, sizes: act(net, layer) }, meter);
      da?.destroy();
      da = next;
      dz.destroy();
      dz = null;
    }
    using check = new FiniteCheck(gpu, 1);
    check.watch(dz!, {
      caller: "jacobianTimes",
      operand: "J w, [outputs, samples],",
      cure: "Scale the direction or the weights down.",
    });
    await check.settle(job);
    const values = await gpu.read(dz!, job);
    const { outputs } = net;
    return values.map((_, at) => values[(at % outputs) * n + Math.floor(at / outputs)]);
  } finally {
    da?.destroy();
    dz?.destroy();
  }
}

/**
 * H v without H and without J: J (Jᵀ v).
 *
 * ```ts
 * using onDevice = uploadWeights(gpu, net, weights(net, 0));
 * using acts = await forward(gpu, net, onDevice, normals(1, 100 * net.inputs));
 * const hv = await kernelTimes(gpu, net, onDevice, acts, normals(2, 100 * net.outputs));
 * ```
 *
 * @param vector f32 [n · O], index i · O + a
 * @returns f32 [n · O]
 *
 * **Error** those of {@link jacobianTransposed} and {@link jacobianTimes}, one after the other.
 * **Cost** 8 · n · parameters flops: about four forward passes, whatever O.
 */
export async function kernelTimes(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  vector: Values,
  job?: Job,
): Promise<Float32Array<ArrayBuffer>> {
  using direction = await jacobianTransposed(gpu, net, weights, acts, vector, job);
  return await jacobianTimes(gpu, net, weights, acts, direction, job);
}
