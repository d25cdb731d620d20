import { descentFilter, flowFilter, type TrackedStep } from "../../theory.ts";
import { INK, QUIET, element } from "./figure.ts";
import { count, figures, subscript } from "./numbers.ts";
import { DRAWN, WIDE, panelSvg, point, type Key, type Point, type Series } from "./panel.ts";
import { BAR, POINT, sizes } from "./spectrum.ts";
import type { TrainingData } from "./data.ts";

/** One colour an eigenvector. */
const COLOURS = [POINT, BAR, "#2f9e6e", "#b5367a", "#6b4fa0"];
const GAP = 16;

/** One picture of training: a standalone SVG file, and what is to be said below it. */
export interface Picture {
  readonly svg: string;
  readonly words: string;
}

type Look = TrainingData["tracked"][number];

/** One field over the looks; what is not finite is left out. */
const over = (
  tracked: readonly Look[],
  value: (now: Look) => number | null,
  bound: (now: Look) => number = () => 0,
): Point[] =>
  tracked
    .map((now) => point(now.step, value(now) ?? NaN, bound(now)))
    .filter(({ y }) => Number.isFinite(y));

const fromTo = (
  tracked: readonly Look[],
  name: string,
  value: (now: TrackedStep) => number | null,
): string =>
  `${name} from ${figures(value(tracked[0]))} to ${figures(value(tracked[tracked.length - 1]))}`;

function lossPanel({ tracked }: TrainingData): Picture {
  const kinds = [...new Set(tracked.flatMap(({ boundOf }) => boundOf ?? []))];
  const svg = panelSvg(
    {
      ...{ title: "Loss and its bound", axis: "log" },
      series: [
        ...kinds.map((kind, k): Series => ({
          ...{ colour: k === 0 ? BAR : COLOURS[3], line: "solid", predicted: true },
          points: over(tracked, ({ boundOf, bound }) => (boundOf === kind ? bound : null)),
          name: `at most, ${kind}`,
        })),
        {
          ...{ colour: POINT, line: "solid", marks: true, name: "loss L = ½ Σ r²" },
          points: over(
            tracked,
            ({ loss }) => loss,
            ({ lossBound }) => lossBound,
          ),
        },
      ],
    },
    `${fromTo(tracked, "loss", ({ loss }) => loss)}; bound: ${kinds.join("; ")}`,
  );
  const words = `The loss at each look, and the bound that the kernels seen so far put on it (${kinds.join("; then ")}).
    A bound of the flow is one of steps that tend to 0; one of descent leaves out an O(η²). It is drawn as far as it is within a factor of 10 of the losses.`;
  return { svg, words };
}

function eigenvaluePanel({ tracked, rate }: TrainingData): Picture {
  const svg = panelSvg(
    {
      ...{ title: "Ends of the spectrum", axis: "log" },
      level: { y: 2 / rate, name: `2/η = ${figures(2 / rate)}` },
      series: [
        {
          ...{ colour: POINT, line: "solid", marks: true, name: "λ_max(Hₜ)" },
          points: over(
            tracked,
            ({ lambdaMax }) => lambdaMax,
            ({ lambdaMaxBound }) => lambdaMaxBound,
          ),
        },
        {
          ...{ colour: BAR, line: "solid", marks: true, name: "λ_min(Hₜ)" },
          points: over(
            tracked,
            ({ lambdaMin }) => lambdaMin,
            ({ lambdaMinBound }) => lambdaMinBound,
          ),
        },
      ],
    },
    `${fromTo(tracked, "λ_max", ({ lambdaMax }) => lambdaMax)}, ${fromTo(tracked, "λ_min", ({ lambdaMin }) => lambdaMin)}; 2/η = ${figures(2 / rate)}`,
  );
  const words = `Bars are the intervals of the eigenvalues, where they are larger than the marks; a hollow mark is the upper end of an interval
    that reaches 0. Descent is stable where λ_max stays below 2/η.`;
  return { svg, words };
}

function driftPanel({ tracked }: TrainingData): Picture {
  const { lambdaMax } = tracked[0];
  const svg = panelSvg(
    {
      ...{ title: "Drift of kernel and weights", axis: "log" },
      series: [
        {
          ...{ colour: POINT, line: "solid", marks: true, name: "‖Hₜ − H₀‖ / λ_max(H₀)" },
          points: over(
            tracked,
            ({ gramDrift }) => gramDrift / lambdaMax,
            ({ gramDriftBound }) => gramDriftBound / lambdaMax,
          ).filter(({ y }) => y > 0),
        },
        {
          ...{ colour: BAR, line: "solid", marks: true, name: "‖θₜ − θ₀‖" },
          points: over(tracked, ({ parameterDrift }) => parameterDrift).filter(({ y }) => y > 0),
        },
      ],
    },
    `${fromTo(tracked, "‖Hₜ − H₀‖ / λ_max(H₀)", ({ gramDrift }) => gramDrift / lambdaMax)}, ${fromTo(tracked, "‖θₜ − θ₀‖", ({ parameterDrift }) => parameterDrift)}`,
  );
  const words = `How far the kernel is from that of the start, in the operator norm and beside its largest eigenvalue, and how far the weights
    have gone. Both are 0 at step 0, which a logarithmic axis does not have.`;
  return { svg, words };
}

