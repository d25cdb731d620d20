import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions, described, type Values } from "../gpu/values.ts";
import { network, type NetworkSpec } from "../stages/0-network.ts";
import { weights } from "../stages/0-weights.ts";
import { ofOutputs } from "./kernelMeasures.ts";
import { limit } from "./limit.ts";
import { train, type Rate } from "./train.ts";

/** Which widths are compared, and how each network is trained. */
export interface WidthOptions extends Job {
  /** The least width; default 64. */
  readonly from?: number;
  /** The largest; widths are doubled from the least on. Default 1024. */
  readonly to?: number;
  /** Networks of each width, of the seeds from 0 on; default 5, at least 2. */
  readonly seeds?: number;
  /** Steps of descent; default 400. */
  readonly steps?: number;
  /** Default ½ / λ_max. */
  readonly rate?: Rate;
}

/** One quantity at every width, of every seed. */
export interface Series {
  readonly name: string;
  /** [widths][seeds] */
  readonly values: readonly (readonly number[])[];
}

/** A power law: value ∝ width^slope. */
export interface Slope {
  readonly name: string;
  /** Mean over seeds of each one's least-squares line through logarithms. */
  readonly slope: number;
  /** Half width of its 95 % confidence interval, from how seeds differ (Student's t). */
  readonly halfWidth: number;
}

/** How kernels and weights depend on width. */
export interface WidthLaw {
  readonly widths: readonly number[];
  readonly series: readonly Series[];
  readonly slopes: readonly Slope[];
}

const OPTIONS = ["from", "to", "seeds", "steps", "rate", "signal", "onProgress"];

/**
 * How fast networks come near the kernel of infinite width, and stop moving, as they are made wider: each hidden layer
 * gets the same width.
 *
 *   ‖H_0 − H_∞‖ / ‖H_0‖      ‖H_t − H_0‖ / ‖H_0‖      ‖W_t − W_0‖_F / ‖W_0‖_F of each layer
 *
 * ```ts
 * const inputs = normals(0, 8 * net.inputs);
 * const targets = Float32Array.from({ length: 8 }, (_, i) => (i % 2 ? 1 : -1));
 * const { slopes } = await widthLaw(gpu, net.spec, inputs, targets, { to: 256, seeds: 3, steps: 50 });
 * ```
 *
 * @param spec whose hidden widths are replaced, at least one of them
 * @param inputs f32 [n, inputs] row-major
 * @param targets f32 [n, outputs] row-major
 *
 * **Error** slopes: statistical, as their half widths say. **Cost** widths · seeds runs of {@link train}.
 * @throws InputError for wrong options, no hidden layer, or where there is no limit (`fan` is out)
 */
export async function widthLaw(
  gpu: Gpu,
  spec: NetworkSpec,
  inputs: Values,
  targets: Values,
  options: WidthOptions = {},
): Promise<WidthLaw> {
  checkOptions("widthLaw", options, OPTIONS);
  const { from = 64, to = 1024, seeds = 5, steps = 400, rate = { perLambda: 0.5 } } = options;
  const { signal, onProgress } = options;
  for (const [name, value, least] of [
    ["from", from, 1],
    ["to", to, 2 * from],
    ["seeds", seeds, 2],
    ["steps", steps, 1],
  ] as const)
    if (!(Number.isSafeInteger(value) && value >= least))
      throw new InputError(
        `widthLaw: ${name} is ${described(value)}, but must be a whole number from ${least}. Correct it.`,
      );
  const hidden = spec.widths.length - 2;
  if (hidden < 1)
    throw new InputError(
      "widthLaw: the network has no hidden layer, but needs one to be made wider. Add one to widths.",
    );
  const widths: number[] = [];
  for (let width = from; width <= to; width *= 2) widths.push(width);
  const names = [
    ...["‖H_0 − H_∞‖ / ‖H_0‖", "‖H_t − H_0‖ / ‖H_0‖"],
    ...Array.from({ length: hidden + 1 }, (_, l) => `‖ΔW_${l + 1}‖ / ‖W_${l + 1}‖`),
  ];
  const series = names.map((name): { name: string; values: number[][] } => ({
    name,
    values: widths.map(() => []),
  }));
  // A run's cost grows with the square of the width.
  const total = seeds * widths.reduce((sum, width) => sum + width ** 2, 0);
  let done = 0;
  for (const [place, width] of widths.entries()) {
    const [first, last] = [spec.widths[0], spec.widths[hidden + 1]];
    const net = network({ ...spec, widths: [first, ...Array(hidden).fill(width), last] });
    const n = inputs.length / first;
    const infinite = ofOutputs(await limit(gpu, net, inputs, null, { signal }), n, last);
    for (let seed = 0; seed < seeds; seed++) {
      const run = await train(gpu, net, weights(net, seed), inputs, targets, {
        ...{ steps, rate, limit: infinite, signal },
        onProgress: ({ share }) =>
          onProgress?.({ stage: "widths", share: (done + share * width ** 2) / total }),
      });
      done += width ** 2;
      const [start, end] = [run.tracked[0], run.tracked[run.tracked.length - 1]];
      const values = [
        (start.limitDrift ?? NaN) / start.lambdaMax,
        end.gramDrift / start.lambdaMax,
        ...end.layers.map((layer) => layer.relative),
      ];
      values.forEach((value, k) => series[k].values[place].push(value));
    }
  }
  return { widths, series, slopes: series.map((each) => slopeOf(widths, each)) };
}

/** Two-sided 95 % quantiles of Student's t, by degrees of freedom from 1 on. */
const STUDENT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/** The power law of a series, from a line through each seed's values by itself. */
export function slopeOf(widths: readonly number[], { name, values }: Series): Slope {
  const x = widths.map(Math.log2);
  const middle = x.reduce((sum, value) => sum + value, 0) / x.length;
  const spread = x.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  const each = values[0].map((_, seed) =>
    x.reduce((sum, value, w) => sum + ((value - middle) * Math.log2(values[w][seed])) / spread, 0),
  );
  const slope = each.reduce((sum, value) => sum + value, 0) / each.length;
  const variance = each.reduce((sum, value) => sum + (value - slope) ** 2, 0) / (each.length - 1);
  const t = STUDENT[Math.min(each.length - 1, STUDENT.length) - 1];
  return { name, slope, halfWidth: t * Math.sqrt(variance / each.length) };
}
