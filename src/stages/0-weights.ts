import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import { checkValues, type Values } from "../gpu/values.ts";
import { InputError } from "../errors.ts";
import type { Network } from "./0-network.ts";
import { bits, normalQuantile } from "./0-normal.ts";

/** The parameters of one layer in the caller's memory. */
export interface LayerWeights {
  /** W [units, fanIn] row-major. */
  readonly weight: Values;
  /** b [units], or null where the network has no biases. */
  readonly bias: Values | null;
}

/**
 * Draws a network's weights: one stream of normals over all parameters in the order of a Jacobian row.
 *
 * The same seed gives the same bits on every machine.
 *
 * @param seed whole number, 0 ≤ seed < 2³²
 * @returns one entry a layer
 * @throws InputError for another seed, or where a deviation overflows f32
 *
 * **Cost** about 0.1 µs a parameter, on the CPU.
 */
export function weights(net: Network, seed = 0): LayerWeights[] {
  return net.layers.map((layer) => {
    const draw = (count: number, offset: number, deviation: number): Values => {
      const values = new Float32Array(count);
      for (let t = 0; t < count; t++)
        values[t] = normalQuantile(bits(seed, layer.firstParameter + offset + t)) * deviation;
      checkValues("weights", `layer ${layer.index + 1}`, values, count);
      return values;
    };
    const count = layer.units * layer.fanIn;
    return {
      weight: draw(count, 0, layer.weightDeviation),
      bias: layer.hasBias ? draw(layer.units, count, layer.biasDeviation) : null,
    };
  });
}

/** A network's weights on the device. */
export interface DeviceWeights {
  readonly layers: readonly {
    /** Wᵀ [fanIn, units], for the way forward. */
    readonly transposed: Matrix;
    /** W [units, fanIn], for the way back; none for the first layer, which nothing flows back through. */
    readonly weight: Matrix | null;
    /** b [1, units]; zeros where the network has none. */
    readonly bias: Matrix;
  }[];
  destroy(): void;
  [dispose](): void;
}

/** Whether weights fit a network: as many layers, of the right shapes, finite. @throws InputError or NonFiniteError */
export function checkWeights(net: Network, values: readonly LayerWeights[]): void {
  if (values.length !== net.layers.length)
    throw new InputError(
      `weights: there are ${values.length} layers, but the network has ${net.layers.length}. Hand in one entry a layer.`,
    );
  for (const { index, fanIn, units, hasBias } of net.layers) {
    const { weight, bias = null } = values[index];
    const name = `layer ${index + 1}`;
    if (hasBias !== (bias !== null))
      throw new InputError(
        `weights: ${name} ${bias ? "has" : "lacks"} a bias, but the network's biasScale says it ${hasBias ? "has one" : "has none"}. Make the two agree.`,
      );
    checkValues("weights", `${name} weights`, weight, fanIn * units);
    if (bias) checkValues("weights", `${name} biases`, bias, units);
  }
}

/**
 * Copies weights to the device, in the two layouts that the two ways need.
 *
 * @param values one entry a layer, as {@link weights} gives them
 * @throws InputError for wrong shapes, NonFiniteError for NaN or infinity, GpuError "limit" where a layer does not fit
 */
export function uploadWeights(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
): DeviceWeights {
  checkWeights(net, values);
  const made: Matrix[] = [];
  const keep = (matrix: Matrix): Matrix => {
    made.push(matrix);
    return matrix;
  };
  const destroy = () => made.forEach((matrix) => matrix.destroy());
  try {
    const layers = net.layers.map(({ index, fanIn, units }) => {
      const { weight, bias } = values[index];
      const name = `layer ${index + 1}`;
      return {
        transposed: keep(gpu.upload(`${name} weights`, fanIn, units, weight, true)),
        weight: index > 0 ? keep(gpu.upload(`${name} weights`, units, fanIn, weight)) : null,
        bias: keep(
          bias
            ? gpu.upload(`${name} biases`, 1, units, bias)
            : gpu.matrix(`${name} biases`, 1, units),
        ),
      };
    });
    return { layers, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}
