import loadWgsl from "../../shaders/fragments/load.wgsl";
import kinksWgsl from "../../shaders/1-forward/kinks.wgsl";
import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import type { Values } from "../gpu/values.ts";
import { rowNorms } from "./0-double.ts";
import type { Layer, Network } from "./0-network.ts";
import type { LayerWeights } from "./0-weights.ts";
import { exactForward } from "./1-exact.ts";
import type { Activations } from "./1-forward.ts";

export const kinks = defineShader({
  name: "kinks",
  wgsl: [kinksWgsl, loadWgsl],
  dims: ["rows", "columns", "slots", "capacity", "slot", "near"],
  buffers: { z: ["read", "rows", "columns"], found: ["read_write", "slots", "capacity"] },
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
/** Near units that are listed at first, in each layer; where they are more, the list is made once more, and longer. */
const FEW = 2 ** 10;
/** Near units that are decided, in each layer. */
const CAPACITY = 2 ** 20;

/** Whether a layer's derivative jumps at 0. */
export const isKinked = ({ activation }: Layer): boolean =>
  activation === "relu" || activation === "leaky_relu";

/** What |z| of a layer can be at the most for activations of norm `length`: c ‖W_h‖ · length + β |b_h|. */
function reach(
  { scale, shift, fanIn }: Layer,
  { weight, bias }: LayerWeights,
  length: number,
): number {
  const rows = rowNorms(weight, fanIn);
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
      ? rowNorms(inputs, net.inputs).reduce((a, b) => Math.max(a, b), 0)
      : Math.sqrt(fanIn) * largestActivation(net, index - 1, acts.largest[index - 1]);
  const kinked = net.layers.filter(isKinked);
  const samples = new Map<number, { layer: number; unit: number; above: boolean }[]>();
  let near = 0;
  let undecided = 0;
  const list = (layer: Layer, found: Matrix, slot: number): void => {
    const z = acts.z[layer.index];
    const groups = Math.ceil(z.bytes / 16 / 64);
    const across = Math.min(groups, gpu.limits.maxComputeWorkgroupsPerDimension);
    kinks(gpu, {
      dims: {
        ...{ rows: layer.units, columns: n, slots: found.rows, capacity: found.columns, slot },
        near: NEAR * reach(layer, weights[layer.index], longest(layer)),
      },
      buffers: { z, found },
      groups: [across, Math.ceil(groups / across)],
      flops: layer.units * n,
    });
  };
  const take = ({ index }: Layer, [count, ...places]: Uint32Array): void => {
    const listed = Math.min(count, places.length);
    near += count;
    undecided += count - listed;
    for (const entry of places.slice(0, listed)) {
      const place = entry >>> 1;
      const sample = place % n;
      const units = samples.get(sample) ?? [];
      samples.set(sample, units);
      units.push({ layer: index, unit: Math.floor(place / n), above: (entry & 1) === 1 });
    }
  };
  if (kinked.length > 0) {
    using found = gpu.matrix("kinks found", kinked.length, FEW);
    kinked.forEach((layer, slot) => list(layer, found, slot));
    const lists = new Uint32Array((await gpu.read(found, job)).buffer);
    for (const [slot, layer] of kinked.entries()) {
      const short = lists.subarray(slot * FEW, (slot + 1) * FEW);
      if (short[0] < FEW) take(layer, short);
      else {
        using long = gpu.matrix("kinks found", 1, Math.min(short[0] + 1, CAPACITY));
        list(layer, long, 0);
        take(layer, new Uint32Array((await gpu.read(long, job)).buffer));
      }
    }
  }
  if (samples.size === 0) return { near, moved: 0, undecided };
  let moved = 0;
  const places = [...samples.keys()];
  const own = new Float32Array(places.length * net.inputs);
  places.forEach((sample, row) =>
    own.set(inputs.subarray(sample * net.inputs, (sample + 1) * net.inputs), row * net.inputs),
  );
  const exact = await exactForward(gpu, net, weights, own, job);
  for (const [row, sample] of places.entries())
    for (const { layer, unit, above } of samples.get(sample) ?? []) {
      const value = Math.fround(exact.z[layer][row * net.layers[layer].units + unit]);
      if (above === value > 0) continue;
      gpu.writeBits(acts.z[layer], unit, Float32Array.of(value), sample);
      moved += 1;
    }
  return { near, moved, undecided };
}
