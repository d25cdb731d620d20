import loadWgsl from "../../shaders/fragments/load.wgsl";
import kinksWgsl from "../../shaders/1-forward/kinks.wgsl";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import type { Values } from "../gpu/values.ts";
import type { Layer, Network } from "./0-network.ts";
import type { LayerWeights } from "./0-weights.ts";
import { exactForward } from "./1-exact.ts";
import type { Activations } from "./1-forward.ts";

export const kinks = defineShader({
  name: "kinks",
  wgsl: [kinksWgsl, loadWgsl],
  dims: ["rows", "columns", "capacity", "near"],
  buffers: { z: ["read", "rows", "columns"], found: ["read_write", 1, "capacity"] },
  sizes: {},
});

/** Kinked units whose side of the kink rounding may have decided. */
export interface Kinks {
  /** Units of samples closer to 0 than rounding can tell. */
  readonly near: number;
  /** Those of them that were on the wrong side, and now are on the right one. */
  readonly moved: number;
  /** Those that were too many to decide. */
  readonly undecided: number;
}

/** Pre-activations within this share of the largest that Cauchy and Schwarz allow count as near: 4 roundings of it. */
const NEAR = 2 ** -22;
/** Near units that are decided, in each layer. */
const CAPACITY = 2 ** 16;

/** Whether a layer's derivative jumps at 0. */
export const isKinked = ({ activation }: Layer): boolean =>
  activation === "relu" || activation === "leaky_relu";

/** 2-norms of the rows of [?, width]. */
function norms(values: Values, width: number): Float64Array {
  return Float64Array.from({ length: values.length / width }, (_, row) => {
    let sum = 0;
    for (let k = row * width; k < (row + 1) * width; k++) sum += values[k] * values[k];
    return Math.sqrt(sum);
  });
}

/** What |z| of a layer can be at the most for activations of norm `length`: c ‖W_h‖ · length + β |b_h|. */
function reach(
  { scale, shift, fanIn }: Layer,
  { weight, bias }: LayerWeights,
  length: number,
): number {
  const rows = norms(weight, fanIn);
  return rows.reduce(
    (most, row, h) =>
      Math.max(most, Math.abs(scale) * row * length + Math.abs(shift * (bias?.[h] ?? 0))),
    0,
  );
}

/** What |φ(z)| of a layer can be at the most where |z| ≤ size: no activation grows faster than 1.13 |z| + 0.7. */
const largestActivation = (net: Network, index: number, size: number): number =>
  isKinked(net.layers[index]) ? Math.max(1, Math.abs(net.slope)) * size : 1.13 * size + 0.7;

/**
 * Decides in f64 on which side of 0 those pre-activations of ReLU units are that rounding cannot tell. The tangent
 * kernel jumps where a unit changes sides, so that without this no bound on its error could hold.
 *
 * @param inputs f32 [n, net.inputs], those that `acts` came from
 * @param acts pre-activations on the wrong side are changed to the exact ones
 *
 * **Cost** 4 bytes read a pre-activation; 2 · parameters flops on the CPU for each sample with a near unit.
 */
export async function decideKinks(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  acts: Activations,
  job?: Job,
): Promise<Kinks> {
  const { n } = acts;
  const longest = ({ index, fanIn }: Layer): number =>
    index === 0
      ? norms(inputs, net.inputs).reduce((a, b) => Math.max(a, b), 0)
      : Math.sqrt(fanIn) * largestActivation(net, index - 1, acts.largest[index - 1]);
  const samples = new Map<number, { layer: number; unit: number; above: boolean }[]>();
  let near = 0;
  let undecided = 0;
  for (const layer of net.layers.filter(isKinked)) {
    const { index, units } = layer;
    const z = acts.z[index];
    using found = gpu.matrix("kinks found", 1, CAPACITY);
    const groups = Math.ceil(z.bytes / 16 / 64);
    const across = Math.min(groups, gpu.limits.maxComputeWorkgroupsPerDimension);
    kinks(gpu, {
      dims: {
        rows: units,
        columns: n,
        capacity: CAPACITY,
        near: NEAR * reach(layer, weights[index], longest(layer)),
      },
      buffers: { z, found },
      groups: [across, Math.ceil(groups / across)],
      flops: units * n,
    });
    const [count, ...places] = new Uint32Array((await gpu.read(found, job)).buffer);
    const listed = Math.min(count, CAPACITY - 1);
    near += count;
    undecided += count - listed;
    for (const entry of places.slice(0, listed)) {
      const place = entry >>> 1;
      const sample = place % n;
      const list = samples.get(sample) ?? [];
      samples.set(sample, list);
      list.push({ layer: index, unit: Math.floor(place / n), above: (entry & 1) === 1 });
    }
  }
  let moved = 0;
  for (const [sample, list] of samples) {
    job?.signal?.throwIfAborted();
    const input = inputs.subarray(sample * net.inputs, (sample + 1) * net.inputs);
    const exact = exactForward(net, weights, input);
    for (const { layer, unit, above } of list) {
      const value = Math.fround(exact.z[layer][unit]);
      if (above === value > 0) continue;
      gpu.writeBits(acts.z[layer], unit, Float32Array.of(value), sample);
      moved += 1;
    }
  }
  return { near, moved, undecided };
}
