import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions, described, type Values } from "../gpu/values.ts";
import { network, type Network, type NetworkSpec } from "../stages/0-network.ts";
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
  const nets = widths.map((width) => network({ ...spec, widths: hiddenOf(spec, hidden, width) }));
  const series = await compared(gpu, nets, inputs, targets, { seeds, steps, rate }, options);
  return { widths, series, slopes: series.map((each) => slopeOf(widths, each)) };
}

/** How kernels and weights depend on depth, at one width. */
export interface DepthLaw {
  /** Hidden layers. */
  readonly depths: readonly number[];
  readonly width: number;
  readonly series: readonly Series[];
  /** Standard deviation over seeds of tr H_0, over its mean, at each depth: what infinite width takes for 0. */
  readonly deviations: readonly number[];
}

/**
 * How the theory fails as networks of one width are made deeper: kernels that vary with the seed, that are far from the
 * limit, and that move.
 *
 * ```ts
 * const inputs = normals(0, 8 * net.inputs);
 * const targets = Float32Array.from({ length: 8 }, (_, i) => (i % 2 ? 1 : -1));
 * const how = { depths: [1, 2, 4], width: 32, seeds: 3, steps: 20 };
 * const { deviations } = await depthLaw(gpu, net.spec, inputs, targets, how);
 * ```
 *
 * @param spec whose hidden layers are replaced; one activation for all
 *
 * **Cost** depths · seeds runs of {@link train}. **From** Hanin & Nica 2020, by whom fluctuations grow with depth / width.
 * @throws InputError for wrong options, or where there is no limit (`fan` is out)
 */
export async function depthLaw(
  gpu: Gpu,
  spec: NetworkSpec,
  inputs: Values,
  targets: Values,
  options: Omit<WidthOptions, "from" | "to"> & {
    readonly depths: readonly number[];
    readonly width: number;
  },
): Promise<DepthLaw> {
  checkOptions("depthLaw", options, ["depths", "width", ...OPTIONS.slice(2)]);
  const { depths, width, seeds = 5, steps = 400, rate = { perLambda: 0.5 } } = options;
  for (const depth of [...depths, width, seeds - 1])
    if (!(Number.isSafeInteger(depth) && depth >= 1) || depths.length === 0)
      throw new InputError(
        `depthLaw: depths are ${depths.join(", ")}, width ${width} and seeds ${seeds}, but must be whole numbers from 1, seeds from 2. Correct them.`,
      );
  const [activation] = [spec.activation].flat();
  const nets = depths.map((depth) =>
    network({ ...spec, activation, widths: hiddenOf(spec, depth, width) }),
  );
  const series = await compared(gpu, nets, inputs, targets, { seeds, steps, rate }, options);
  const traces = series[0].values;
  const deviations = traces.map((each) => {
    const mean = each.reduce((sum, value) => sum + value, 0) / each.length;
    const squares = each.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return Math.sqrt(squares / (each.length - 1)) / mean;
  });
  // Layers beyond the least depth are not there in all.
  return { depths, width, series: series.slice(0, 3), deviations };
}

const hiddenOf = ({ widths }: NetworkSpec, depth: number, width: number): number[] => [
  ...[widths[0], ...Array<number>(depth).fill(width), widths[widths.length - 1]],
];

/** Every network with every seed: at its start, and after training. */
async function compared(
  gpu: Gpu,
  nets: readonly Network[],
  inputs: Values,
  targets: Values,
  { seeds, steps, rate }: { readonly seeds: number; readonly steps: number; readonly rate: Rate },
  { signal, onProgress }: Job,
): Promise<Series[]> {
  const names = [
    ...["tr H_0", "‖H_0 − H_∞‖ / ‖H_0‖", "‖H_t − H_0‖ / ‖H_0‖"],
    ...nets[0].layers.map(({ index }) => `‖ΔW_${index + 1}‖ / ‖W_${index + 1}‖`),
  ];
  const series = names.map((name) => ({ name, values: nets.map((): number[] => []) }));
  const total = seeds * nets.reduce((sum, net) => sum + net.parameters, 0);
  let done = 0;
  for (const [place, net] of nets.entries()) {
    const kernel = await limit(gpu, net, inputs, null, { signal });
    const infinite = ofOutputs(kernel, inputs.length / net.inputs, net.outputs);
    for (let seed = 0; seed < seeds; seed++) {
      const before = done;
      const run = await train(gpu, net, weights(net, seed), inputs, targets, {
        ...{ steps, rate, limit: infinite, signal },
        onProgress: ({ share }) =>
          onProgress?.({ stage: "widths", share: (before + share * net.parameters) / total }),
      });
      done += net.parameters;
      const [start, end] = [run.tracked[0], run.tracked[run.tracked.length - 1]];
      [
        start.trace,
        (start.limitDrift ?? NaN) / start.lambdaMax,
        end.gramDrift / start.lambdaMax,
        ...end.layers.map((layer) => layer.relative),
      ].forEach((value, k) => series[k]?.values[place].push(value));
    }
  }
  return series;
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
