import {
  boundedSpectrum,
  InputError,
  isSolved,
  ntk,
  planGram,
  PRECISIONS,
  spectrum,
  tuned,
  type Finding,
  type Gpu,
  type Precision,
  type Spectrum,
} from "../index.ts";
import { extremeEigenvalues, kernelSpectrum } from "../theory.ts";
import { flatten, roundToF32, type Table } from "../formats/table.ts";
import { CONFIDENCE } from "../stages/5-spectrum.ts";
import { nodeFiles, readTable, writeAtomic, writeNpy } from "../node.ts";
import { inWords } from "./findings.ts";
import { gramChoice, isStored, routeChoice, type GramCommandOptions } from "./gram.ts";
import { planLines } from "./plan.ts";
import { figures, withBound } from "./pictures/numbers.ts";
import { oneOf, Session, whole, type Model } from "./session.ts";

/** Options of the commands that compute eigenvalues. */
export interface SpectrumCommandOptions extends GramCommandOptions {
  readonly gram?: string;
  readonly top?: string;
  readonly bottom?: string;
  readonly all?: boolean;
  readonly vectors?: string;
  readonly precision?: string;
  readonly explain?: boolean;
}

/** Of several eigenvalues at the ends each interval is proved without all others. */
const SEVERAL = { ends: extremeEigenvalues };

/** What says how H is computed, and means nothing where a file holds it. */
const MODEL_OPTIONS = [
  "network",
  "inputs",
  "weights",
  "seed",
  "normalize",
  "method",
  "outputs",
] as const;

/** Which eigenvalues, out of a command's options. */
export function eigenvalueChoice({
  top,
  bottom,
  all,
  precision = "compensated",
}: SpectrumCommandOptions) {
  oneOf("precision", precision, PRECISIONS);
  if (all && (top ?? bottom) !== undefined)
    throw new InputError(
      "--all is given with --top or --bottom, but asks for every eigenvalue. Leave one out.",
    );
  return {
    precision: precision as Precision,
    ...(all ? { all } : {}),
    ...(top === undefined ? {} : { top: whole("top", top, 1, 2 ** 31) }),
    ...(bottom === undefined ? {} : { bottom: whole("bottom", bottom, 1, 2 ** 31) }),
  };
}

/** `ntk spectrum`: the eigenvalues of H, with intervals. */
export async function spectrumCommand(
  options: SpectrumCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const which = {
      ...eigenvalueChoice(options),
      vectors: options.vectors === undefined ? 0 : Infinity,
    };
    const choice = gramChoice(options);
    await session.writable(options.out, options.vectors);
    let result: Spectrum;
    let gpu: Gpu;
    let order: number;
    let model: Model | null = null;
    let about: Record<string, unknown>;
    let diagnosis: readonly Finding[] = [];
    if (options.gram !== undefined) {
      const { values, n } = await matrixOfFile(options.gram, options);
      order = n;
      checkCounts(which, n);
      const { precision, ...ends } = { ...session.job, ...which };
      gpu = await session.gpu();
      if (precision === "verified" || isSolved(n, which)) {
        // Proving every interval takes six times as long: of larger ones only where asked for.
        const proves = precision === "verified" || (precision === "compensated" && n <= 1024);
        const confidence = proves ? 1 : CONFIDENCE;
        const matrix = { gram: values, order: n, confidence };
        const found = await boundedSpectrum(gpu, matrix, proves ? { ...ends, ...SEVERAL } : ends);
        result = { ...found, precision };
      } else {
        using h = gpu.upload("gram", n, n, roundToF32(values, options.gram, "H"));
        result = { ...(await spectrum(gpu, h, { ...ends, values })), precision };
      }
      about = { n };
    } else {
      model = await session.model(options);
      const { net, weights, inputs } = model;
      order = inputs.n * (choice.outputs === "full" ? net.outputs : 1);
      checkCounts(which, order);
      gpu = await session.gpu();
      const verified = which.precision === "verified";
      let method: string;
      if (verified || isStored(gpu, order, choice)) {
        const tuning = await tuned(gpu);
        const plan = planGram(gpu, net, inputs.n, 0, routeChoice(choice, which.precision));
        if (!verified) session.say(planLines(model, plan, tuning, which.precision).join("\n"));
        method = plan.method;
        ({ spectrum: result, diagnosis } = await ntk(gpu, net, weights, inputs.values, {
          ...session.job,
          ...choice,
          ...which,
          ...(verified ? SEVERAL : {}),
        }));
      } else {
        session.say(`H [${order}, ${order}] does not fit the device: by products with J and Jᵀ`);
        method = "products";
        const { precision: _, vectors, ...ends } = which;
        const given = { ...session.job, ...ends, ...(vectors > 0 ? { vectors } : {}) };
        ({ spectrum: result } = await kernelSpectrum(gpu, net, weights, inputs.values, given));
      }
      about = { n: inputs.n, outputs: net.outputs, parameters: net.parameters, method };
    }
    session.enter("write");
    if (options.vectors && result.vectors) {
      const { vectors } = result;
      const bytes = writeNpy([vectors.rows, vectors.columns], await gpu.read(vectors, { signal }));
      await writeAtomic(options.vectors, [bytes]);
      vectors.destroy();
    }
    if (options.out)
      await writeAtomic(options.out, [writeNpy([result.eigenvalues.length], result.eigenvalues)]);
    const { explain } = options;
    session.finish({ ...about, ...spectrumJson(result, explain), diagnosis }, () => [
      ...spectrumLines(result, places(which, result, order)),
      ...diagnosis.map(inWords),
      ...(explain ? explained(result) : []),
      ...(options.out ? [`eigenvalues → ${options.out}`] : []),
    ]);
  } finally {
    session.close();
  }
}

