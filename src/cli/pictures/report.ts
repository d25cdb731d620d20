import type { Certificate, Check } from "../../theory.ts";
import type { ReportData, TrainingData } from "./data.ts";
import { gramSvg } from "./gram.ts";
import { count, figures, withBound } from "./numbers.ts";
import { isResolved, kindOfBound, spectrumSvg } from "./spectrum.ts";
import { runOf, trainingPanels } from "./training.ts";
import { vectorsSvg } from "./vectors.ts";

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => ENTITIES[c]);

/** One row for the widths, "784–512–1", and one for each other key of the network file. */
function networkRows(network: object): [string, string][] {
  const text = (value: unknown, between: string) =>
    Array.isArray(value) ? value.join(between) : String(value);
  return Object.entries(network).map(([key, value]) =>
    key === "widths" ? ["network", text(value, "–")] : [escaped(key), text(value, ", ")],
  );
}

const seconds = (s: number): string =>
  s < 1 ? `${figures(1000 * s, 3)} ms` : `${figures(s, 3)} s`;
const rows = (pairs: [string, string][]): string =>
  pairs
    .map(([name, value]) => `<tr><th scope="row">${name}</th><td>${escaped(value)}</td></tr>`)
    .join("\n");

const STYLE = `
:root { color-scheme: light dark; --ink: #1f2430; --quiet: #5b6270; --line: #d9dce3; --page: #f6f7f9; --card: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ee; --quiet: #a3aab8; --line: #353b47; --page: #14171d; --card: #1c2129; }
}
body { margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; }
p { max-width: 46rem; }
.tables { display: grid; margin: 1.5rem 0; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; align-items: start; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); border-radius: 8px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .25rem 0 .4rem; }
table + table { margin-top: 1rem; }
th, td { padding: .35rem .65rem; border-top: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
tr:first-child > * { border-top: 0; }
th { font-weight: 500; color: var(--quiet); white-space: nowrap; }
figure { margin: 1rem 0 2rem; }
figure svg { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }
figcaption, footer { color: var(--quiet); font-size: .92rem; margin-top: .5rem; max-width: 46rem; }
`;

/** What the page needs besides where it shows training. */
const TRAINING_STYLE = `h2 { font-size: 1.4rem; margin: 2rem 0 .5rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 0 1rem; }
.panels figure:last-child { grid-column: 1 / -1; }
.scrolled { overflow-x: auto; margin: 1rem 0; }
.certificate th { white-space: normal; }
.certificate td { white-space: nowrap; }
.certificate thead th { font-weight: 600; white-space: nowrap; }
.scrolled table { min-width: 46rem; }
.certificate small { display: block; }
`;

const table = (name: string, pairs: [string, string][]): string =>
  `<table>\n<caption>${name}</caption>\n${rows(pairs)}\n</table>`;
const figure = (svg: string, words: string): string =>
  `<figure>\n${svg}\n<figcaption>${words}</figcaption>\n</figure>`;

/** "holds", or what is against it. */
const verdict = ({ holds, firstFailure }: Check): string =>
  holds ? "holds" : holds === null ? "open" : `fails at step ${count(firstFailure!.step)}`;

