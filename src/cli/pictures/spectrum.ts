import * as Plot from "@observablehq/plot";
import { INK, QUIET, figureSvg, heading } from "./figure.ts";
import { count, figures, powerOfTen, roundedUp, subscript, withBound } from "./numbers.ts";
import type { ReportData, Spectrum } from "./data.ts";

export const POINT = "#31688e";
export const BAR = "#e4762b";

interface Point {
  i: number;
  /** Where the point stands: λ, or the upper end of its interval when that reaches 0. */
  at: number;
  low: number;
  high: number;
  resolved: boolean;
}

/** λ is resolved when its interval lies above 0. */
export const isResolved = (value: number, bound: number): boolean => value - bound > 0;

/** "n = 512 · 665,601 parameters": what the matrix is of. */
export const sizes = (report: Pick<ReportData, "n" | "outputs" | "parameters">): string =>
  [
    `n = ${count(report.n)}`,
    report.outputs > 1 ? `${report.outputs} outputs` : "",
    `${count(report.parameters)} parameters`,
  ]
    .filter(Boolean)
    .join(" · ");

/** "guaranteed", or with what probability all intervals hold. */
export const kindOfBound = ({ boundKind, confidence }: Spectrum): string =>
  confidence === undefined ? boundKind : `${boundKind}, confidence ${figures(confidence, 6)}`;

/** Eigenvalues with their intervals as they stand on a logarithmic axis from `floor` up. */
function laidOut({ eigenvalues, errorBounds, indices }: Spectrum): {
  points: Point[];
  floor: number;
} {
  const points = eigenvalues.map((value, k) => {
    const [low, high] = [value - errorBounds[k], value + errorBounds[k]];
    const resolved = isResolved(value, errorBounds[k]);
    return { i: (indices?.[k] ?? k) + 1, at: resolved ? value : high, low, high, resolved };
  });
  const heights = points.map(({ at }) => at).filter((at) => at > 0);
  // Room below the lowest point, but no further down than an f64 beside the largest value can mean.
  const floor = heights.length
    ? Math.max(Math.min(...heights), 1e-18 * Math.max(...heights)) / 3
    : 0.1;
  // What reaches 0 or below goes down to the axis and no further.
  const clip = (y: number) => (y > floor ? y : floor);
  return {
    points: points.map((p) => ({ ...p, at: clip(p.at), low: clip(p.low), high: clip(p.high) })),
    floor,
  };
}

/** Ticks of a logarithmic axis: 1, 2, 5, 10 … where `fine`, else powers of ten, nine at most. */
export function logTicks(low: number, high: number, fine: boolean): number[] {
  const [from, to] = [low, high].map((end) => Math.floor(Math.log10(end)));
  const step = Math.ceil((to - from) / 9);
  return Array.from({ length: to - from + 1 }, (_, k) => from + k)
    .filter((power) => fine || power % step === 0)
    .flatMap((power) => (fine ? [1, 2, 5] : [1]).map((digit) => Number(`${digit}e${power}`)))
    .filter((tick) => tick >= low && tick <= high);
}

/** Every index where there are few, else 1 and the multiples of 5. */
const indexTicks = (last: number): number[] =>
  Array.from({ length: last }, (_, k) => k + 1).filter((i) => last <= 12 || i === 1 || i % 5 === 0);

const UPRIGHT = {
  draw(
    path: { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void },
    length: number,
  ) {
    path.moveTo(0, 0);
    path.lineTo(0, -length);
  },
};

/** One line of the key at the lower left: a point with its bar, and what it stands for. */
function keyLine(text: string, line: number, dot: Plot.DotOptions, bar: string): Plot.Markish[] {
  const at = (dx: number) => ({ frameAnchor: "bottom-left" as const, dx, dy: -18 - 26 * line });
  return [
    Plot.vector([0], {
      ...at(22),
      length: 22,
      anchor: "middle",
      shape: UPRIGHT,
      stroke: bar,
      strokeWidth: 2.5,
    }),
    Plot.dot([0], { ...at(22), ...dot, r: 5 }),
    Plot.text([text], { ...at(38), textAnchor: "start", fontSize: 14.5, fill: INK }),
  ];
}

/**
 * The spectrum as a standalone SVG file: λ_i against i, both logarithmic (i linear below 30), each value with its
 * interval λ_i ± errorBounds[i]. A value whose interval reaches 0 stands hollow at the interval's upper end.
 */
