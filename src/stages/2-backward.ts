import activationsWgsl from "../../shaders/fragments/activations.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import maskWgsl from "../../shaders/fragments/mask.wgsl";
import samplesWgsl from "../../shaders/fragments/samples.wgsl";
import transcendentalWgsl from "../../shaders/fragments/transcendental.wgsl";
import seedWgsl from "../../shaders/2-backward/seed.wgsl";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, pitch, type Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { ACTIVATIONS } from "./0-activation.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Network } from "./0-network.ts";
import { defineProduct, productFlops } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import type { DeviceWeights } from "./0-weights.ts";
import type { Activations } from "./1-forward.ts";

export const seed = defineShader({
  name: "seed",
  wgsl: [seedWgsl, loadWgsl],
  dims: ["outputs", "columns", "first", "count"],
  buffers: { out: ["read_write", "outputs", "columns"] },
  sizes: {},
});

export const mask = defineProduct({
  wgsl: [maskWgsl, samplesWgsl, activationsWgsl, transcendentalWgsl],
  buffers: { z: ["read", "rows", "samples"], out: ["read_write", "rows", "columns"] },
  sizes: { ACTIVATION: 0, SLOPE: 0.01 },
});

/** How each pre-activation moves each output. */
export interface Signals {
  /** Outputs that lie side by side for each sample. */
  readonly outputs: number;
  /** ∂f_o / ∂z[l]: `g[l]` [units, n · outputs], sample i and output o at column i · outputs + o. */
  readonly g: readonly Matrix[];
  destroy(): void;
  [dispose](): void;
}

/** Which outputs the way back is gone for: all, or one. */
export interface OutputRange {
  readonly first: number;
  readonly count: number;
}

/**
 * Per-sample backpropagation, for every output by itself:
 *
 *   g[L] = 1 for the output's own unit, else 0        g[l] = (c[l+1] · W[l+1]ᵀ g[l+1]) ∘ φ′(z[l])
 *
 * @param range default all outputs
 * @returns signals of all layers, the caller's to destroy
 *
 * **Error** of a sum as in the product's class, of φ′ as in `activations.wgsl`, each times the next.
 * **Cost** 2 · n · outputs · parameters flops without the first layer's; 4 · n · outputs · Σ units bytes.
 * @throws NonFiniteError that names the layer where a signal overflows
 */
export async function backward(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  job?: Job,
  range?: OutputRange,
): Promise<Signals> {
  await tuned(gpu);
  using check = new FiniteCheck(gpu, net.layers.length);
  const signals = await recordBackward(gpu, net, weights, acts, job, range);
  try {
    watchSignals(check, net, signals);
    await check.settle(job);
    return signals;
  } catch (error) {
    signals.destroy();
    throw error;
  }
}

/** Has the signals of all layers looked at, the last layer's first. @internal */
export function watchSignals(check: FiniteCheck, net: Network, { g }: Signals): void {
  for (let layer = net.layers.length - 1; layer > 0; layer--)
    check.watch(g[layer - 1], {
      caller: "backward",
      operand: `the signals of layer ${layer}, [units, samples · outputs],`,
      cure: "Scale the weights down.",
    });
}

/** The way back without waiting for its end, or looking whether it is finite. @internal */
export async function recordBackward(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Pick<Activations, "n" | "z">,
  job: Job | undefined,
  { first, count }: OutputRange = { first: 0, count: net.outputs },
): Promise<Signals> {
  if (!(first >= 0 && count >= 1 && first + count <= net.outputs))
    throw new InputError(
      `backward: outputs ${first} to ${first + count - 1} were asked for, but there are ${net.outputs}. Ask for some of 0 to ${net.outputs - 1}.`,
    );
  const columns = acts.n * count;
  const g: Matrix[] = Array(net.layers.length);
  const destroy = () => g.forEach((matrix) => matrix.destroy());
  try {
    const last = net.layers.length - 1;
    g[last] = gpu.matrix("signals of the outputs", net.outputs, columns);
    seed(gpu, {
      dims: { outputs: net.outputs, columns, first, count },
      buffers: { out: g[last] },
      groups: [Math.ceil(pitch(columns) / 4 / 64), Math.ceil(net.outputs / 16) * 16],
      flops: g[last].bytes,
    });
    for (const { index, units } of net.layers.slice(0, last))
      g[index] = gpu.matrix(`signals of layer ${index + 1}`, units, columns);
    const meter = gpu.queue.meter(job, "backward", backwardFlops(net, columns));
    await fillSignals(gpu, net, weights, acts.z, g, count, meter);
    return { outputs: count, g, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Floating-point operations of a backward pass without weight gradients. */
export const backwardFlops = (net: Network, columns: number): number =>
  net.layers
    .slice(1)
    .reduce((sum, { fanIn, units }) => sum + productFlops(units, fanIn, columns), 0);

/**
 * The way back from the outputs' signals, into matrices that are there already, without any wait for its end.
 *
 * @param z pre-activations, as the forward pass left them
 * @param g signals of layer l at `g[l]` [units, samples · count]; those of the last layer are given
 * @param count signals that lie side by side for each sample
 */
export async function fillSignals(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  z: readonly Matrix[],
  g: readonly Matrix[],
  count: number,
  meter: Meter,
): Promise<void> {
  for (let index = net.layers.length - 2; index >= 0; index--) {
    const left = weights.layers[index + 1].weight as Matrix;
    const buffers = { left, right: g[index + 1], z: z[index], out: g[index] };
    const sizes = {
      ACTIVATION: ACTIVATIONS.indexOf(net.layers[index].activation),
      SLOPE: net.slope,
    };
    const { scale } = net.layers[index + 1];
    await mask(gpu, { buffers, outputs: count, scale, sizes }, meter);
  }
}