function alignmentPanel({ tracked }: TrainingData): Picture {
  const svg = panelSvg(
    {
      ...{ title: "Alignment of kernel and targets", axis: "linear" },
      series: [
        {
          ...{ colour: POINT, line: "solid", marks: true, name: "raw: yᵀHy / ‖H‖_F ‖y‖²" },
          points: over(tracked, ({ alignment }) => alignment),
        },
        {
          ...{ colour: BAR, line: "solid", marks: true, name: "centred" },
          points: over(tracked, ({ centredAlignment }) => centredAlignment),
        },
      ],
    },
    `${fromTo(tracked, "raw", ({ alignment }) => alignment)}, ${fromTo(tracked, "centred", ({ centredAlignment }) => centredAlignment)}`,
  );
  const words =
    "1 would be a kernel that is y yᵀ; centred: of kernel and targets without their means.";
  return { svg, words };
}

function residualPanel({ tracked, rate, eigenvalues, steps }: TrainingData): Picture {
  const followed = Array.from(tracked[0].residualAlong, Math.abs);
  const many = Math.min(steps, DRAWN);
  const moments = Array.from({ length: many + 1 }, (_, k) => Math.round((k * steps) / many));
  const known = eigenvalues.slice(0, followed.length);
  const predicted = known.flatMap((lambda, i): Series[] => {
    const along = (left: (step: number) => number): Point[] =>
      moments.map((step) => point(step, Math.abs(left(step)) * followed[i]));
    const shared = { colour: COLOURS[i], predicted: true };
    const flow = along((step) => flowFilter(rate * step).left(lambda));
    const descent = along((step) => descentFilter(rate, step).left(lambda));
    return [
      { ...shared, line: "dashed", points: flow },
      { ...shared, line: "solid", points: descent },
    ];
  });
  const measured = followed.map((_, i): Series => ({
    ...{ colour: COLOURS[i], marks: true },
    points: over(tracked, ({ residualAlong }) => Math.abs(residualAlong[i])),
  }));
  const name = (i: number) =>
    `v${subscript(i + 1)}${known[i] === undefined ? "" : `, λ = ${figures(known[i])}`}`;
  const lines: Key[] = [
    { colour: INK, line: "solid", name: "descent: |1 − ηλᵢ|ᵏ |⟨vᵢ, r₀⟩|" },
    { colour: INK, line: "dashed", name: "flow: exp(−λᵢ t) |⟨vᵢ, r₀⟩|, t = ηk" },
  ];
  const svg = panelSvg(
    {
      ...{ title: "Residual along the top eigenvectors of H₀", axis: "log" },
      ...{ width: WIDE, height: 430 },
      series: [...predicted, ...measured],
      keys: [
        [
          { colour: INK, marks: true, name: "measured: |⟨vᵢ, rₜ⟩|" },
          ...(known.length ? lines : []),
        ],
        followed.map((_, i): Key => ({ colour: COLOURS[i], marks: true, name: name(i) })),
      ],
    },
    followed
      .map((_, i) => fromTo(tracked, `v${i + 1}`, (now) => Math.abs(now.residualAlong[i])))
      .join(", "),
  );
  const words = `What is left of the residual along each eigenvector of H₀: marks as measured, lines as a kernel that does not move would have it,
    by steps of descent and by the gradient flow.${known.length < followed.length ? " Lines are missing where this report does not know the eigenvalue." : ""}`;
  return { svg, words };
}

/** The pictures of a training run: loss, ends of the spectrum, drift, alignment, and, twice as wide, residuals. */
export const trainingPanels = (training: TrainingData): Picture[] =>
  [lossPanel, eigenvaluePanel, driftPanel, alignmentPanel, residualPanel].map((panel) =>
    panel(training),
  );

/** "200 steps at η = 0.01 = 1 / λ_max(H₀)": what the run was. */
export const runOf = ({ steps, rate, tracked }: TrainingData): string =>
  `${count(steps)} ${steps === 1 ? "step" : "steps"} at η = ${figures(rate)} = ${figures(rate * tracked[0].lambdaMax)} / λ_max(H₀)`;

/** All panels in one standalone SVG file, 1000 px wide. */
export function trainingSvg(training: TrainingData): string {
  const svg = element("svg", {});
  const title = "Training and the neural tangent kernel";
  const subtitle = `${sizes(training)} · ${runOf(training)}`;
  const text = (words: string, y: number, how: Record<string, string | number>) => {
    const made = element("text", { x: 12, y, ...how });
    made.textContent = words;
    svg.append(made);
  };
  for (const [name, words] of [
    ["title", title],
    ["desc", subtitle],
  ]) {
    const made = element(name, {});
    made.textContent = words;
    svg.append(made);
  }
  svg.append(element("rect", { width: "100%", height: "100%", fill: "white" }));
  text(title, 36, { "font-size": 22, "font-weight": 600, fill: INK });
  text(subtitle, 62, { "font-size": 14.5, fill: QUIET });
  let [x, y, row] = [0, 84, 0];
  const placed = trainingPanels(training).map((panel) => {
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(panel.svg)!.map(Number);
    if (x + width > WIDE) [x, y] = [0, y + row + GAP];
    const place = `<svg x="${x}" y="${y}" `;
    [x, row] = [x + width + GAP, height];
    return panel.svg.replace(/^<svg /, place);
  });
  const height = y + row;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDE}" height="${height}" viewBox="0 0 ${WIDE} ${height}" font-family="system-ui, sans-serif" role="group" aria-label="${title}: ${subtitle}">`;
  return `${head}${svg.innerHTML}${placed.join("\n")}</svg>`;
}