/** The fields of `ntk spectrum --json` that belong to the spectrum. */
export const spectrumJson = ({ vectors: _, errorTerms, ...result }: Spectrum, explain = false) => ({
  ...result,
  ...(explain ? { errorTerms } : {}),
});

/** Places in the whole spectrum, from 0, of eigenvalues from both its ends. */
export function places(
  { top, bottom }: { top?: number; bottom?: number },
  { eigenvalues }: Spectrum,
  order: number,
): number[] {
  const count = eigenvalues.length;
  const upper = top ?? (bottom === undefined ? Math.ceil(count / 2) : 0);
  return Array.from({ length: count }, (_, i) => (i < upper ? i : order - count + i));
}

/**
 * The spectrum for a person: a table of its figures and the first ten eigenvalues.
 *
 * @param at their places in the whole spectrum, from 0
 */
export function spectrumLines(result: Spectrum, at: readonly number[]): string[] {
  const { lambdaMax, errorBounds } = result;
  const rows: [string, string][] = [
    // Where no interval of it is known, as only the lower end was asked for, it is said without.
    ["λ_max", at[0] === 0 ? withBound(lambdaMax, errorBounds[0]) : figures(lambdaMax)],
    ["λ_min", withBound(result.lambdaMin, result.lambdaMinBound)],
    [
      "condition number",
      result.condition === null
        ? "not resolved: λ_min's interval holds 0"
        : figures(result.condition),
    ],
    ["effective rank", figures(result.effectiveRank)],
    ["trace", figures(result.trace, 7)],
    [
      "intervals",
      `${result.boundKind}${result.boundKind === "guaranteed" ? "" : `, confidence ${result.confidence}`}; precision ${result.precision}${result.converged ? "" : ", not converged"}`,
    ],
    ...Array.from(result.eigenvalues.subarray(0, 10), (value, i): [string, string] => [
      `λ_${at[i] + 1}`,
      withBound(value, errorBounds[i]),
    ]),
  ];
  return aligned(rows);
}

/** What the half widths of the first and last ten eigenvalues consist of. */
function explained({ eigenvalues, errorBounds, errorTerms }: Spectrum): string[] {
  const names = Object.keys(errorTerms);
  const last = eigenvalues.length - 1;
  const shown = Array.from(eigenvalues.keys()).filter((i) => i < 10 || i > last - 10);
  return [
    `half widths, from ${names.join(", ")}:`,
    ...aligned(
      shown.map((i): [string, string] => [
        figures(eigenvalues[i]),
        `± ${figures(errorBounds[i])}: ${names.map((name) => figures(errorTerms[name][i])).join(", ")}`,
      ]),
    ),
  ];
}

/** Two columns, the first as wide as its longest entry. */
export function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${key.padEnd(width)}  ${value}`);
}

/** @throws InputError where more eigenvalues are asked for than H has */
export function checkCounts({ top, bottom }: { top?: number; bottom?: number }, n: number): void {
  for (const [name, value] of Object.entries({ top, bottom }))
    if (value !== undefined && value > n)
      throw new InputError(
        `--${name} is ${value}, but H is ${n} × ${n}. Ask for 1 to ${n} eigenvalues.`,
      );
}

/** The matrix of `--gram`, in f64. @throws InputError where options say how to compute another */
export async function matrixOfFile(
  file: string,
  options: SpectrumCommandOptions,
): Promise<{ values: Float64Array; n: number }> {
  for (const key of MODEL_OPTIONS)
    if (options[key] !== undefined)
      throw new InputError(
        `--gram and --${key} are both given, but the matrix of a file has no network. Leave one out.`,
      );
  return symmetricMatrix(await readTable(file, nodeFiles), file);
}

/** A file's matrix in f64: square or [n, n, O, O], and symmetric. */
function symmetricMatrix(table: Table, source: string): { values: Float64Array; n: number } {
  const { shape, data } = table;
  const refuse = (what: string): never => {
    throw new InputError(
      `${source}: ${what}, but must hold a symmetric matrix, [n, n] or [n, n, O, O]. Check the file.`,
    );
  };
  const four = shape.length === 4;
  const { rows, columns } = flatten(table, source);
  const [n1, , each] = four ? shape : [rows, columns, 1];
  const n = n1 * each;
  if (shape.length !== 2 && !four) refuse(`has shape [${shape.join(", ")}]`);
  if (shape[0] !== shape[1] || shape[2] !== shape[3] || n === 0)
    refuse(`has shape [${shape.join(", ")}]`);
  const values = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const at = four
        ? ((Math.floor(i / each) * n1 + Math.floor(j / each)) * each + (i % each)) * each +
          (j % each)
        : i * n + j;
      values[i * n + j] = data[at];
    }
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++)
      if (values[i * n + j] !== values[j * n + i])
        if (!(Number.isNaN(values[i * n + j]) || Number.isNaN(values[j * n + i])))
          refuse(`H[${i}, ${j}] is ${values[i * n + j]} and H[${j}, ${i}] is ${values[j * n + i]}`);
  return { values, n };
}
