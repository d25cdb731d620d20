import * as Plot from "@observablehq/plot";
import { type Run, classRuns } from "./classes.ts";
import { INK, QUIET, figureSvg, heading } from "./figure.ts";
import { count, figures, subscript } from "./numbers.ts";
import type { ReportData } from "./data.ts";

/**
 * The leading eigenvectors (three at most), component against position in `order`, one colour a class: a standalone SVG file.
 * Signs are free; each vector is turned so that its components sum to no less than 0.
 */
export function vectorsSvg(
  report: Pick<ReportData, "n" | "outputs" | "spectrum" | "vectors" | "classes" | "order">,
  word = "class",
): string {
  const { classes, order, spectrum } = report;
  const N = report.n * report.outputs;
  const vectors = report.vectors ?? new Float32Array();
  const k = Math.min(3, Math.floor(vectors.length / N));
  const runs = classRuns(classes, order, N);
  const inner = runs.filter(({ from }) => from > 0).map(({ from }) => from);
  const named = runs.filter(({ from, to }) => (to - from) / N >= 0.02);
  const roomy = named.every(({ from, to }) => (to - from) / N >= 0.08);
  const components = Array.from({ length: k }, (_, r) => {
    const v = vectors.subarray(r * N, (r + 1) * N);
    const sign = v.reduce((sum, value) => sum + value, 0) < 0 ? -1 : 1;
    return Array.from({ length: N }, (_, p) => {
      const row = order ? order[p] : p;
      const label = classes ? classes[Math.floor(row / report.outputs)] : 0;
      return { r, p, value: sign * v[row], label };
    });
  }).flat();
  const colours = [...new Set(classes ?? [0])].sort((a, b) => a - b);
  const title = "Leading eigenvectors";
  const subtitle = `component against sample${runs.length ? `, ordered and coloured by ${word}` : ""}`;
  const vectorName = (r: number) =>
    `v${subscript(r + 1)}  (λ${subscript(r + 1)} = ${figures(spectrum.eigenvalues[r], 4)})`;
  return figureSvg(
    {
      width: 960,
      height: 142 + 165 * k + 58,
      marginTop: 142,
      marginLeft: 74,
      marginRight: 30,
      marginBottom: 58,
      x: { domain: [-0.01 * N, 1.01 * N], label: null },
      y: { nice: true, label: null },
      fy: { domain: Array.from({ length: k }, (_, r) => r), padding: 0.22, axis: null },
      color: { type: "categorical", domain: colours, scheme: "observable10" },
      marks: [
        heading(title, subtitle, -54, 52),
        Plot.axisX({ ticks: 6, tickFormat: (p: number) => (Number.isInteger(p) ? count(p) : "") }),
        Plot.axisY({ ticks: 3, tickFormat: (v: number) => figures(v, 3) }),
        Plot.ruleX(inner, { stroke: QUIET, strokeOpacity: 0.5, strokeDasharray: "3,3" }),
        Plot.ruleY([0], { stroke: QUIET, strokeOpacity: 0.6 }),
        Plot.dot(components, {
          x: "p",
          y: "value",
          fy: "r",
          fill: "label",
          r: N <= 600 ? 2.6 : 1.8,
        }),
        Plot.text(
          Array.from({ length: k }, (_, r) => r),
          {
            fy: (r: number) => r,
            text: vectorName,
            frameAnchor: "top-left",
            lineAnchor: "bottom",
            dy: -8,
            fontWeight: 600,
            fill: INK,
          },
        ),
        Plot.text(named, {
          x: ({ from, to }: Run) => (from + to) / 2,
          text: ({ label }: Run) => (roomy ? `${word} ` : "") + count(label),
          facetAnchor: "top",
          frameAnchor: "top",
          lineAnchor: "bottom",
          dy: -30,
          fill: "label",
          fontWeight: 600,
        }),
        Plot.text(["sample"], { facetAnchor: "bottom", frameAnchor: "bottom", dy: 46, fill: INK }),
      ],
    },
    `${title}: ${subtitle}`,
  );
}
