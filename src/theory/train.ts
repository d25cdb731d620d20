import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions, described, ownValues, type Values } from "../gpu/values.ts";
import type { Network } from "../stages/0-network.ts";
import type { LayerWeights } from "../stages/0-weights.ts";
import { certify, lossBounds, type Certificate, type LossBound, type Run } from "./certificate.ts";
import { CURVATURE, type Loss } from "./loss.ts";
import type { TrainingOptions } from "./options.ts";
import { Tracker, type TrackedStep, type TrackingOptions } from "./tracking.ts";
import { copied, type TrainingState } from "./state.ts";
import { Training } from "./training.ts";

/** A learning rate, or how it follows from the largest eigenvalue of H_0. */
export type Rate = number | "auto" | { readonly perLambda: number };

/** How a network is trained and watched. */
export interface TrainOptions extends Omit<TrainingOptions, "rate">, TrackingOptions, Job {
  readonly steps: number;
  /** `auto`: ½ of the 2 / (curvature of the loss · λ_max) up to which descent is stable. `perLambda`: that / λ_max. */
  readonly rate: Rate;
  /** Looks at the kernel every so many steps, and at the first and last; 0: at these two alone. Default 0. */
  readonly track?: number;
  /** Called after each look, when all that it takes to go on can be read from `training`. */
  readonly onTracked?: (seen: TrackedStep, training: Training) => void | Promise<void>;
  /** Where to go on: a state, and what was tracked up to it. */
  readonly resume?: { readonly state: TrainingState; readonly tracked: readonly TrackedStep[] };
  /** λ_min(H_∞) from below, for the certificate; default that of H_0. */
  readonly limitMin?: number | null;
}

/**
 * What a learning rate makes of a network: below 2 / λ_max(H_0) the loss falls and the kernel hardly moves (`lazy`); up to
 * about 4 / λ_max it first grows, until the kernel has shrunk enough (`catapult`); beyond that it grows for ever, where
 * units are linear or smooth. Networks of ReLU stand more.
 */
export type Regime = "lazy" | "catapult" | "divergent";

/** The regime that η λ_max(H_0) lets expect, for the curvature of a loss. **From** Lewkowycz et al. 2020. */
export const expectedRegime = (rate: number, lambdaMax: number, loss: Loss = "mse"): Regime => {
  const share = rate * lambdaMax * CURVATURE[loss];
  return share <= 2 ? "lazy" : share <= 4 ? "catapult" : "divergent";
};

/** The regime that the losses of tracked steps show; a loss that is higher at the end than at the start diverges. */
export function seenRegime(tracked: readonly TrackedStep[]): Regime {
  const [first, last] = [tracked[0], tracked[tracked.length - 1]];
  if (!(last.loss <= first.loss)) return "divergent";
  return last.largestLoss > first.loss * (1 + 2 ** -16) ? "catapult" : "lazy";
}

/** A training run. */
export interface Trained {
  readonly rate: number;
  readonly state: TrainingState;
  /** The first, every `track`th, and the last, with the bound on its loss. */
  readonly tracked: readonly (TrackedStep & LossBound)[];
  /** Loss of each step's batch, before the step; from where this run began. */
  readonly losses: Float64Array;
  readonly gradientNorms: Float64Array;
  /** What the rate lets expect, and what the losses show. */
  readonly regime: { readonly expected: Regime; readonly seen: Regime };
  /** Null unless the loss is `mse` and every step takes all samples, without momentum. */
  readonly certificate: Certificate | null;
}

/** Steps that are taken in one call. */
const STRETCH = 4096;

const OPTIONS = [
  ...["steps", "rate", "loss", "momentum", "batch", "seed", "track", "precision", "limit"],
  ...["onTracked", "resume", "limitMin", "signal", "onProgress"],
];

/** The learning rate itself. @throws InputError for one that is none */
export function rateOf(rate: Rate, loss: Loss, lambdaMax: number): number {
  if (typeof rate === "number") return rate;
  const share = rate === "auto" ? 1 / CURVATURE[loss] : rate.perLambda;
  if (!(lambdaMax > 0))
    throw new InputError(
      `train: λ_max of the kernel is ${lambdaMax}, but must be above 0 for a rate that follows from it. Give the rate itself.`,
    );
  // The device knows no other rates.
  return Math.fround(share / lambdaMax);
}

