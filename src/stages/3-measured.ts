import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import type { Values } from "../gpu/values.ts";
import { turned } from "./0-double.ts";
import type { Network } from "./0-network.ts";
import type { LayerWeights } from "./0-weights.ts";
import type { Activations } from "./1-forward.ts";
import type { Signals } from "./2-backward.ts";
import {
  drawnSamples,
  exactFeatures,
  gramOfFeatures,
  inputsOf,
  sampledError,
  type Features,
} from "./3-exact.ts";

/** What is known of a kernel's errors from samples recomputed in f64. */
export interface MeasuredErrors {
  /** ‖δJ‖: what f32 activations and signals are off by. */
  readonly jacobianError: number;
  /** ‖ΔH‖: how far the kernel is from that of these very activations and signals. */
  readonly matrixError: number;
  /** ‖ΔH‖: how far the kernel is from the exact one, in all. */
  readonly wholeError: number;
}

/** Columns of a matrix on the device that belong to some samples, in f64: one row each. */
async function rowsOf(
  gpu: Gpu,
  matrix: Matrix,
  samples: readonly number[],
  outputs: number,
  job?: Job,
): Promise<Float64Array> {
  const values = await gpu.read(matrix, job);
  const columns = samples.flatMap((sample) =>
    Array.from({ length: outputs }, (_, o) => sample * outputs + o),
  );
  const picked = new Float64Array(matrix.rows * columns.length);
  for (let k = 0; k < matrix.rows; k++)
    columns.forEach((column, at) => {
      picked[k * columns.length + at] = values[k * matrix.columns + column];
    });
  return turned(picked, columns.length);
}

/** What the device holds of some samples. */
async function storedFeatures(
  gpu: Gpu,
  net: Network,
  acts: Activations,
  signals: readonly Signals[],
  samples: readonly number[],
  job?: Job,
): Promise<Features> {
  const n = samples.length;
  const a: Float64Array[] = [];
  const g: Float64Array[] = [];
  for (const { index, units } of net.layers) {
    a.push(await rowsOf(gpu, acts.a[index], samples, 1, job));
    const rows = new Float64Array(n * net.outputs * units);
    let first = 0;
    for (const part of signals) {
      const some = await rowsOf(gpu, part.g[index], samples, part.outputs, job);
      for (let i = 0; i < n; i++)
        rows.set(
          some.subarray(i * part.outputs * units, (i + 1) * part.outputs * units),
          (i * net.outputs + first) * units,
        );
      first += part.outputs;
    }
    g.push(rows);
  }
  return { n, a, g };
}

const squared = (left: Float64Array, right: Float64Array | null, row: number, width: number) => {
  let sum = 0;
  for (let k = row * width; k < (row + 1) * width; k++)
    sum += (left[k] - (right ? right[k] : 0)) ** 2;
  return sum;
};

/**
 * How far a computed kernel is from the exact one of its f32 weights and inputs, in the two parts that act differently
 * on eigenvalues, from up to 32 samples recomputed in f64:
 *
 *   ‖δJ‖² ≤ 9 · mean(‖δJ_i‖² / ‖J_i‖²) · tr H        ‖ΔH‖_F ≤ 3 · rms(ΔH_ij / √(H_ii H_jj)) · tr H
 *
 * @param signals one entry a part of the mean over outputs
 * @param gram the kernel on the host, in f64
 * @returns measured whole for n ≤ 32; else as far as errors are distributed over samples as over those drawn
 *
 * **Cost** 32 · (2 + 2 · outputs) · parameters flops on the CPU; activations and signals read back.
 */
export async function measuredErrors(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  acts: Activations,
  signals: readonly Signals[],
  gram: Float64Array,
  trace: boolean,
  job?: Job,
): Promise<MeasuredErrors> {
  const { n } = acts;
  const samples = drawnSamples(n);
  const own = inputsOf(inputs, net.inputs, samples);
  const exact = await exactFeatures(gpu, net, weights, own, job);
  const stored = await storedFeatures(gpu, net, acts, signals, samples, job);
  const rows = samples.length * net.outputs;
  let absolute = 0;
  let relative = 0;
  for (let row = 0; row < rows; row++) {
    const i = Math.floor(row / net.outputs);
    let size = 0;
    let off = 0;
    for (const { index, fanIn, units, scale, shift } of net.layers) {
      const [a, g] = [stored.a[index], stored.g[index]];
      const aSize = squared(a, null, i, fanIn);
      const gSize = squared(g, null, row, units);
      const aOff = Math.sqrt(squared(a, exact.a[index], i, fanIn));
      const gOff = Math.sqrt(squared(g, exact.g[index], row, units));
      const part = gOff * (Math.sqrt(aSize) + aOff) + Math.sqrt(gSize) * aOff;
      off += scale * scale * part * part + shift * shift * gOff * gOff;
      size += (scale * scale * aSize + shift * shift) * gSize;
    }
    absolute += off;
    if (size > 0) relative += off / size;
  }
  const each = trace ? 1 : net.outputs;
  const { gram: right } = await gramOfFeatures(gpu, net, stored, trace, job);
  const { gram: whole } = await gramOfFeatures(gpu, net, exact, trace, job);
  const order = n * each;
  let sum = 0;
  for (let i = 0; i < order; i++) sum += gram[i * order + i];
  const squares =
    samples.length === n ? absolute / (trace ? net.outputs : 1) : ((9 * relative) / rows) * sum;
  return {
    jacobianError: Math.sqrt(squares),
    matrixError: sampledError(gram, n, each, right, samples),
    wholeError: sampledError(gram, n, each, whole, samples),
  };
}
