import { setImmediate } from "node:timers/promises";
import { writeAtomic, writeNpy } from "../node.ts";
import { limitOnHost } from "../theory/limit.ts";
import { oneOf, Session, type ModelOptions } from "./session.ts";

/** Options of `ntk limit`. */
export interface LimitCommandOptions extends Omit<ModelOptions, "weights" | "seed" | "adapter"> {
  readonly inputs2?: string;
  readonly kernel?: string;
}

/** `ntk limit`: the kernel of infinite width [n1, n2], between an output and itself. It needs no device. */
export async function limitCommand(
  options: LimitCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const kernel = oneOf("kernel", options.kernel ?? "ntk", ["ntk", "nngp"]);
    await session.writable(options.out);
    const { net, inputs, others } = await session.problem(options, options.inputs2);
    session.enter("limit");
    session.watch();
    const { outputs } = net;
    const shape = [inputs.n, (others ?? inputs).n];
    const given = { ...session.job, kernel };
    const values = others?.values ?? null;
    const k = await limitOnHost(setImmediate, net, inputs.values, values, given);
    session.enter("write");
    if (options.out) await writeAtomic(options.out, [writeNpy(shape, k)]);
    const record = { n: inputs.n, ...(others ? { n2: others.n } : {}), outputs, kernel, shape };
    session.finish(record, () => [
      `${kernel === "ntk" ? "Θ" : "Σ"} [${shape.join(", ")}]${options.out ? ` → ${options.out}` : ""}`,
      ...(outputs > 1
        ? [`of each of the ${outputs} outputs with itself; between two of them it is 0`]
        : []),
    ]);
  } finally {
    session.close();
  }
}
