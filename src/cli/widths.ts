import { InputError } from "../index.ts";
import { depthLaw, widthLaw } from "../theory.ts";
import { targetsOf } from "./heldOut.ts";
import { figures } from "./pictures/numbers.ts";
import { Session, whole, type ModelOptions } from "./session.ts";
import { rateOption } from "./train.ts";

/** Options of `ntk widths`. */
export interface WidthsCommandOptions extends Omit<ModelOptions, "weights" | "seed"> {
  readonly targets?: string;
  readonly from?: string;
  readonly to?: string;
  readonly seeds?: string;
  readonly steps?: string;
  readonly rate?: string;
  readonly depths?: string;
  readonly width?: string;
}

/** `ntk widths`: how kernels and weights depend on the width of hidden layers. */
export async function widthsCommand(
  options: WidthsCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const number = (key: "from" | "to" | "seeds" | "steps", least: number) =>
      options[key] === undefined ? {} : { [key]: whole(key, options[key], least, 2 ** 20) };
    const how = {
      ...{ ...number("from", 1), ...number("to", 2), ...number("seeds", 2), ...number("steps", 1) },
      ...(options.rate === undefined ? {} : { rate: rateOption(options.rate) }),
    };
    const { spec, net, inputs } = await session.problem(options);
    const targets = await targetsOf("targets", options.targets, inputs, net);
    const gpu = await session.gpu();
    if (options.depths !== undefined) {
      if (options.from !== undefined || options.to !== undefined)
        throw new InputError(
          "--depths is given with --from or --to, but compares depths at one width. Leave one out.",
        );
      const depths = options.depths.split(",").map((depth) => whole("depths", depth, 1, 1024));
      const width = whole("width", options.width ?? "64", 1, 2 ** 20);
      const law = { ...session.job, ...how, depths, width };
      const deep = await depthLaw(gpu, spec, inputs.values, targets, law);
      const mean = (each: readonly number[]) => each.reduce((sum, x) => sum + x, 0) / each.length;
      session.finish({ n: inputs.n, outputs: net.outputs, ...deep }, () =>
        depths.map(
          (depth, k) =>
            `${depth} hidden layers, depth/width ${figures(depth / width)}: deviation of tr H_0 ${figures(deep.deviations[k])}, ` +
            deep.series
              .slice(1)
              .map(({ name, values }) => `${name} ${figures(mean(values[k]))}`)
              .join(", "),
        ),
      );
      return;
    }
    const found = await widthLaw(gpu, spec, inputs.values, targets, { ...session.job, ...how });
    session.finish({ n: inputs.n, outputs: net.outputs, ...found }, () =>
      found.slopes.map(
        ({ name, slope, halfWidth }) =>
          `${name}  ∝ m^(${figures(slope)} ± ${figures(halfWidth, 2)})`,
      ),
    );
  } finally {
    session.close();
  }
}
