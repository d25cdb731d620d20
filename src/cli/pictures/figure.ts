import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom/worker";

/** The document that Plot draws into: a DOM in plain JavaScript. (`/worker`: the build that never looks for the package `canvas`.) */
export const { document } = parseHTML("<html></html>");

export const INK = "#1f2430";
export const QUIET = "#6b7280";

/** An SVG element, for the little that Plot has no mark for. */
export function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name) as SVGElement;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** `options` for Plot with what all figures share. */
export const styled = (options: Plot.PlotOptions): Plot.PlotOptions => ({
  document,
  ...options,
  style: { fontSize: "15px" },
});

/** A heading and a quieter line below it, in the top margin (≥ 64 px) of a figure. */
export const heading = (title: string, subtitle: string, dx = 0, up = 0): Plot.Markish[] => [
  Plot.text([title], {
    facet: "super",
    frameAnchor: "top-left",
    lineAnchor: "bottom",
    dx,
    dy: -38 - up,
    fontSize: 22,
    fontWeight: 600,
    fill: INK,
  }),
  Plot.text([subtitle], {
    facet: "super",
    frameAnchor: "top-left",
    lineAnchor: "bottom",
    dx,
    dy: -15 - up,
    fontSize: 14.5,
    fill: QUIET,
  }),
];

const GEOMETRY = [
  "d",
  "points",
  "transform",
  "x",
  "y",
  "x1",
  "x2",
  "y1",
  "y2",
  "cx",
  "cy",
  "width",
  "height",
];

/**
 * A Plot figure as the text of an SVG file that needs nothing else: namespace, white ground, fixed ink in place of
 * `currentColor`, coordinates to a tenth of a pixel. `description` is what a screen reader says.
 */
export function figureSvg(options: Plot.PlotOptions, description: string): string {
  const svg = Plot.plot(styled(options)) as SVGSVGElement;
  for (const style of [...svg.querySelectorAll("style")]) style.remove();
  for (const part of svg.querySelectorAll("*"))
    for (const name of GEOMETRY) {
      const value = part.getAttribute(name);
      if (value?.includes("."))
        part.setAttribute(
          name,
          value.replace(/-?\d+\.\d+(e-?\d+)?/g, (x) => String(Number(Number(x).toFixed(1)))),
        );
    }
  svg.prepend(element("rect", { width: "100%", height: "100%", fill: "white" }));
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", description);
  return svg.outerHTML.replaceAll("currentColor", INK);
}