export function spectrumSvg(
  report: Pick<ReportData, "n" | "outputs" | "parameters" | "spectrum">,
): string {
  const { spectrum } = report;
  const { points, floor } = laidOut(spectrum);
  const [resolved, unresolved] = [true, false].map((kind) =>
    points.filter((p) => p.resolved === kind),
  );
  const last = Math.max(1, ...points.map(({ i }) => i));
  const top = Math.max(12 * floor, ...points.map(({ high }) => 3 * high));
  const few = points.length <= 64;
  const place = { x: "i", y: "at", r: few ? 5 : points.length <= 1024 ? 3.2 : 2.6 };
  const logX = last >= 30;
  const across = logX ? [0.88, last * 1.14] : [0.5, last + 0.5];
  const xTicks = logX ? logTicks(across[0], across[1], true) : indexTicks(last);
  const fine = top / floor < 100;
  const yTicks = logTicks(floor, top, fine);
  const yName = (y: number) => (fine ? figures(y) : powerOfTen(Math.round(Math.log10(y))));
  // One path for all bars: a gap in the values lifts the pen.
  const bars = (of: Point[], stroke: string) =>
    Plot.line(
      of.flatMap(({ i, low, high }) => [
        [i, low],
        [i, high],
        [i, NaN],
      ]),
      { stroke, strokeWidth: few ? 2.5 : 1.5, z: null },
    );
  const ends = [...new Set([0, points.length - 1])].filter((k) => k >= 0);
  const extremes = ends.map((k) => {
    const value = withBound(spectrum.eigenvalues[k], spectrum.errorBounds[k]);
    const remark = points[k].resolved ? "" : ", not resolved";
    return `λ${subscript(points[k].i)} = ${value}${remark}`;
  });

  const axisName = { fontSize: 18, fontStyle: "italic", fill: INK };
  const title = "Spectrum of the neural tangent kernel";
  const subtitle = [
    sizes(report),
    `condition ${spectrum.condition === null ? "not resolved" : figures(spectrum.condition)}`,
    `effective rank ${figures(spectrum.effectiveRank)}`,
    spectrum.converged ? "" : "not converged",
  ]
    .filter(Boolean)
    .join(" · ");
  return figureSvg(
    {
      width: 960,
      height: 600,
      marginTop: 88,
      marginLeft: 82,
      marginRight: 28,
      marginBottom: 62,
      x: { type: logX ? "log" : "linear", domain: across },
      y: { type: "log", domain: [floor, top] },
      marks: [
        heading(title, subtitle, -60),
        Plot.gridX(logX ? xTicks : [], { strokeOpacity: 0.12 }),
        Plot.gridY(yTicks, { strokeOpacity: 0.12 }),
        Plot.axisX(xTicks, { label: null, tickSize: 5, ticks: Infinity, tickFormat: count }),
        Plot.axisY(yTicks, { label: null, tickSize: 5, ticks: Infinity, tickFormat: yName }),
        Plot.text(["i"], { ...axisName, frameAnchor: "bottom", dy: 48 }),
        Plot.text(["λᵢ"], { ...axisName, frameAnchor: "left", dx: -64 }),
        bars(unresolved, "#c9ccd3"),
        bars(resolved, BAR),
        Plot.dot(unresolved, { ...place, stroke: QUIET, fill: "white", className: "unresolved" }),
        Plot.dot(resolved, { ...place, fill: POINT, className: "resolved" }),
        Plot.text([extremes.join("\n")], {
          frameAnchor: "top-right",
          textAnchor: "end",
          lineHeight: 1.5,
          dx: -8,
          dy: 10,
          fill: INK,
        }),
        keyLine(
          `λᵢ with its error bar: ${kindOfBound(spectrum)}, at most ± ${roundedUp(Math.max(0, ...spectrum.errorBounds))}`,
          unresolved.length ? 1 : 0,
          { fill: POINT },
          BAR,
        ),
        unresolved.length
          ? keyLine(
              `not resolved (${count(unresolved.length)}): the interval reaches 0; the point is its upper end`,
              0,
              { stroke: QUIET, fill: "white" },
              "#c9ccd3",
            )
          : [],
      ],
    },
    `${title}: ${subtitle}`,
  );
}
