import * as Plot from "@observablehq/plot";
import { INK, QUIET, figureSvg } from "./figure.ts";
import { count, figures, powerOfTen } from "./numbers.ts";
import { logTicks } from "./spectrum.ts";

const DASHES = "5,4";
/** Steps at which predictions are drawn, and looks that have a mark, at most. */
export const DRAWN = 400;
/** Widths of a panel that stands alone, and of one beside another. */
export const [WIDE, HALF] = [1000, 492];
/** Height of a row of the key. */
const KEY = 21;

/** A point of a series; `low` and `high` are the ends of its interval. */
export interface Point {
  readonly step: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
  /** Its interval reaches 0: it stands hollow at the upper end. */
  readonly open: boolean;
}

/** What is drawn in one colour. */
export interface Series {
  readonly colour: string;
  readonly points: readonly Point[];
  readonly line?: "solid" | "dashed";
  readonly marks?: boolean;
  /** Named in the key; left out: not there. */
  readonly name?: string;
  /** A prediction: drawn as far as it is near what was measured. */
  readonly predicted?: boolean;
}

/** A line of the key without a series of its own. */
export type Key = Pick<Series, "colour" | "line" | "marks" | "name">;

/** What a picture of quantities over steps shows. */
export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
  readonly axis: "log" | "linear";
  readonly width?: number;
  readonly height?: number;
  /** Rows of the key; default one for each series that has a name. */
  readonly keys?: readonly (readonly Key[])[];
  /** A level with its name. */
  readonly level?: { readonly y: number; readonly name: string };
}

/** A value at a step, with half the width of its interval. */
export const point = (step: number, value: number, bound = 0): Point => {
  const [low, high] = [value - bound, value + bound];
  const open = bound > 0 && low <= 0;
  return { step, y: open ? high : value, low, high, open };
};

/** Least and largest of any number of values. */
const span = (values: readonly number[]): [number, number] =>
  values.reduce(
    ([least, largest], y) => [Math.min(least, y), Math.max(largest, y)],
    [Infinity, -Infinity],
  );

/** The ends of an axis that shows every measured value, and predictions as far as `most` times those. */
function ends({ axis, series, level }: Panel, most = 10): [number, number] {
  const values = (of: readonly Series[], far: (p: Point) => number[]) =>
    of.flatMap(({ points }) => points.flatMap(far)).filter((y) => Number.isFinite(y));
  const measured = series.filter(({ predicted }) => !predicted);
  if (axis === "linear") {
    const [least, largest] = span([0, ...values(measured, ({ y }) => [y])]);
    const room = (largest - least || 1) / 16;
    return [least < 0 ? least - room : 0, largest + room];
  }
  const positive = (all: number[]) => all.filter((y) => y > 0);
  const seen = positive([
    ...values(measured, ({ y, low, high }) => [y, Math.max(low, y / 10), Math.min(high, 10 * y)]),
    ...(level ? [level.y] : []),
  ]);
  if (seen.length === 0) return [0.1, 1];
  const [least, largest] = span(seen);
  const near = positive(
    values(
      series.filter(({ predicted }) => predicted),
      ({ y }) => [Math.min(Math.max(y, least / most), largest * most)],
    ),
  );
  // No further down than an f64 beside the largest value can mean.
  const [low, high] = span([least, largest, ...near]);
  const floor = Math.max(low, 1e-18 * largest) / 1.6;
  const top = high * 1.6;
  const missing = Math.max(1, Math.sqrt((12 * floor) / top));
  return [floor / missing, top * missing];
}

/** The parts of a line inside [low, high] of a logarithmic axis, cut where it crosses them; NaN lifts the pen. */
export function inside<P extends { readonly step: number; readonly y: number }>(
  points: readonly P[],
  [low, high]: readonly [number, number],
): { step: number; y: number }[] {
  const parts: { step: number; y: number }[] = [];
  let joined = false;
  for (let k = 1; k < points.length; k++) {
    const [a, b] = [points[k - 1], points[k]];
    const [p, q] = [a, b].map(({ y }) => Math.log(Math.max(y, Number.MIN_VALUE)));
    const shares = [low, high].map((y) => (Math.log(y) - p) / (q - p)).sort((s, t) => s - t);
    const level = p === q && a.y >= low && a.y <= high;
    const [from, to] = level ? [0, 1] : [Math.max(0, shares[0]), Math.min(1, shares[1])];
    if (!(from < to)) {
      joined = false;
      continue;
    }
    const at = (share: number) => ({
      step: a.step + share * (b.step - a.step),
      y: Math.exp(p + share * (q - p)),
    });
    const start = from > 0 ? at(from) : { step: a.step, y: a.y };
    if (!joined) parts.push({ step: a.step, y: NaN }, start);
    parts.push(to < 1 ? at(to) : { step: b.step, y: b.y });
    joined = to === 1;
  }
  return parts;
}

const ALONG = {
  draw(
    path: { moveTo(x: number, y: number): void; lineTo(x: number, y: number): void },
    length: number,
  ) {
    path.moveTo(0, 0);
    path.lineTo(0, -length);
  },
};

