import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { ownValues, type Values } from "../gpu/values.ts";
import type { Network } from "../stages/0-network.ts";
import { uploadWeights, type LayerWeights } from "../stages/0-weights.ts";
import { forward } from "../stages/1-forward.ts";
import { decideKinks } from "../stages/1-kinks.ts";
import { kernelTimes } from "../stages/2-tangent.ts";
import { minus, normOf, type Measured } from "./kernelMeasures.ts";
import { productError, traceOf } from "./operator.ts";

/**
 * ‖H_1 − H_2‖₂ of the tangent kernels that a network has with two sets of weights, as ‖H_t − H_0‖ along training, without
 * storing either: by products with J and Jᵀ alone.
 *
 * ```ts
 * const inputs = normals(1, 100 * net.inputs);
 * const { value, bound } = await kernelDifference(gpu, net, weights(net, 0), weights(net, 1), inputs);
 * ```
 *
 * @param inputs f32 [n, net.inputs] row-major
 *
 * **Error** the iteration's residual, and ‖ΔH‖ of both as their products of vectors on 32 samples show it against f64: not
 * less than about 1e-7 · tr H, so that kernels nearer than that are not told apart. **Cost** 16 · n · parameters flops a
 * step, at most 64 steps.
 */
export async function kernelDifference(
  gpu: Gpu,
  net: Network,
  one: readonly LayerWeights[],
  two: readonly LayerWeights[],
  inputs: Values,
  job: Job = {},
): Promise<Measured> {
  const samples = ownValues("kernelDifference", "inputs", inputs);
  using first = uploadWeights(gpu, net, one);
  using second = uploadWeights(gpu, net, two);
  using firstActs = await forward(gpu, net, first, samples, job);
  using secondActs = await forward(gpu, net, second, samples, job);
  const order = firstActs.n * net.outputs;
  const sides = [
    { values: one, weights: first, acts: firstActs },
    { values: two, weights: second, acts: secondActs },
  ];
  let error = 0;
  const products: ((v: Float64Array) => Promise<Float64Array>)[] = [];
  for (const { values, weights, acts } of sides) {
    const { undecided } = await decideKinks(gpu, net, values, samples, acts, job);
    const times = async (v: Float64Array): Promise<Float64Array> =>
      Float64Array.from(
        await kernelTimes(gpu, net, weights, acts, Float32Array.from(v), { signal: job.signal }),
      );
    products.push(times);
    const share = await productError(gpu, net, values, samples, order, times, job);
    error += undecided > 0 ? Infinity : 3 * share * (await traceOf(gpu, net, weights, acts, job));
  }
  const { value, bound } = await normOf(
    async (v) => minus(await products[0](v), await products[1](v)),
    order,
  );
  return { value, bound: bound + error };
}
