import { widthLaw } from "../theory.ts";
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
