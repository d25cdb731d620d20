import * as Plot from "@observablehq/plot";
import { classRuns } from "./classes.ts";
import { INK, element, figureSvg, heading, styled } from "./figure.ts";
import { drawText, textWidth } from "./glyphs.ts";
import { Canvas, heat, paint, palette, rgb } from "./heat.ts";
import { count, figures } from "./numbers.ts";
import { sizes } from "./spectrum.ts";
import type { ReportData } from "./data.ts";

/** Fewer pixels than this are scaled up by a whole number. */
const LEAST = 512;

/** The colour scale as a figure of Plot: a ramp `width` wide and `height` high with its axis at the right. */
const colourScale = (
  domain: [number, number],
  width: number,
  height: number,
  pad = 0,
): Plot.PlotOptions => {
  const [low, high] = domain;
  const digits = Math.ceil(Math.log10(Math.max(-low, high) / (high - low))) + 3;
  return {
    width: width + 100,
    height: height + 2 * pad,
    margin: pad,
    marginLeft: 0,
    marginRight: 100,
    y: { domain },
    marks: [
      gradient(domain),
      Plot.frame({ fill: "url(#colour-scale)", stroke: null }),
      Plot.axisY({
        anchor: "right",
        label: null,
        ticks: 6,
        tickSize: 6,
        tickFormat: (x: number) => figures(x, Math.min(Math.max(digits, 3), 12)),
      }),
    ],
  };
};

/** The palette as a gradient from the bottom to the top. */
const gradient = (domain: [number, number]) => () => {
  const defs = element("defs", {});
  const ramp = element("linearGradient", { id: "colour-scale", x1: 0, y1: 1, x2: 0, y2: 0 });
  palette(domain).forEach((colour, k) => {
    if (k % 5 === 0)
      ramp.append(element("stop", { offset: k / 255, "stop-color": `rgb(${colour.join()})` }));
  });
  defs.append(ramp);
  return defs;
};

/** The ticks that Plot chooses for the colour scale, for the image that has no Plot in it: `at` is 0 at the lower end, 1 at the upper. */
function scaleTicks(domain: [number, number]): { label: string; at: number }[] {
  const axis = Plot.plot(styled(colourScale(domain, 0, 1000)));
  return [...axis.querySelectorAll("text")].map((text) => ({
    label: text.textContent ?? "",
    at: 1 - Number(text.getAttribute("transform")!.split(/[,)]/)[1]) / 1000,
  }));
}

/**
 * The Gram matrix as one image: entry (order[p], order[q]) at row p and column q, with a colour scale at its right and,
 * where `classes` are given, the class of each run of rows at the left and the top.
 *
 * Up to 2048 rows each entry is a square of whole pixels (at least 512 in all); beyond, each pixel is the mean of a block.
 * Colours: viridis from the least to the largest value; blue–white–red with 0 in the middle where both signs occur.
 *
 * @param gram [N, N], row-major, finite
 * @param order the row drawn at each position, [N]; null: as they lie
 * @param classes one label a sample, [n]; N is a multiple of n
 * @returns the bytes of a PNG file
 * @throws InputError when the sizes do not agree; NonFiniteError
 */
export function gramPng(
  gram: Float32Array | Float64Array,
  N: number,
  order: Uint32Array | null,
  classes: number[] | null = null,
): Uint8Array {
  const map = heat("gramPng", gram, N, order);
  const zoom = Math.ceil(LEAST / map.size);
  const side = map.size * zoom;
  const text = Math.round(side / 40);
  const pen = Math.round(text / 11);
  const runs = classRuns(classes, order, N);
  const ticks = scaleTicks(map.domain);
  const widestName = Math.max(text, ...runs.map(({ label }) => textWidth(count(label), text)));
  const margin = Math.round(runs.length ? widestName + 1.9 * text : 1.6 * text);
  const bar = { left: margin + side + 2 * text, width: Math.round(1.7 * text) };
  const labels = bar.left + bar.width + Math.round(0.9 * text);
  const widest = Math.max(...ticks.map(({ label }) => textWidth(label, text)));
  const canvas = new Canvas(Math.ceil(labels + widest + 1.6 * text), side + 2 * margin);
  const ink = rgb(INK);
  const write = (words: string, x: number, y: number) =>
    drawText(words, x, y, text, (column, row, cover) => canvas.blend(ink, column, row, cover));

  paint(canvas, map, margin, margin, zoom);
  const colours = palette(map.domain);
  for (let y = 0; y < side; y++)
    canvas.fill(
      colours[Math.round(255 * (1 - y / (side - 1)))],
      bar.left,
      margin + y,
      bar.width,
      1,
    );
  for (const { label, at } of ticks) {
    const y = margin + Math.round((1 - at) * (side - pen));
    canvas.fill(ink, bar.left + bar.width, y, Math.round(text / 2), pen);
    write(label, labels, y + pen / 2);
  }
  for (const { label, from, to } of runs) {
    const [start, middle, end] = [from, (from + to) / 2, to].map(
      (p) => margin + Math.round((p * side) / N),
    );
    if (from > 0) {
      canvas.fill(ink, margin - text, start, Math.round(0.7 * text), pen);
      canvas.fill(ink, start, margin - text, pen, Math.round(0.7 * text));
    }
    const wide = textWidth(count(label), text);
    if (end - start < 1.3 * Math.max(wide, text)) continue;
    write(count(label), margin - 0.8 * text - wide, middle);
    write(count(label), middle - wide / 2, margin - 1.3 * text);
  }
  return canvas.png();
}