/** One entry of the key: a piece of its line, a mark, its name. */
function keyEntry({ colour, line, marks, name }: Key, dx: number, dy: number): Plot.Markish[] {
  const at = { frameAnchor: "top-left" as const, dy };
  return [
    line
      ? Plot.vector([0], {
          ...{ ...at, dx, length: 26, rotate: 90, anchor: "start", shape: ALONG, stroke: colour },
          ...{ strokeWidth: 2.2, strokeDasharray: line === "dashed" ? DASHES : undefined },
        })
      : [],
    marks ? Plot.dot([0], { ...at, dx: dx + 13, r: 3.6, fill: colour }) : [],
    Plot.text([name ?? ""], {
      ...at,
      dx: dx + 33,
      textAnchor: "start",
      lineAnchor: "middle",
      fontSize: 14,
      fill: INK,
    }),
  ];
}

/** Some of many, the last among them. */
const thinned = <T>(all: readonly T[]): readonly T[] => {
  const every = Math.ceil(all.length / DRAWN);
  return all.filter((_, k) => (all.length - 1 - k) % every === 0);
};

/** A panel as an SVG file: the key above it, steps along x. */
export function panelSvg(panel: Panel, description: string): string {
  const { title, series, axis, width = HALF, height = 336, level } = panel;
  const keys = panel.keys ?? series.filter(({ name }) => name).map((each): Key[] => [each]);
  const domain = ends(panel);
  const isLog = axis === "log";
  const [floor, top] = domain;
  const isIn = ({ y }: Point) => y >= floor && y <= top;
  const [, steps] = span([1, ...series.flatMap(({ points }) => points.map(({ step }) => step))]);
  const across = [-0.015 * steps, 1.015 * steps];
  const fine = top / floor < 400;
  const ticks = isLog ? logTicks(floor, top, fine) : undefined;
  const yName = (y: number) =>
    isLog && !fine
      ? powerOfTen(Math.round(Math.log10(y)))
      : figures(y, 3).replace(" × ", "×").replace(/^1×/, "");
  const yAxis = { label: null, tickSize: 5, tickFormat: yName };
  const marginTop = 46 + KEY * keys.length;
  const pixels = (height - marginTop - 46) / Math.log(top / floor);
  const bars = ({ points, colour }: Series) =>
    Plot.line(
      points
        // Lower than a mark an interval is not seen.
        .filter(({ y, low, high }) => y > 0 && Math.log(high / Math.max(low, floor)) * pixels > 6)
        .flatMap(({ step, low, high }) => [
          [step, Math.max(low, floor)],
          [step, Math.min(high, top)],
          [step, NaN],
        ]),
      { stroke: colour, strokeOpacity: 0.45, strokeWidth: 2, z: null },
    );
  const lines = series.filter(({ line }) => line);
  const nothing = series.every(({ points }) => !points.some(isIn));
  return figureSvg(
    {
      ...{ width, height, marginTop, marginLeft: 72, marginRight: 18, marginBottom: 46 },
      x: { domain: across },
      y: { type: axis, domain },
      marks: [
        Plot.text([title], {
          ...{ frameAnchor: "top-left", lineAnchor: "bottom", dx: -60, dy: 26 - marginTop },
          ...{ fontSize: 18, fontWeight: 600, fill: INK },
        }),
        keys.map((row, r) =>
          row.map((each, c) =>
            keyEntry(each, -60 + (c * (width - 24)) / row.length, KEY * (r + 0.5) - marginTop + 36),
          ),
        ),
        ticks
          ? Plot.gridY(ticks, { strokeOpacity: 0.12 })
          : Plot.gridY({ ticks: 5, strokeOpacity: 0.12 }),
        Plot.axisX({
          ...{ label: null, ticks: width > HALF ? 10 : 5, tickSize: 5 },
          tickFormat: (step: number) => (Number.isInteger(step) ? count(step) : ""),
        }),
        ticks
          ? Plot.axisY(ticks, { ...yAxis, ticks: Infinity })
          : Plot.axisY({ ...yAxis, ticks: 5 }),
        Plot.text(["step"], { frameAnchor: "bottom", dy: 40, fontSize: 14, fill: INK }),
        level
          ? [
              Plot.ruleY([level.y], { stroke: QUIET, strokeDasharray: DASHES, strokeWidth: 1.6 }),
              Plot.text([level.name], {
                ...{ x: steps, y: level.y, textAnchor: "end", lineAnchor: "bottom", dy: -4 },
                ...{ fontSize: 14, fill: INK, stroke: "white", strokeWidth: 4 },
              }),
            ]
          : [],
        isLog ? series.filter(({ predicted }) => !predicted).map(bars) : [],
        lines.map(({ points, colour, line }) =>
          Plot.line(isLog ? inside(points, [floor, top]) : points, {
            ...{ x: "step", y: "y", stroke: colour, z: null },
            ...{ strokeWidth: line === "dashed" ? 1.5 : 1.9 },
            strokeDasharray: line === "dashed" ? DASHES : undefined,
          }),
        ),
        series
          .filter(({ marks }) => marks)
          .map(({ points, colour }) => {
            const [open, full] = [true, false].map((kind) =>
              thinned(points.filter((p) => p.open === kind && isIn(p))),
            );
            const place = { x: "step", y: "y", r: 2.7 };
            return [
              Plot.dot(full, { ...place, fill: colour, className: "seen" }),
              open.length
                ? Plot.dot(open, { ...place, stroke: colour, fill: "white", className: "open" })
                : [],
            ];
          }),
        nothing
          ? Plot.text(["nothing to show: 0, or not finite"], {
              frameAnchor: "middle",
              fontSize: 15,
              fill: QUIET,
            })
          : [],
      ],
    },
    `${title}: ${description}`,
  );
}
