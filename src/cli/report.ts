import { join } from "node:path";
import {
  InputError,
  ntk,
  planGram,
  tuned,
  type Gpu,
  type Precision,
  type Spectrum,
} from "../index.ts";
import { writeAtomic, writeNpy } from "../node.ts";
import { train, type Rate, type Trained } from "../theory.ts";
import { inWords } from "./findings.ts";
import { gramChoice, outputsLast, routeChoice } from "./gram.ts";
import { targetsOf } from "./heldOut.ts";
import { planLines } from "./plan.ts";
import { orderByClass } from "./pictures/classes.ts";
import type { ReportData, TrainingData } from "./pictures/data.ts";
import { gramPng } from "./pictures/gram.ts";
import { count, figures } from "./pictures/numbers.ts";
import { reportHtml } from "./pictures/report.ts";
import { spectrumSvg } from "./pictures/spectrum.ts";
import { runOf, trainingSvg } from "./pictures/training.ts";
import { asJson, required, Session, whole, type Model } from "./session.ts";
import {
  aligned,
  checkCounts,
  eigenvalueChoice,
  places,
  spectrumJson,
  spectrumLines,
  type SpectrumCommandOptions,
} from "./spectrum.ts";
import { atInfinity, rateOption, runJson } from "./train.ts";

/** Options of `ntk report`. */
export interface ReportCommandOptions extends SpectrumCommandOptions {
  readonly steps?: string;
  readonly rate?: string;
  readonly track?: string;
  readonly targets?: string;
}

/** Eigenvectors that the page shows. */
const SHOWN = 3;
/** Looks at the kernel while it is trained, about, where `--track` does not say. */
const LOOKS = 50;

/** How the network is to be trained. */
interface Descent {
  readonly steps: number;
  readonly rate: Rate;
  readonly track: number;
}

/** `ntk report`: Gram matrix, spectrum, training where steps are given, and their pictures in a folder. */
export async function reportCommand(
  options: ReportCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const out = required("out", options.out, "DIR");
    const which = eigenvalueChoice(options);
    const choice = gramChoice(options);
    const descent = trainingChoice(options);
    await session.folder(out);
    const model = await session.model(options);
    const { spec, net, weights, inputs } = model;
    const order = inputs.n * (choice.outputs === "full" ? net.outputs : 1);
    // Training is watched by the whole kernel.
    const largest = descent ? inputs.n * net.outputs : order;
    if (largest > 8192)
      throw new InputError(
        `report: H would be ${largest} × ${largest}, but pictures are made up to 8192. Take fewer samples.`,
      );
    const targets = descent && (await targetsOf("targets", options.targets, inputs, net));
    checkCounts(which, order);
    session.say(networkLine(model));
    const gpu = await session.gpu();
    session.say(`adapter: ${gpu.description}`);
    const tuning = await tuned(gpu);
    const plan = planGram(gpu, net, inputs.n, 0, routeChoice(choice, which.precision));
    session.say(planLines(model, plan, tuning, which.precision).join("\n"));
    const {
      gram: h,
      spectrum,
      diagnosis,
    } = await ntk(gpu, net, weights, inputs.values, {
      ...session.job,
      ...choice,
      ...which,
      vectors: SHOWN,
    });
    const gram = Float32Array.from(h);
    const { vectors } = spectrum;
    const top = vectors && (await gpu.read(vectors, { signal }));
    vectors?.destroy();
    const run =
      descent &&
      targets &&
      (await trained(gpu, session, model, targets, { ...descent, precision: which.precision }));
    session.enter("pictures");

    const each = order / inputs.n;
    const classes = inputs.labels && Array.from(inputs.labels);
    const rows = classes && orderByClass(classes, each);
    const json = {
      n: inputs.n,
      outputs: net.outputs,
      parameters: net.parameters,
      method: plan.method,
      ...spectrumJson(spectrum),
      diagnosis,
      ...session.summary(),
    };
    const data: ReportData = {
      title: "Neural tangent kernel",
      network: spec,
      inputs: inputs.source,
      adapter: gpu.description,
      n: inputs.n,
      outputs: each,
      parameters: net.parameters,
      spectrum: {
        ...spectrum,
        eigenvalues: Array.from(spectrum.eigenvalues),
        errorBounds: Array.from(spectrum.errorBounds),
        ...(spectrum.eigenvalues.length < order ? { indices: places(which, spectrum, order) } : {}),
        stages: json.stages,
      },
      gram,
      classes,
      order: rows,
      vectors: top,
      ...(run && {
        training: {
          ...{ n: inputs.n, outputs: net.outputs, parameters: net.parameters },
          ...{ steps: descent.steps, rate: run.rate, regime: run.regime },
          ...{ tracked: run.tracked, certificate: run.certificate },
          // Those of the mean over outputs are others.
          eigenvalues: order === largest ? leading(which, spectrum, order) : [],
        },
      }),
    };
    const { n } = inputs;
    const { training } = data;
    const made: [string, () => Uint8Array | string][] = [
      [
        "gram.npy",
        () =>
          each === 1
            ? writeNpy([n, n], gram)
            : writeNpy([n, n, each, each], outputsLast(gram, n, n, each)),
      ],
      ["spectrum.json", () => `${asJson(json)}\n`],
      ["spectrum.svg", () => spectrumSvg(data)],
      ["gram.png", () => gramPng(gram, order, rows, classes)],
      ...(training ? trainingFiles(training, session) : []),
      ["report.html", () => reportHtml(data)],
    ];
    const files: string[] = [];
    for (const [name, make] of made) {
      signal.throwIfAborted();
      const bytes = make();
      const path = join(out, name);
      await writeAtomic(path, [
        typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
      ]);
      files.push(path);
    }
    session.finish({ ...json, files }, () => [
      ...aligned([
        ["n", count(inputs.n)],
        ["parameters", count(net.parameters)],
      ]),
      ...spectrumLines(spectrum, places(which, spectrum, order)),
      ...diagnosis.map(inWords),
      ...(training ? trainingLines(training) : []),
      ...aligned(
        Object.entries(json.stages).map(([stage, seconds]): [string, string] => [
          `time of ${stage}`,
          `${seconds.toFixed(2)} s`,
        ]),
      ),
      ...files.map((file) => `→ ${file}`),
    ]);
  } finally {
    session.close();
  }
}

