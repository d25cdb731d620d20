import { InputError, leastEigenvalue, PRECISIONS, type Gpu, type Precision } from "../index.ts";
import { writeAtomic } from "../node.ts";
import {
  DivergenceError,
  limit,
  LOSSES,
  ofOutputs,
  train,
  type Certificate,
  type Check,
  type Loss,
  type LossBound,
  type Rate,
  type TrackedStep,
} from "../theory.ts";
import { Checkpoints, fingerprintOf, weightsFile } from "./checkpoint.ts";
import { accuracies, targetsOf, testSet, type HeldOutOptions, type TestSet } from "./heldOut.ts";
import type { RunData } from "./pictures/data.ts";
import { figures, withBound } from "./pictures/numbers.ts";
import { oneOf, required, Session, whole, type Model } from "./session.ts";
import { aligned } from "./spectrum.ts";

/** Options of `ntk train`. */
export interface TrainCommandOptions extends HeldOutOptions {
  readonly targets?: string;
  readonly steps?: string;
  readonly rate?: string;
  readonly loss?: string;
  readonly momentum?: string;
  readonly batch?: string;
  readonly order?: string;
  readonly track?: string;
  readonly precision?: string;
  readonly certify?: boolean;
  readonly require?: boolean;
  readonly checkpoint?: string;
  readonly resume?: boolean;
}

/** A rate out of its option: a number, `auto`, or a number and `/lambda`. */
export function rateOption(text: string): Rate {
  if (text === "auto") return "auto";
  const [, number, per] = /^([^/]+)(\/lambda)?$/.exec(text) ?? [];
  const value = number?.trim() ? Number(number) : NaN;
  if (!(value > 0 && value < Infinity))
    throw new InputError(
      `--rate is ${text}, but must be a number above 0, one and /lambda (2.5/lambda is 2.5 / λ_max), or auto. Correct it.`,
    );
  return per ? { perLambda: value } : value;
}

/** `ntk train`: gradient descent with the kernel tracked. */
export async function trainCommand(
  options: TrainCommandOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const session = new Session(options, signal);
  try {
    const steps = whole("steps", required("steps", options.steps, "NUMBER"), 0, 2 ** 40);
    const rate = rateOption(required("rate", options.rate, "NUMBER or auto"));
    const loss = oneOf("loss", options.loss ?? "mse", LOSSES);
    const track = whole("track", options.track ?? "0", 0, 2 ** 40);
    const precision = oneOf("precision", options.precision ?? "compensated", PRECISIONS);
    const momentum = Number(options.momentum ?? "0");
    if (!(momentum >= 0 && momentum < 1))
      throw new InputError(
        `--momentum is ${options.momentum}, but must be a number from 0, below 1. Correct it.`,
      );
    if (options.resume && options.checkpoint === undefined)
      throw new InputError(
        "--resume is given without --checkpoint, but goes on from a folder. Add --checkpoint FOLDER.",
      );
    await session.writable(options.out);
    const model = await session.model(options);
    const { net, weights, inputs } = model;
    const { n } = inputs;
    const targets = await targetsOf("targets", options.targets, inputs, net);
    const batch = options.batch === undefined ? n : whole("batch", options.batch, 1, n);
    const seed = whole("order", options.order ?? "0", 0, 2 ** 32 - 1);
    const held = await testSet(options, model);
    if (held && !held.targets)
      throw new InputError(
        "--test-targets is missing, but must be given for samples without labels. Add --test-targets FILE.",
      );
    const test = held as TestSet | null;
    const certifies = options.certify || options.require;
    if (certifies && !(loss === "mse" && momentum === 0 && batch === n))
      throw new InputError(
        `--certify is given with ${loss !== "mse" ? `--loss ${loss}` : momentum > 0 ? "--momentum" : "--batch"}, but the argument is about the mse loss and steps that take all samples, without momentum. Leave one of them out.`,
      );
    const settings = {
      rate,
      loss,
      track,
      precision,
      momentum,
      batch,
      seed,
      certifies: !!certifies,
    };
    const checkpoints =
      options.checkpoint === undefined
        ? null
        : new Checkpoints(
            options.checkpoint,
            net,
            fingerprintOf([
              JSON.stringify([model.spec, settings]),
              ...weights.flatMap((layer) => [layer.weight, ...(layer.bias ? [layer.bias] : [])]),
              ...[inputs.values, targets],
            ]),
          );
    const kept = (await checkpoints?.load(!!options.resume)) ?? null;
    if (kept && kept.state.step > steps)
      throw new InputError(
        `--steps is ${steps}, but the checkpoint in ${options.checkpoint} is of step ${kept.state.step}. Ask for no fewer steps, or begin in another folder.`,
      );
    if (checkpoints) await session.folder(options.checkpoint!);
    const gpu = await session.gpu();
    const infinite = certifies ? await atInfinity(gpu, session, model) : {};
    const tracked: TrackedStep[] = [...(kept?.tracked ?? [])];
    const run = await train(gpu, net, weights, inputs.values, targets, {
      ...session.job,
      ...{ steps, rate, loss, track, precision: precision as Precision, momentum, batch, seed },
      ...(kept ? { resume: kept } : {}),
      ...infinite,
      async onTracked(seen, training) {
        tracked.push(seen);
        if (checkpoints) await checkpoints.save(await training.state({ signal }), tracked);
      },
    }).catch((error: unknown) => {
      if (!(error instanceof DivergenceError) || !checkpoints || tracked.length === 0) throw error;
      const last = tracked[tracked.length - 1].step;
      error.message += ` The weights of step ${last} are kept in ${options.checkpoint}.`;
      throw error;
    });
    const trained = run.state.weights;
    const linear = loss === "mse" && momentum === 0 && batch === n;
    const moment = linear ? { rate: run.rate, steps } : null;
    const share = test && (await accuracies(gpu, session, model, trained, targets, test, moment));
    session.enter("write");
    if (options.out) await writeAtomic(options.out, [weightsFile(net, trained)]);
    const certificate = certifies ? run.certificate : null;
    session.finish(
      {
        ...runJson({ n, outputs: net.outputs, parameters: net.parameters, steps, ...run }, loss),
        certificate,
        ...(share ? { accuracy: share } : {}),
      },
      () => [
        ...trackedLines(run.tracked),
        ...aligned([["bound", run.tracked[run.tracked.length - 1].boundOf ?? "none"]]),
        ...aligned([
          [
            "rate",
            `${figures(run.rate)} = ${figures(run.rate * run.tracked[0].lambdaMax)} / λ_max`,
          ],
        ]),
        ...(share
          ? Object.entries(share).map(([name, value]) => `accuracy, ${name}: ${figures(value)}`)
          : []),
        ...(certificate ? certificateLines(certificate) : []),
        ...(options.out ? [`weights → ${options.out}`] : []),
      ],
    );
    return !options.require || certificate!.holds;
  } finally {
    session.close();
  }
}

