import {
  decideKinks,
  forward,
  InputError,
  planGram,
  tangentKernel,
  uploadWeights,
} from "../index.ts";
import {
  kernelTimes,
  operatorDensity,
  spectralDensity,
  type Density,
  type DensityOptions,
} from "../theory.ts";
import { roundToF32 } from "../formats/table.ts";
import { writeAtomic, writeNpy } from "../node.ts";
import { gramChoice, isStored } from "./gram.ts";
import { figures, withBound } from "./pictures/numbers.ts";
import { oneOf, Session, whole } from "./session.ts";
import { aligned, matrixOfFile, type SpectrumCommandOptions } from "./spectrum.ts";

/** Options of `ntk density`. */
export interface DensityCommandOptions extends SpectrumCommandOptions {
  readonly probes?: string;
  readonly steps?: string;
  readonly points?: string;
  readonly axis?: string;
}

/** `ntk density`: the spectral density of H by stochastic Lanczos quadrature. */
export async function densityCommand(
  options: DensityCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const choice = gramChoice(options);
    const number = (key: "probes" | "steps" | "points", least: number) =>
      options[key] === undefined ? {} : { [key]: whole(key, options[key], least, 2 ** 20) };
    const how: DensityOptions = {
      ...session.job,
      ...{ ...number("probes", 2), ...number("steps", 1), ...number("points", 2) },
      axis: oneOf("axis", options.axis ?? "auto", ["auto", "linear", "log"] as const),
    };
    await session.writable(options.out);
    let found: Density;
    let about: Record<string, unknown>;
    if (options.gram !== undefined) {
      const { values, n } = await matrixOfFile(options.gram, options);
      checkSteps(how.steps, n);
      const gpu = await session.gpu();
      using h = gpu.upload("gram", n, n, roundToF32(values, options.gram, "H"));
      found = await spectralDensity(gpu, h, how);
      about = { n };
    } else {
      const { net, weights, inputs } = await session.model(options);
      const order = inputs.n * (choice.outputs === "full" ? net.outputs : 1);
      checkSteps(how.steps, order);
      const gpu = await session.gpu();
      if (isStored(gpu, order, choice)) {
        const plan = planGram(gpu, net, inputs.n, 0, choice);
        const given = { ...session.job, ...choice, method: plan.method };
        using h = await tangentKernel(gpu, net, weights, inputs.values, null, given);
        found = await spectralDensity(gpu, h, how);
        about = { method: plan.method };
      } else {
        using onDevice = uploadWeights(gpu, net, weights);
        using acts = await forward(gpu, net, onDevice, inputs.values, session.job);
        await decideKinks(gpu, net, weights, inputs.values, acts, session.job);
        const times = (v: Float32Array) => kernelTimes(gpu, net, onDevice, acts, v, { signal });
        found = await operatorDensity(times, order, how);
        about = { method: "products" };
      }
      about = { n: inputs.n, outputs: net.outputs, parameters: net.parameters, ...about };
    }
    session.enter("write");
    if (options.out) {
      const rows = [found.grid, found.density, found.densityErrors];
      const columns = Float64Array.from(
        { length: 3 * found.grid.length },
        (_, at) => rows[at % 3][Math.floor(at / 3)],
      );
      await writeAtomic(options.out, [writeNpy([found.grid.length, 3], columns)]);
    }
    session.finish({ ...about, ...found }, () => [
      ...aligned(
        Array.from(found.moments, (moment, k): [string, string] => [
          `mean of λ${["", "²", "³", "⁴"][k]}`,
          withBound(moment, found.momentErrors[k]),
        ]),
      ),
      ...aligned([
        ["smoothing", `${figures(found.width)} ${found.axis === "log" ? "of ln λ" : "of λ"}`],
        ["probes, steps", `${found.probes}, ${found.steps}`],
      ]),
      ...(options.out ? [`λ, density, standard error → ${options.out}`] : []),
    ]);
  } finally {
    session.close();
  }
}

/** @throws InputError where there are more steps than rows */
function checkSteps(steps: number | undefined, n: number): void {
  if (steps !== undefined && steps > n)
    throw new InputError(`--steps is ${steps}, but H is ${n} × ${n}. Ask for 1 to ${n} steps.`);
}
