import { join } from "node:path";
import { InputError, ntk, planGram, tuned, type Spectrum } from "../index.ts";
import { writeAtomic, writeNpy } from "../node.ts";
import { inWords } from "./findings.ts";
import { gramChoice, outputsLast } from "./gram.ts";
import { planLines } from "./plan.ts";
import { orderByClass } from "./pictures/classes.ts";
import type { ReportData } from "./pictures/data.ts";
import { gramPng } from "./pictures/gram.ts";
import { count } from "./pictures/numbers.ts";
import { reportHtml } from "./pictures/report.ts";
import { spectrumSvg } from "./pictures/spectrum.ts";
import { asJson, required, Session, type Model } from "./session.ts";
import {
  aligned,
  checkCounts,
  eigenvalueChoice,
  spectrumJson,
  spectrumLines,
  type SpectrumCommandOptions,
} from "./spectrum.ts";

/** Eigenvectors that the page shows. */
const SHOWN = 3;

/** `ntk report`: Gram matrix, spectrum and their pictures in a folder. */
export async function reportCommand(
  options: SpectrumCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const out = required("out", options.out, "DIR");
    const which = eigenvalueChoice(options);
    const choice = gramChoice(options);
    await session.folder(out);
    const model = await session.model(options);
    const { spec, net, weights, inputs } = model;
    const order = inputs.n * (choice.outputs === "full" ? net.outputs : 1);
    if (order > 8192)
      throw new InputError(
        `report: H would be ${order} × ${order}, but pictures are made up to 8192. Take fewer samples.`,
      );
    checkCounts(which, order);
    session.say(networkLine(model));
    const gpu = await session.gpu();
    session.say(`adapter: ${gpu.description}`);
    const tuning = await tuned(gpu);
    const plan = planGram(gpu, net, inputs.n, 0, choice);
    session.say(planLines(model, plan, tuning).join("\n"));
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
    };
    const { n } = inputs;
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
      ...spectrumLines(spectrum),
      ...diagnosis.map(inWords),
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

/** Places in the whole spectrum, from 0, of eigenvalues from both its ends. */
function places(
  { top, bottom }: { top?: number; bottom?: number },
  { eigenvalues }: Spectrum,
  order: number,
): number[] {
  const count = eigenvalues.length;
  const upper = top ?? (bottom === undefined ? Math.ceil(count / 2) : 0);
  return Array.from({ length: count }, (_, i) => (i < upper ? i : order - count + i));
}

/** The job in one line. */
function networkLine({ spec, net, inputs }: Model): string {
  const activation = net.layers.length > 1 ? `, ${[spec.activation].flat().join(", ")}` : "";
  return (
    `network: ${spec.widths.join("-")}${activation}, ${spec.parameterization} parameterization, ` +
    `${count(net.parameters)} parameters; inputs: ${inputs.source}, ${count(inputs.n)} samples`
  );
}