/**
 * Trains a network by gradient descent on the device and watches its tangent kernel.
 *
 * ```ts
 * const inputs = Float32Array.of(1, 0, 0, 1, -1, 0); // three points of the plane
 * const targets = Float32Array.of(1, -1, 1);
 * const { tracked, certificate } = await train(gpu, net, weights(net, 0), inputs, targets, {
 *   steps: 200, rate: "auto", track: 20,
 * });
 * ```
 *
 * @param inputs f32 [n, net.inputs] row-major
 * @param targets f32 [n, net.outputs] row-major
 *
 * **Cost** as {@link Training.advance} and, for each look, {@link Tracker.look}.
 * @throws DivergenceError where a loss or gradient is not finite
 */
export async function train(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Values,
  targets: Values,
  options: TrainOptions,
): Promise<Trained> {
  checkOptions("train", options, OPTIONS);
  const { steps, track = 0, resume, signal, onProgress, onTracked, loss = "mse" } = options;
  for (const [name, value] of [
    ["steps", steps],
    ["track", track],
  ] as const)
    if (!(Number.isSafeInteger(value) && value >= 0))
      throw new InputError(
        `train: ${name} is ${described(value)}, but must be a whole number from 0. Correct it.`,
      );
  if (typeof options.limitMin === "number" && !options.limit)
    throw new InputError(
      "train: limitMin is given without limit, but is its least eigenvalue. Hand in both, or none.",
    );
  if (resume && !(resume.state.step <= steps && resume.tracked.length > 0))
    throw new InputError(
      `train: steps is ${steps}, and ${resume.tracked.length} steps were tracked, but the state is of step ${resume.state.step}. Ask for no fewer steps than were taken, with what was tracked.`,
    );
  // What a caller does to them later does not matter.
  const own = copied(values);
  const samples = ownValues("train", "inputs", inputs);
  const wanted = ownValues("train", "targets", targets);
  const given = ["momentum", "batch", "seed"] as const;
  const plain = Object.fromEntries(
    given.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]),
  );
  const job: Job = { signal };
  const looking = (step: number): Job => ({
    signal,
    onProgress: () => onProgress?.({ stage: "track", share: steps > 0 ? step / steps : 1 }),
  });
  const tracker = new Tracker(gpu, samples, wanted, options);
  /** At the start the rate may not be known yet: no step is taken with this one. */
  const open = (rate: number, state?: TrainingState) =>
    Training.open(gpu, net, own, samples, wanted, { ...plain, loss, rate }, state ?? null);
  const number = typeof options.rate === "number" ? options.rate : null;
  let first: TrackedStep;
  {
    using start = await open(number ?? 1);
    first = await tracker.look(start, looking(0));
  }
  const rate = number ?? rateOf(options.rate, loss, first.lambdaMax);
  using training = await open(rate, resume?.state);
  const tracked: TrackedStep[] = [];
  if (resume) {
    tracked.push(...resume.tracked);
    // What the next look is compared with.
    if (training.step > 0) await tracker.look(training, looking(training.step));
  } else {
    tracked.push(first);
    await onTracked?.(first, training);
  }
  const losses: number[] = [];
  const gradientNorms: number[] = [];
  let largest = tracked[tracked.length - 1].largestLoss;
  while (training.step < steps) {
    const next = track > 0 ? track * (Math.floor(training.step / track) + 1) : steps;
    while (training.step < Math.min(next, steps)) {
      const before = training.step;
      const count = Math.min(next, steps, before + STRETCH) - before;
      const done = await training.advance(count, {
        signal,
        onProgress: ({ stage, share }) =>
          onProgress?.({ stage, share: (before + share * count) / steps }),
      });
      for (const value of done.losses) {
        losses.push(value);
        largest = Math.max(largest, value);
      }
      for (const value of done.gradientNorms) gradientNorms.push(value);
    }
    const seen = await tracker.look(training, looking(training.step), largest);
    tracked.push(seen);
    await onTracked?.(seen, training);
  }
  const run: Run = {
    rate,
    loss,
    plain: training.options.momentum === 0 && training.options.batch === training.n,
  };
  const bounds = lossBounds(tracked, run);
  const widths = net.layers.slice(0, -1).map((layer) => layer.units);
  const size = { n: training.n, outputs: net.outputs, layers: net.layers.length };
  return {
    rate,
    state: await training.state(job),
    tracked: tracked.map((seen, k) => ({ ...seen, ...bounds[k] })),
    losses: Float64Array.from(losses),
    regime: {
      expected: expectedRegime(rate, first.lambdaMax, loss),
      seen: seenRegime(tracked),
    },
    gradientNorms: Float64Array.from(gradientNorms),
    certificate: certify(tracked, run, options.limitMin ?? null, {
      ...size,
      width: Math.min(...widths, Infinity),
    }),
  };
}
