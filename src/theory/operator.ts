import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { ownValues, type Values } from "../gpu/values.ts";
import type { Network } from "../stages/0-network.ts";
import { normals64 } from "../stages/0-normal.ts";
import { uploadWeights, type DeviceWeights, type LayerWeights } from "../stages/0-weights.ts";
import { forward, type Activations } from "../stages/1-forward.ts";
import { decideKinks, type Kinks } from "../stages/1-kinks.ts";
import { backward } from "../stages/2-backward.ts";
import { kernelTimes } from "../stages/2-tangent.ts";
import { drawnSamples, exactKernel, inputsOf } from "../stages/3-exact.ts";
import { hostLanczos, inner } from "../stages/4-krylov.ts";
import { tridiagonalEigen, type Tridiagonal } from "../stages/4-tridiagonal.ts";
import {
  CONFIDENCE,
  endsOf,
  placesOf,
  type EigenvalueChoice,
  type Spectrum,
} from "../stages/5-spectrum.ts";

/** Steps at the most: each keeps one vector of f64 on the host. */
const STEPS = 300;
/** A Ritz value has converged when its residual is at most this times the largest. */
const TOLERANCE = 2 ** -22;
/** Random vectors that ‖H‖_F and the products' errors are estimated with. */
const PROBES = 4;

/**
 * Eigenvalues at the ends of a tangent kernel that is never stored: by products with J and Jᵀ alone, so that n · O may
 * be beyond what a device can bind.
 *
 * ```ts
 * const inputs = normals(1, 300 * net.inputs);
 * const { spectrum } = await kernelSpectrum(gpu, net, weights(net, 0), inputs, { top: 3 });
 * ```
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @returns top values converge in tens of steps, bottom ones only where they are set apart; of a λ_min that has not
 * converged no more is known than 0 ≤ λ_min ≤ its Ritz value. `effectiveRank` is an estimate by 4 random vectors
 *
 * **Error** the iteration's residual, and ‖ΔH‖ as the products of vectors on 32 samples show it against f64.
 * **Cost** 8 · n · parameters flops a step, at most 300 steps; 8 · n · O bytes a step on the host.
 * @throws InputError for eigenvectors or all eigenvalues asked for
 */