/** The certificate: what it is made of, and its inequalities one by one. */
function certificateTables(certificate: Certificate): string {
  const { lambda, lambdaOf, jacobianBound, radius, time, checks, widths } = certificate;
  const of = lambdaOf === "limit" ? "H<sub>∞</sub>" : "H<sub>0</sub>";
  const parts: [string, string][] = [
    [`λ, of ${of} from below`, figures(lambda)],
    ["K = 2 ‖J<sub>0</sub>‖", figures(jacobianBound)],
    ["R′ = (2K / λ) ‖r<sub>0</sub>‖", figures(radius)],
    ["T, as far as was watched", figures(time)],
    ["every inequality holds", certificate.holds ? "yes" : "no"],
  ];
  const estimates = widths.map(({ formula, width }): [string, string] => [
    escaped(formula),
    figures(width),
  ]);
  const row = (check: Check): string => {
    const sides = [check.left, check.right, check.slack].map((side) => figures(side));
    const cells = [...sides, count(check.step), verdict(check)];
    return `<tr><th scope="row">${escaped(check.formula)}<small>${escaped(check.name)} (${check.statement})</small></th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  };
  const heads = ["inequality", "left", "right", "slack", "at step", "verdict"];
  return `<div class="tables certificate">
<div>${table("The convergence argument", parts)}</div>
<div>${table("Widths needed: estimates, not proved", estimates)}</div>
</div>
<div class="scrolled certificate"><table>
<caption>Its inequalities, each at the step of least slack</caption>
<thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead>
<tbody>
${checks.map(row).join("\n")}
</tbody>
</table></div>`;
}

/** The part of the page that shows a training run. */
const trainingSection = (training: TrainingData): string => `<h2>Training</h2>
<p>Gradient descent with the loss ½ Σ r², all samples a step: ${runOf(training)}. The kernel was looked at
${count(training.tracked.length)} times; a network of infinite width would keep the kernel of step 0.</p>
<div class="panels">
${trainingPanels(training)
  .map(({ svg, words }) => figure(svg, escaped(words)))
  .join("\n")}
</div>
${training.certificate ? certificateTables(training.certificate) : ""}
`;

/**
 * The whole run as one page that needs nothing else: no scripts, no requests, light and dark.
 * Strings from outside (files, adapter, network) are escaped.
 */
export function reportHtml(report: ReportData): string {
  const { spectrum } = report;
  const { eigenvalues, errorBounds, stages } = spectrum;
  const least = eigenvalues.lastIndexOf(spectrum.lambdaMin);
  const word = /^mnist/.test(report.inputs) ? "digit" : "class";
  const run: [string, string][] = [
    ...networkRows(report.network),
    ["inputs", report.inputs],
    ["samples n", count(report.n)],
    ["outputs", count(report.outputs)],
    ["parameters", count(report.parameters)],
    ["adapter", report.adapter],
  ];
  const found: [string, string][] = [
    ["λ<sub>max</sub>", withBound(spectrum.lambdaMax, errorBounds[0])],
    ["λ<sub>min</sub>", withBound(spectrum.lambdaMin, errorBounds[least])],
    ["condition", spectrum.condition === null ? "not resolved" : figures(spectrum.condition)],
    ["effective rank", figures(spectrum.effectiveRank)],
    ["trace", figures(spectrum.trace, 6)],
    ["error bounds", kindOfBound(spectrum)],
    ["precision", `${spectrum.precision}${spectrum.converged ? "" : ", not converged"}`],
  ];
  const ten = eigenvalues.slice(0, 10).map((value, k): [string, string] => {
    const remark = isResolved(value, errorBounds[k]) ? "" : " (not resolved)";
    return [`λ<sub>${k + 1}</sub>`, withBound(value, errorBounds[k]) + remark];
  });
  const times = Object.entries(stages).map(([stage, s]): [string, string] => [
    escaped(stage),
    seconds(s),
  ]);
  const bars = `Each bar is λ<sub>i</sub> ± its error bound (${escaped(kindOfBound(spectrum))}): the interval holds the
    eigenvalue of the exact H of these float32 weights and inputs; where it reaches 0 the eigenvalue is not resolved and
    its point stands hollow at the upper end.`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(report.title)}</title>
<style>${STYLE}${report.training ? TRAINING_STYLE : ""}</style>
</head>
<body>
<h1>${escaped(report.title)}</h1>
<p>The neural tangent kernel of a network compares two inputs by their gradients: H<sub>ij</sub> = ⟨∇f(x<sub>i</sub>),
∇f(x<sub>j</sub>)⟩, the derivatives taken in all ${count(report.parameters)} parameters. Under gradient descent a wide network
learns the part of the target along each eigenvector of H at the rate of its eigenvalue, so the spectrum says what is learned
fast, what slowly, and what hardly at all.</p>
<div class="tables">
<div>${table("The run", run)}</div>
<div>${table("The spectrum", found)}${table("Time", times)}</div>
<div>${table("Largest eigenvalues", ten)}</div>
</div>
${figure(spectrumSvg(report), bars)}
${figure(gramSvg(report, word), "Entry H<sub>ij</sub> for every pair of samples; rows and columns in the same order.")}
${report.vectors?.length ? figure(vectorsSvg(report, word), "Eigenvectors have no sign of their own: each is turned so that its components sum to no less than 0.") : ""}
${report.training ? trainingSection(report.training) : ""}<footer>Written by webgpu-ntk.</footer>
</body>
</html>
`;
}