/** What the JSON of a run says of it. */
export function runJson(
  { n, outputs, parameters, steps, rate, regime, tracked, certificate }: RunData,
  lossKind: Loss,
) {
  const { loss } = tracked[tracked.length - 1];
  return { n, outputs, parameters, steps, rate, lossKind, loss, regime, tracked, certificate };
}

/** H_∞ of the samples, and its least eigenvalue from below. */
export async function atInfinity(
  gpu: Gpu,
  session: Session,
  { net, inputs }: Model,
): Promise<{ limit: Float64Array; limitMin: number }> {
  const kernel = await limit(gpu, net, inputs.values, null, session.job);
  const { value, bound } = await leastEigenvalue(
    gpu,
    { gram: kernel, order: inputs.n },
    session.job,
  );
  return { limit: ofOutputs(kernel, inputs.n, net.outputs), limitMin: Math.max(0, value - bound) };
}

function trackedLines(tracked: readonly (TrackedStep & LossBound)[]): string[] {
  const rows = tracked.map((seen) => [
    String(seen.step),
    figures(seen.loss),
    figures(seen.bound),
    withBound(seen.lambdaMin, seen.lambdaMinBound),
    withBound(seen.lambdaMax, seen.lambdaMaxBound),
    figures(seen.gramDrift),
    figures(seen.parameterDrift),
    figures(seen.alignment),
  ]);
  const head = ["step", "loss", "bound", "λ_min", "λ_max", "‖H−H₀‖", "‖θ−θ₀‖", "alignment"];
  const all = [head, ...rows];
  const widths = head.map((_, c) => Math.max(...all.map((row) => row[c].length)));
  return all.map((row) => row.map((cell, c) => cell.padStart(widths[c])).join("  "));
}

function certificateLines(certificate: Certificate): string[] {
  const mark = ({ holds }: Check) => (holds ? "holds" : holds === null ? "open " : "fails");
  return [
    `certificate: ${certificate.holds ? "every inequality holds" : "not every inequality holds"}; λ = ${figures(certificate.lambda)} of ${
      certificate.lambdaOf === "limit" ? "H_∞" : "H_0"
    }, K = ${figures(certificate.jacobianBound)}, R′ = ${figures(certificate.radius)}, T = ${figures(certificate.time)}`,
    ...certificate.checks.map(
      (check) =>
        `  ${mark(check)}  ${check.formula}: ${figures(check.left)} ≤ ${figures(check.right)}, slack ${figures(check.slack)} at step ${check.step}` +
        `${check.firstFailure ? `, first fails at step ${check.firstFailure.step}` : ""} (${check.name}, ${check.statement}${check.decides ? "" : ", beside the argument"})`,
    ),
    ...certificate.widths.map(
      ({ formula, width }) =>
        `  width that would be needed, an estimate: ${figures(width)} = ${formula}`,
    ),
  ];
}
