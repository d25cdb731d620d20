import { InputError, type Gpu } from "../index.ts";
import { writeAtomic, writeNpy } from "../node.ts";
import { accuracy, ensemble, limit, ofOutputs, predict, type Moment } from "../theory.ts";
import { linearBlocks, targetsOf, testSet, type HeldOutOptions } from "./heldOut.ts";
import { figures } from "./pictures/numbers.ts";
import { oneOf, required, Session, whole, type Model } from "./session.ts";

/** Options of `ntk predict`. */
export interface PredictCommandOptions extends HeldOutOptions {
  readonly train?: string;
  readonly targets?: string;
  readonly time?: string;
  readonly rate?: string;
  readonly steps?: string;
  readonly kernel?: string;
}

/** When the prediction is for, out of its options. */
function momentOf({ time, rate, steps }: PredictCommandOptions): Moment {
  if (steps === undefined && rate === undefined) {
    const value = time === undefined || time === "inf" ? Infinity : Number(time);
    if (!(value >= 0) || time?.trim() === "")
      throw new InputError(`--time is ${time}, but must be a number from 0, or inf. Correct it.`);
    return { time: value };
  }
  if (time !== undefined)
    throw new InputError(
      "--time is given with --rate or --steps, but only one can say when. Leave one out.",
    );
  const value = Number(required("rate", rate, "NUMBER"));
  if (!(value > 0 && value < Infinity))
    throw new InputError(`--rate is ${rate}, but must be a number above 0. Correct it.`);
  return { rate: value, steps: whole("steps", required("steps", steps, "NUMBER"), 0, 2 ** 40) };
}

/** `ntk predict`: what a network's linearization, or kernel regression, makes of test points at any time of training. */
export async function predictCommand(
  options: PredictCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const moment = momentOf(options);
    const kinds = ["empirical", "ntk", "nngp"] as const;
    const kernel = oneOf("kernel", options.kernel ?? "empirical", kinds);
    const source = required("train", options.train, "FILE or SET");
    const place = required("test", options.test, "FILE or SET");
    await session.writable(options.out);
    const model = await session.model({ ...options, inputs: source });
    const { net, inputs } = model;
    const targets = await targetsOf("targets", options.targets, inputs, net);
    const test = await testSet({ ...options, test: place }, model);
    const gpu = await session.gpu();
    const shape = [test!.values.length / net.inputs, net.outputs];
    const found =
      kernel === "empirical"
        ? await predict(
            gpu,
            await linearBlocks(gpu, session, model, targets, test!.values),
            moment,
            session.job,
          )
        : await infinite(gpu, session, model, kernel, targets, test!.values, moment);
    const share = test!.targets && accuracy(found.mean, test!.targets, net.outputs);
    session.enter("write");
    if (options.out) await writeAtomic(options.out, [writeNpy(shape, found.mean)]);
    const { residual: _, ...rest } = found;
    session.finish(
      {
        ...{ n: inputs.n, outputs: net.outputs, kernel, shape },
        ...("time" in moment ? { time: moment.time === Infinity ? "inf" : moment.time } : moment),
        ...rest,
        ...(share === null ? {} : { accuracy: share }),
      },
      () => [
        ...(share === null ? [] : [`accuracy ${figures(share)}`]),
        ...(options.out
          ? [`f [${shape.join(", ")}] → ${options.out}`]
          : Array.from({ length: shape[0] }, (_, i) =>
              Array.from(found.mean.subarray(i * net.outputs, (i + 1) * net.outputs), (x) =>
                figures(x, 7),
              ).join(" "),
            )),
      ],
    );
  } finally {
    session.close();
  }
}

/** Regression with a kernel of infinite width, from outputs of 0; for `ntk` with the deviation over initializations. */
async function infinite(
  gpu: Gpu,
  session: Session,
  { net, inputs }: Model,
  kernel: "ntk" | "nngp",
  targets: Float32Array,
  test: Float32Array,
  moment: Moment,
) {
  const of = async (
    which: "ntk" | "nngp",
    first: Float32Array,
    second: Float32Array | null,
  ): Promise<Float64Array> => {
    const values = await limit(gpu, net, first, second, { ...session.job, kernel: which });
    return ofOutputs(values, (second ?? first).length / net.inputs, net.outputs);
  };
  const both = async (which: "ntk" | "nngp") => ({
    gram: await of(which, inputs.values, null),
    cross: await of(which, test, inputs.values),
  });
  const own = await both(kernel);
  const found = await predict(gpu, { ...own, targets }, moment, session.job);
  if (kernel === "nngp") return found;
  const prior = { ...(await both("nngp")), test: await of("nngp", test, null) };
  const { covariance } = await ensemble(gpu, own, prior, targets, moment, session.job);
  const order = found.mean.length;
  const deviation = found.mean.map((_, i) => Math.sqrt(Math.max(0, covariance[i * order + i])));
  return { ...found, deviation };
}