const SIDE = 640;

/**
 * The same heat map as a Plot figure and standalone SVG file: one n × n image, axes by Plot, classes named and parted by
 * lines, the colour scale at the right.
 *
 * @param word the word before a class's number: "digit"
 */
export function gramSvg(
  report: Pick<ReportData, "n" | "outputs" | "parameters" | "gram" | "classes" | "order">,
  word = "class",
): string {
  const N = report.n * report.outputs;
  const map = heat("gramSvg", report.gram, N, report.order);
  const canvas = new Canvas(map.size, map.size);
  paint(canvas, map, 0, 0, 1);
  const src = `data:image/png;base64,${Buffer.from(canvas.png()).toString("base64")}`;
  const runs = classRuns(report.classes, report.order, N);
  const inner = runs.filter(({ from }) => from > 0).map(({ from }) => from);
  const [top, left] = [runs.length ? 116 : 92, runs.length ? 56 : 72];

  const names = (axis: typeof Plot.axisX, options: Plot.AxisXOptions & Plot.AxisYOptions) => {
    const shown = runs.filter(({ from, to }) => ((to - from) * SIDE) / N >= 16);
    const roomy = shown.every(({ from, to }) => ((to - from) * SIDE) / N >= 80);
    const name = new Map(
      shown.map((run) => [
        (run.from + run.to) / 2,
        `${roomy ? `${word} ` : ""}${count(run.label)}`,
      ]),
    );
    return axis([...name.keys()], {
      label: null,
      tickSize: 0,
      tickFormat: (p: number) => name.get(p) ?? "",
      ...options,
    });
  };
  const scale = () => {
    const node = Plot.plot(styled(colourScale(map.domain, 24, SIDE, 10))) as SVGSVGElement;
    node.setAttribute("x", String(left + SIDE + 28));
    node.setAttribute("y", String(top - 10));
    return node;
  };
  const parting = { stroke: map.domain[0] < 0 ? INK : "white", strokeOpacity: 0.7 };
  const numbers = {
    label: null,
    ticks: 6,
    tickFormat: (p: number) => (Number.isInteger(p) ? count(p) : ""),
  };
  const title = "Gram matrix of the neural tangent kernel";
  const subtitle = [
    sizes(report),
    runs.length ? `rows ordered by ${word}` : "",
    map.block > 1 ? `each pixel the mean of ${map.block} × ${map.block} entries` : "",
  ]
    .filter(Boolean)
    .join(" · ");
  return figureSvg(
    {
      width: left + SIDE + 150,
      height: top + SIDE + 58,
      marginTop: top,
      marginLeft: left,
      marginRight: 150,
      marginBottom: 58,
      x: { domain: [0, N] },
      y: { domain: [0, N], reverse: true },
      marks: [
        heading(title, subtitle, 0, runs.length ? 24 : 0),
        Plot.image([0], {
          src,
          frameAnchor: "middle",
          width: SIDE,
          height: SIDE,
          preserveAspectRatio: "none",
          imageRendering: map.size <= SIDE ? "pixelated" : "auto",
        }),
        Plot.ruleX(inner, parting),
        Plot.ruleY(inner, parting),
        Plot.axisX(numbers),
        runs.length
          ? [
              names(Plot.axisX, { anchor: "top" }),
              names(Plot.axisY, { textAnchor: "middle", rotate: -90, tickPadding: 10 } as object),
            ]
          : Plot.axisY(numbers),
        Plot.text([report.outputs > 1 ? "row i·O + a" : "sample"], {
          frameAnchor: "bottom",
          dy: 46,
          fill: INK,
        }),
        scale,
        Plot.text(["H[i, j]"], {
          frameAnchor: "top-right",
          lineAnchor: "bottom",
          textAnchor: "start",
          dx: 28,
          dy: -9,
          fill: INK,
        }),
      ],
    },
    `${title}: ${subtitle}`,
  );
}
