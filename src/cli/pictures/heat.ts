import * as Plot from "@observablehq/plot";
import { PNG } from "pngjs";
import { InputError, NonFiniteError } from "../../errors.ts";

/** More rows than this are averaged in square blocks. */
const MOST = 2048;

export type Rgb = [number, number, number];

/** What is drawn: one value a pixel, and the ends of the colour scale. */
export interface Heat {
  values: Float64Array;
  size: number;
  /** Entries a side that one pixel stands for. */
  block: number;
  domain: [number, number];
}

/** The matrix in `order`, averaged in blocks when it is larger than a picture needs to be. */
export function heat(
  caller: string,
  gram: Float32Array | Float64Array,
  N: number,
  order: Uint32Array | null,
): Heat {
  if (!(Number.isInteger(N) && N >= 1 && gram.length === N * N))
    throw new InputError(
      `${caller}: gram holds ${gram.length} values, but N × N = ${N * N}. Hand in the whole matrix, row-major.`,
    );
  if (order && order.length !== N)
    throw new InputError(
      `${caller}: order holds ${order.length} rows, but gram is ${N} × ${N}. Name every row once.`,
    );
  const block = Math.ceil(N / MOST);
  const size = Math.ceil(N / block);
  const values = new Float64Array(size * size);
  const side = (k: number) => Math.min(block, N - k * block);
  for (let p = 0; p < N; p++) {
    const row = (order ? order[p] : p) * N;
    const target = Math.floor(p / block) * size;
    for (let q = 0; q < N; q++)
      values[target + Math.floor(q / block)] += gram[row + (order ? order[q] : q)];
  }
  let [low, high] = [Infinity, -Infinity];
  for (let k = 0; k < values.length; k++) {
    values[k] /= side(Math.floor(k / size)) * side(k % size);
    low = Math.min(low, values[k]);
    high = Math.max(high, values[k]);
  }
  if (!Number.isFinite(low) || !Number.isFinite(high)) {
    const wrong = Array.from(gram.keys()).filter((k) => !Number.isFinite(gram[k]));
    throw new NonFiniteError(
      caller,
      "gram",
      wrong[0],
      wrong.length,
      "There is nothing to draw for them.",
    );
  }
  return { values, size, block, domain: extent(low, high) };
}

/** The colour scale's ends: symmetric about 0 where both signs occur, never empty. */
function extent(low: number, high: number): [number, number] {
  const most = Math.max(-low, high);
  if (low < 0 && high > 0) return [-most, most];
  if (low < high) return [low, high];
  return high === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
}

/** 256 colours from the scale's lower to its upper end: viridis, or blue–white–red about 0. */
export function palette([low, high]: [number, number]): Rgb[] {
  const colours =
    low < 0 && high > 0
      ? ({ scheme: "rdbu", reverse: true } as const)
      : ({ scheme: "viridis" } as const);
  const scale = Plot.scale({ color: { type: "linear", domain: [0, 255], ...colours } })!;
  return Array.from({ length: 256 }, (_, k) => rgb(scale.apply(k)));
}

/** "#fde725" or "rgb(253, 231, 37)" as three bytes. */
export function rgb(colour: string): Rgb {
  const hex = colour.startsWith("#");
  const parts = colour.match(hex ? /[\da-f]{2}/g : /\d+/g) ?? [];
  return parts.slice(0, 3).map((part) => parseInt(part, hex ? 16 : 10)) as Rgb;
}

/** Which of the 256 colours stands for `value`. */
const shade = (value: number, [low, high]: [number, number]): number =>
  Math.round((255 * (value - low)) / (high - low));

/** Pixels, row by row, four bytes each. */
export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly bytes: Uint8ClampedArray;
  private readonly pixels: Uint32Array;

  constructor(width: number, height: number) {
    [this.width, this.height] = [width, height];
    this.pixels = new Uint32Array(width * height).fill(0xffffffff);
    this.bytes = new Uint8ClampedArray(this.pixels.buffer);
  }

  /** A rectangle of one colour. */
  fill([r, g, b]: Rgb, left: number, top: number, width: number, height = width): void {
    // Bytes lie R, G, B, A: the words of a little-endian machine, as all that run WebGPU are.
    const word = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
    for (let y = top; y < top + height; y++)
      this.pixels.fill(word, y * this.width + left, y * this.width + left + width);
  }

  /** One pixel, `cover` of it (0 to 1) in `colour`; nothing outside. */
  blend(colour: Rgb, x: number, y: number, cover: number): void {
    if (x < 0 || x >= this.width || y < 0 || y >= this.height) return;
    const start = 4 * (y * this.width + x);
    for (let c = 0; c < 3; c++)
      this.bytes[start + c] += cover * (colour[c] - this.bytes[start + c]);
  }

  png(): Uint8Array {
    const image = new PNG({ width: this.width, height: this.height });
    image.data = Buffer.from(this.bytes.buffer);
    return PNG.sync.write(image, {
      colorType: 2,
      filterType: 0,
      deflateStrategy: 0,
      deflateLevel: 6,
    });
  }
}

/** Paints the heat map from (left, top), each value a square of `zoom` pixels. */
export function paint(
  canvas: Canvas,
  { values, size, domain }: Heat,
  left: number,
  top: number,
  zoom: number,
): void {
  const colours = palette(domain);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const colour = colours[shade(values[row * size + column], domain)];
      canvas.fill(colour, left + column * zoom, top + row * zoom, zoom);
    }
}
