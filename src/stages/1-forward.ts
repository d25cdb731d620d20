import activateWgsl from "../../shaders/fragments/activate.wgsl";
import activationsWgsl from "../../shaders/fragments/activations.wgsl";
import transcendentalWgsl from "../../shaders/fragments/transcendental.wgsl";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { described, type Values } from "../gpu/values.ts";
import { ACTIVATIONS } from "./0-activation.ts";
import { FiniteCheck } from "./0-finite.ts";
import type { Network } from "./0-network.ts";
import { defineProduct, productFlops } from "./0-product.ts";
import { tuned } from "./0-search.ts";
import type { DeviceWeights } from "./0-weights.ts";

export const activate = defineProduct({
  wgsl: [activateWgsl, activationsWgsl, transcendentalWgsl],
  buffers: {
    bias: ["read", 1, "rows"],
    z: ["read_write", "rows", "columns"],
    a: ["read_write", "rows", "columns"],
  },
  sizes: { ACTIVATION: 0, SLOPE: 0.01 },
});

/** What each layer computed for each sample; samples are columns. */
export interface Activations {
  readonly n: number;
  /** What layer l sees, from the inputs on: `a[l]` [fanIn of layer l, n]. */
  readonly a: readonly Matrix[];
  /** Pre-activations of layer l: `z[l]` [units, n]; the last are the network's outputs. */
  readonly z: readonly Matrix[];
  /** Largest |z| of each layer. */
  readonly largest: readonly number[];
  destroy(): void;
  [dispose](): void;
}

/** Number of samples in an array of inputs [n, net.inputs]. @throws InputError where there is no whole number of them */
export function sampleCount(caller: string, net: Network, inputs: Values): number {
  const n = inputs?.length / net.inputs;
  if (!(Number.isSafeInteger(n) && n >= 1))
    throw new InputError(
      `${caller}: inputs hold ${inputs?.length ?? described(inputs)} values, but must hold one or more samples of ${net.inputs}. Check their shape.`,
    );
  return n;
}

/**
 * The network's forward pass:
 *
 *   z[l] = c[l] · W[l] a[l] + β[l] · b[l]        a[l+1] = φ(z[l])
 *
 * @param inputs f32 [n, net.inputs] row-major; or on the device already, a matrix [net.inputs, n] that stays the caller's
 * @returns activations of all layers, the caller's to destroy
 *
 * **Error** of a sum as in the product's class, of φ as in `activations.wgsl`.
 * **Cost** 2 · n · parameters flops; 8 · n · Σ width bytes.
 * @throws InputError for wrong inputs, NonFiniteError that names the layer where a value overflows
 */
export async function forward(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  inputs: Values | Matrix,
  job?: Job,
): Promise<Activations> {
  await tuned(gpu);
  using check = new FiniteCheck(gpu, net.layers.length);
  const acts = await recordForward(gpu, net, weights, inputs, check, job);
  try {
    return { ...acts, largest: await check.settle(job) };
  } catch (error) {
    acts.destroy();
    throw error;
  }
}

/** Number of samples in inputs of either kind. @internal */
export const samplesIn = (net: Network, inputs: Values | Matrix): number =>
  inputs instanceof Matrix ? inputs.columns : sampleCount("forward", net, inputs);

/** The forward pass without waiting for its end: whether it is finite is `check`'s to say. @internal */
export async function recordForward(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  inputs: Values | Matrix,
  check: FiniteCheck,
  job?: Job,
): Promise<Omit<Activations, "largest">> {
  const given = inputs instanceof Matrix ? inputs : null;
  if (given && given.rows !== net.inputs)
    throw new InputError(
      `forward: inputs (${given.name}) have ${given.rows} rows, but samples have ${net.inputs} features. Hand in a matrix [features, samples].`,
    );
  const n = samplesIn(net, inputs);
  const a = [inputs instanceof Matrix ? inputs : gpu.upload("inputs", net.inputs, n, inputs, true)];
  const z: Matrix[] = [];
  const destroy = () =>
    [...a, ...z].forEach((matrix) => {
      if (matrix !== given) matrix.destroy();
    });
  try {
    for (const { index, units } of net.layers) {
      z.push(gpu.matrix(`pre-activations of layer ${index + 1}`, units, n));
      a.push(gpu.matrix(`activations of layer ${index + 1}`, units, n));
    }
    await fillForward(
      gpu,
      net,
      weights,
      a,
      z,
      gpu.queue.meter(job, "forward", forwardFlops(net, n)),
    );
    z.forEach((matrix, index) =>
      check.watch(matrix, {
        caller: "forward",
        operand: `the pre-activations of layer ${index + 1}, [units, samples],`,
        cure: "Scale the weights or the inputs down.",
      }),
    );
    // The outputs are pre-activations; the linear copy of them is of no use.
    a.pop()?.destroy();
    return { n, a, z, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Floating-point operations of a forward pass. */
export const forwardFlops = (net: Network, n: number): number =>
  net.layers.reduce((sum, { fanIn, units }) => sum + productFlops(fanIn, units, n), 0);

/**
 * The forward pass into matrices that are there already, without any wait for its end.
 *
 * @param a what layer l sees at `a[l]` [fanIn, n], of which `a[0]` are the inputs; one more than layers
 * @param z pre-activations of layer l at `z[l]` [units, n]
 */
export async function fillForward(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  a: readonly Matrix[],
  z: readonly Matrix[],
  meter: Meter,
): Promise<void> {
  for (const { index, activation, scale, shift } of net.layers) {
    const { transposed: left, bias } = weights.layers[index];
    const buffers = { left, right: a[index], bias, z: z[index], a: a[index + 1] };
    const sizes = { ACTIVATION: ACTIVATIONS.indexOf(activation), SLOPE: net.slope };
    await activate(gpu, { buffers, scale, shift, sizes }, meter);
  }
}