/** What `--steps` and its companions ask for; null where the network is not to be trained. */
function trainingChoice(options: ReportCommandOptions): Descent | null {
  if (options.steps === undefined) {
    for (const key of ["rate", "track", "targets"] as const)
      if (options[key] !== undefined)
        throw new InputError(
          `--${key} is given without --steps, but is about training. Add --steps NUMBER, or leave --${key} out.`,
        );
    return null;
  }
  const steps = whole("steps", options.steps, 1, 2 ** 40);
  const rate = rateOption(options.rate ?? "auto");
  const often = Math.max(1, Math.round(steps / LOOKS));
  const track = options.track === undefined ? often : whole("track", options.track, 0, 2 ** 40);
  return { steps, rate, track };
}

/** The network trained and watched, with its certificate; where there is no H_∞, that of H_0. */
async function trained(
  gpu: Gpu,
  session: Session,
  model: Model,
  targets: Float32Array,
  how: Descent & { readonly precision: Precision },
): Promise<Trained> {
  const { net, weights, inputs } = model;
  const infinite = await atInfinity(gpu, session, model).catch((error: unknown) => {
    if (!(error instanceof InputError)) throw error;
    session.say(`the certificate goes by H_0 instead of H_∞: ${error.message}`);
    return {};
  });
  return train(gpu, net, weights, inputs.values, targets, { ...session.job, ...how, ...infinite });
}

/** The files of a training run: what `ntk train --json` says of it, and its pictures. */
const trainingFiles = (training: TrainingData, session: Session): [string, () => string][] => {
  return [
    ["training.json", () => `${asJson({ ...runJson(training, "mse"), ...session.summary() })}\n`],
    ["training.svg", () => trainingSvg(training)],
  ];
};

/** Training for a person. */
function trainingLines(training: TrainingData): string[] {
  const { tracked, certificate } = training;
  const held = certificate?.checks.filter(({ holds }) => holds).length;
  return aligned([
    ["training", runOf(training)],
    ["loss", `${figures(tracked[0].loss)} → ${figures(tracked[tracked.length - 1].loss)}`],
    ...(certificate
      ? ([["certificate", `${held} of ${certificate.checks.length} inequalities hold`]] as const)
      : []),
  ]);
}

/** The eigenvalues at the upper end of the spectrum, as far as they are known without a gap. */
function leading(which: { top?: number; bottom?: number }, spectrum: Spectrum, order: number) {
  const at = places(which, spectrum, order);
  return Array.from(spectrum.eigenvalues).filter((_, k) => at[k] === k);
}

/** The job in one line. */
function networkLine({ spec, net, inputs }: Model): string {
  const activation = net.layers.length > 1 ? `, ${[spec.activation].flat().join(", ")}` : "";
  return (
    `network: ${spec.widths.join("-")}${activation}, ${spec.parameterization} parameterization, ` +
    `${count(net.parameters)} parameters; inputs: ${inputs.source}, ${count(inputs.n)} samples`
  );
}
