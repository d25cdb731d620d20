/**
 * Numbers drawn into an image without a font: each glyph is a few strokes, each stroke the control polygon of a
 * quadratic B-spline on a grid 6 wide and 9 high ("xy xy …", x to the right, y down, the baseline at 9, b below it).
 * A point named twice is a corner; a single point is a dot.
 */
const GLYPHS: Record<string, string[]> = {
  "0": ["30 20 02 07 29 49 67 62 40 30"],
  "1": ["12 30 30 39"],
  "2": ["02 20 40 62 63 09 09 69"],
  "3": ["02 20 40 62 44 24", "24 44 66 67 49 29 07"],
  "4": ["49 40 40 06 06 66"],
  "5": ["60 10 10 05 05 23 43 65 67 49 29 07"],
  "6": ["51 40 20 02 07 29 49 67 65 43 23 06"],
  "7": ["00 60 60 29"],
  "8": ["30 20 02 24 44 62 40 30", "34 24 06 07 29 49 67 66 44 34"],
  "9": ["18 29 49 67 62 40 20 02 04 26 46 63"],
  ",": ["19 0b"],
  ".": ["09"],
  "−": ["05 55"],
  "×": ["03 47", "07 43"],
  " ": [],
};
const [CAP, GAP, PEN] = [9, 2.6, 0.62];
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";

type Segment = [x1: number, y1: number, x2: number, y2: number];

/** The polyline of a quadratic B-spline: through the ends and the midpoints of the polygon's inner sides. */
function segments(stroke: string): Segment[] {
  const polygon = stroke.split(" ").map((xy) => [parseInt(xy[0], 36), parseInt(xy[1], 36)]);
  const curve: number[][] = [polygon[0]];
  for (let k = 1; k < polygon.length - 1; k++) {
    const [from, via, to] = [curve.at(-1)!, polygon[k], polygon[k + 1]];
    const end = k === polygon.length - 2 ? to : via.map((v, axis) => (v + to[axis]) / 2);
    for (let step = 1; step <= 6; step++) {
      const t = step / 6;
      curve.push(
        via.map((v, axis) => (1 - t) ** 2 * from[axis] + 2 * t * (1 - t) * v + t * t * end[axis]),
      );
    }
  }
  if (polygon.length <= 2) curve.push(polygon.at(-1)!);
  return curve.slice(1).map(([x, y], k) => [curve[k][0], curve[k][1], x, y]);
}

/** The strokes of a line of text and how wide it is, in units of the grid. */
function laidOut(text: string): { strokes: Segment[]; width: number } {
  const strokes: Segment[] = [];
  let pen = 0;
  for (const character of text) {
    const raised = RAISED.indexOf(character);
    const scale = raised < 0 ? 1 : 0.66;
    const glyph = (GLYPHS[raised < 0 ? character : "0123456789−"[raised]] ?? []).flatMap(segments);
    const wide = Math.max(character === " " ? 1 : 0, ...glyph.flatMap(([x1, , x2]) => [x1, x2]));
    const lift = scale < 1 ? -2.4 : 0;
    for (const [x1, y1, x2, y2] of glyph)
      strokes.push([pen + scale * x1, scale * y1 + lift, pen + scale * x2, scale * y2 + lift]);
    pen += scale * (wide + GAP);
  }
  return { strokes, width: Math.max(0, pen - GAP) };
}

function distance(px: number, py: number, [x1, y1, x2, y2]: Segment): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const t = ((px - x1) * dx + (py - y1) * dy) / (dx * dx + dy * dy || 1);
  const on = Math.min(1, Math.max(0, t));
  return Math.hypot(px - x1 - on * dx, py - y1 - on * dy);
}

/** How wide `text` is when its digits are `height` pixels high. */
export const textWidth = (text: string, height: number): number =>
  (laidOut(text).width * height) / CAP;

/**
 * Draws `text` (digits and . , − × ⁻ ⁰…⁹; other characters leave no mark) with digits `height` pixels high, its middle at `y`,
 * from `x` to the right: `ink` is called with each pixel touched and how much of it is covered, 0 to 1.
 */
export function drawText(
  text: string,
  x: number,
  y: number,
  height: number,
  ink: (column: number, row: number, cover: number) => void,
): void {
  const { strokes, width } = laidOut(text);
  const unit = height / CAP;
  const top = y - height / 2;
  for (let row = Math.floor(top - 3 * unit); row <= top + height + unit; row++)
    for (let column = Math.floor(x - unit); column <= x + (width + 1) * unit; column++) {
      const [px, py] = [(column + 0.5 - x) / unit, (row + 0.5 - top) / unit];
      const near = strokes.reduce(
        (least, stroke) => Math.min(least, distance(px, py, stroke)),
        Infinity,
      );
      const cover = Math.min(1, Math.max(0, (PEN - near) * unit + 0.5));
      if (cover > 0) ink(column, row, cover);
    }
}