export async function kernelSpectrum(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  options: EigenvalueChoice = {},
): Promise<{ spectrum: Spectrum; kinks: Kinks }> {
  const samples = ownValues("kernelSpectrum", "inputs", inputs);
  const job: Job = { signal: options.signal, onProgress: options.onProgress };
  using onDevice = uploadWeights(gpu, net, weights);
  using acts = await forward(gpu, net, onDevice, samples, job);
  const kinks = await decideKinks(gpu, net, weights, samples, acts, job);
  const order = acts.n * net.outputs;
  if (options.all || options.vectors)
    throw new InputError(
      `kernelSpectrum: ${options.all ? "all eigenvalues" : "eigenvectors"} were asked for, but H with ${order} rows is not stored. Ask for some at the ends, or take fewer samples.`,
    );
  const ends = endsOf({ ...options, all: false }, order);
  const { signal } = options;
  const times = async (v: Float64Array): Promise<Float64Array> =>
    Float64Array.from(
      await kernelTimes(gpu, net, onDevice, acts, Float32Array.from(v), { signal }),
    );
  const trace = await traceOf(gpu, net, onDevice, acts, job);
  const share = await productError(gpu, net, weights, samples, order, times, job);
  const matrixError = kinks.undecided > 0 ? Infinity : 3 * share * trace;

  const most = Math.min(order, STEPS);
  let step = 0;
  const follow = (v: Float64Array): Promise<Float64Array> => {
    options.onProgress?.({ stage: "lanczos", share: step++ / most });
    return times(v);
  };
  const wanted = ({ diagonal }: Tridiagonal) =>
    placesOf(diagonal.length, Math.max(ends.top, 1), ends.bottom);
  const look = (tridiagonal: Tridiagonal, rest: number) => {
    const { values, last } = tridiagonalEigen(tridiagonal);
    const residuals = last.map((component) => Math.abs(rest * component));
    const size = Math.max(Math.abs(values[0]), Math.abs(values[values.length - 1]));
    const places = wanted(tridiagonal);
    const enough = places.length >= Math.max(ends.top, 1) + ends.bottom;
    const converged = enough && places.every((place) => residuals[place] <= TOLERANCE * size);
    return { values, residuals, converged };
  };
  const start = normals64(0, order);
  const { tridiagonal, rest } = await hostLanczos(
    follow,
    start,
    most,
    (soFar, left) => look(soFar, left).converged,
  );
  const { values, residuals, converged } = look(tridiagonal, rest);
  const steps = values.length;
  const last = steps - 1;
  const done = (place: number) => residuals[place] <= TOLERANCE * values[0];
  // Nothing but 0 is below a lower Ritz value that has not converged.
  const boundAt = (place: number) =>
    done(place) || place < steps / 2
      ? residuals[place] + matrixError
      : Math.abs(values[place]) + residuals[place] + matrixError;
  const places = placesOf(steps, ends.top, ends.bottom);
  const pick = (of: (place: number) => number) => Float64Array.from(places, of);
  let squares = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const z = normals64(1 + probe, order);
    const image = await times(z);
    squares += inner(image, image) / PROBES;
  }
  return {
    kinks,
    spectrum: {
      eigenvalues: pick((place) => values[place]),
      errorBounds: pick(boundAt),
      lambdaMax: values[0],
      lambdaMin: values[last],
      lambdaMinBound: boundAt(last),
      condition: values[last] > boundAt(last) ? values[0] / values[last] : null,
      effectiveRank: squares > 0 ? trace ** 2 / squares : 0,
      trace,
      precision: "fast",
      boundKind: "probabilistic",
      confidence: CONFIDENCE,
      errorTerms: {
        iteration: pick((place) => boundAt(place) - matrixError),
        products: pick(() => matrixError),
      },
      steps,
      converged,
      vectors: null,
    },
  };
}

/** tr H = Σ_l Σ_i,o (c² ‖a_i‖² + β²) ‖g_io‖², from what the device holds. */
export async function traceOf(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  job: Job,
): Promise<number> {
  using signals = await backward(gpu, net, weights, acts, job);
  let trace = 0;
  for (const { index, scale, shift } of net.layers) {
    const [a, g] = [acts.a[index], signals.g[index]];
    const seen = columnSquares(await gpu.read(a, job), a.columns);
    const back = columnSquares(await gpu.read(g, job), g.columns);
    back.forEach((size, column) => {
      const sample = Math.floor(column / net.outputs);
      trace += (scale * scale * seen[sample] + shift * shift) * size;
    });
  }
  return trace;
}

function columnSquares(values: Float32Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let at = 0; at < values.length; at++) sums[at % columns] += values[at] ** 2;
  return sums;
}

/**
 * rms of (ΔH v)_i / √(H_ii Σ v_j² H_jj) over the rows i of drawn samples, for random v that are 0 elsewhere: what the
 * entries of H seem to be off by, relatively to √(H_ii H_jj).
 */
export async function productError(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Values,
  order: number,
  times: (v: Float64Array) => Promise<Float64Array>,
  job: Job,
): Promise<number> {
  const samples = drawnSamples(inputs.length / net.inputs);
  const own = inputsOf(inputs, net.inputs, samples);
  const { gram, order: size } = await exactKernel(gpu, net, weights, own, false, job);
  const at = (row: number) =>
    samples[Math.floor(row / net.outputs)] * net.outputs + (row % net.outputs);
  let sum = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const small = normals64(100 + probe, size).map(Math.fround);
    const v = new Float64Array(order);
    small.forEach((value, row) => (v[at(row)] = value));
    const found = await times(v);
    let weight = 0;
    small.forEach((value, row) => (weight += value * value * gram[row * size + row]));
    for (let i = 0; i < size; i++) {
      const exact = inner(gram.subarray(i * size, (i + 1) * size), small);
      const scale = gram[i * size + i] * weight;
      if (scale > 0) sum += (found[at(i)] - exact) ** 2 / scale;
    }
  }
  return Math.sqrt(sum / (PROBES * size));
}
