import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import type { Layer, Network } from "../stages/0-network.ts";
import type { DeviceWeights } from "../stages/0-weights.ts";
import type { Activations } from "../stages/1-forward.ts";
import { jacobianTimes, jacobianTransposed, type Tangent } from "../stages/2-tangent.ts";
import type { LinearMap } from "./bidiagonal.ts";

/** Whether a layer's biases change anything. */
export const isShifted = ({ hasBias, shift }: Layer): boolean => hasBias && shift !== 0;

/** Parameters that change anything, as directions hold them: of each layer Wᵀ [fan, units], then b. */
export const directionLength = (net: Network): number =>
  net.layers.reduce(
    (sum, layer) => sum + (layer.fanIn + (isShifted(layer) ? 1 : 0)) * layer.units,
    0,
  );

/** J of a network on the device, [n · O, parameters], for vectors on the host. */
export function jacobianMap(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  job: Job,
): LinearMap {
  const columns = directionLength(net);
  return {
    rows: acts.n * net.outputs,
    columns,
    async transposed(vector) {
      using direction = await jacobianTransposed(gpu, net, weights, acts, vector, job);
      const out = new Float32Array(columns);
      let at = 0;
      for (const layer of net.layers) {
        const { weight, bias } = direction.layers[layer.index];
        for (const part of isShifted(layer) ? [weight, bias] : [weight]) {
          const values = await gpu.read(part, job);
          out.set(values, at);
          at += values.length;
        }
      }
      return out;
    },
    async times(vector) {
      using direction = uploadDirection(gpu, net, vector);
      return await jacobianTimes(gpu, net, weights, acts, direction, job);
    },
  };
}

function uploadDirection(gpu: Gpu, net: Network, vector: Float32Array<ArrayBuffer>): Tangent {
  const made: Matrix[] = [];
  const destroy = () => made.forEach((matrix) => matrix.destroy());
  let at = 0;
  const next = (name: string, rows: number, columns: number, given: boolean): Matrix => {
    const values = given
      ? vector.subarray(at, at + rows * columns)
      : new Float32Array(rows * columns);
    if (given) at += rows * columns;
    const matrix = gpu.upload(name, rows, columns, values);
    made.push(matrix);
    return matrix;
  };
  try {
    const layers = net.layers.map((layer) => ({
      weight: next(`direction of W ${layer.index + 1}`, layer.fanIn, layer.units, true),
      bias: next(`direction of b ${layer.index + 1}`, 1, layer.units, isShifted(layer)),
    }));
    return { layers, destroy, [dispose]: destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}
