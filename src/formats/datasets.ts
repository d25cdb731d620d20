import { InputError } from "../errors.ts";
import { normals64 } from "../stages/0-normal.ts";
import { readIdx } from "./idx.ts";
import type { Table } from "./table.ts";

/** One of the four files of MNIST. */
export type MnistFile = `${"train" | "t10k"}-${"images-idx3" | "labels-idx1"}-ubyte`;

/** How files are reached: the Node entry hands in its own, a page may hand in another. */
export interface Files {
  read(path: string): Promise<Uint8Array>;
  /** The names in a folder, without the folder. */
  list(folder: string): Promise<string[]>;
  mnist(file: MnistFile): Promise<Uint8Array>;
}

/** Samples with their classes, where they have any. */
export interface Dataset {
  /** [n, …] */
  table: Table;
  /** Whether the values are u8 pixels, to be divided by 255. */
  pixels: boolean;
  /** One class number a sample. */
  labels: Uint8Array | null;
  /** The classes in the order in which they were asked for. */
  classes: readonly number[] | null;
}

/** What a set's specification looks like, for messages. */
export const DATASETS = ["mnist:CLASSES:N", "mnist-test:CLASSES:N", "circle:N", "sphere:D:N:SEED"];

/**
 * The built-in set that a specification names.
 *
 * @param spec `mnist:0,1:512`, `mnist-test:0,1:512`, `circle:64`, `sphere:3:100:0`
 * @returns null when the specification's first word is no set's name
 * @throws InputError for bad numbers, or more samples than there are
 */
export async function loadDataset(spec: string, files: Files): Promise<Dataset | null> {
  const [set, ...fields] = spec.split(":");
  const pattern = DATASETS.find((known) => known.startsWith(`${set}:`))?.split(":");
  if (!pattern) return null;
  if (fields.length !== pattern.length - 1 || !fields.every((field) => /^\d+(,\d+)*$/.test(field)))
    throw new InputError(
      `${spec}: is a built-in set, but must have the form ${pattern.join(":")}. Mend it.`,
    );
  // Each capital word of the pattern but CLASSES is one integer.
  const numbers = fields.map((field, i) => {
    const least = pattern[i + 1] === "SEED" ? 0 : 1;
    const most = pattern[i + 1] === "SEED" ? 2 ** 32 - 1 : 2 ** 26;
    if (pattern[i + 1] === "CLASSES" || (Number(field) >= least && Number(field) <= most))
      return Number(field);
    throw new InputError(
      `${spec}: has ${pattern[i + 1]} = ${field}, but it must be an integer from ${least} to ${most}. Mend it.`,
    );
  });
  if (set === "circle") return plain(circle(numbers[0]));
  if (set === "sphere") return plain(sphere(numbers[0], numbers[1], numbers[2]));
  const part = set === "mnist" ? "train" : "t10k";
  const images = readIdx(await files.mnist(`${part}-images-idx3-ubyte`), `${set} images`);
  const labels = readIdx(await files.mnist(`${part}-labels-idx1-ubyte`), `${set} labels`);
  return balanced(images, labels, fields[0].split(",").map(Number), numbers[1], spec);
}

const plain = (table: Table): Dataset => ({ table, pixels: false, labels: null, classes: null });

/**
 * N points around the unit circle, i from 0:
 *
 *   (cos 2πi/N, sin 2πi/N)
 *
 * @returns f64 [count, 2]. Points at quarter turns are exact (0 and ±1), opposite points exact
 *   negatives, mirrored points exact mirrors
 *
 * **Error** at most 2⁻⁵¹ a coordinate. By + − × ÷ alone: the same bits in every engine.
 */
export function circle(count: number): Table {
  const data = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    const octant = Math.floor((8 * i) / count);
    const rest = 8 * i - octant * count; // of `count` to an octant; all integers
    const [c, s] = octantPoint(octant & 1 ? count - rest : rest, count);
    let [x, y] = octant & 1 ? [s, c] : [c, s]; // in the first quadrant
    if (octant & 2) [x, y] = [0 - y, x];
    if (octant & 4) [x, y] = [0 - x, 0 - y];
    data.set([x, y], 2 * i);
  }
  return { shape: [count, 2], data };
}

/** cos and sin of part/whole · π/4 by Taylor's series, their last term below 2⁻⁵⁶. */
function octantPoint(part: number, whole: number): [number, number] {
  if (part === whole) return [Math.SQRT1_2, Math.SQRT1_2];
  const x = (part / whole) * (Math.PI / 4);
  let cos = 1;
  let sin = 1;
  for (let k = 18; k > 0; k -= 2) {
    cos = 1 - (x * x * cos) / (k * (k - 1));
    sin = 1 - (x * x * sin) / (k * (k + 1));
  }
  return [cos, x * sin];
}

/**
 * Points spread evenly over the unit sphere in `dimension` axes: rows of the normal stream, each divided by
 * its norm.
 *
 * @returns f64 [count, dimension]
 * @throws InputError beyond 2²⁶ values
 */
export function sphere(dimension: number, count: number, seed: number): Table {
  if (!(dimension * count <= 2 ** 26))
    throw new InputError(
      `sphere: has ${count} × ${dimension} values, but must have at most 2²⁶. Take fewer points.`,
    );
  const data = normals64(seed, dimension * count);
  for (let start = 0; start < data.length; start += dimension) {
    const row = data.subarray(start, start + dimension);
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    for (let k = 0; k < dimension; k++) row[k] /= norm;
  }
  return { shape: [count, dimension], data };
}

/**
 * The first samples of each class, equally many, in the order of the file. What does not divide goes one
 * each to the classes named first.
 *
 * @param images u8 [n, …]
 * @param labels u8 [n]
 * @throws InputError for a class twice or beyond 9, and when a class has too few samples
 */
function balanced(
  images: Table,
  labels: Table,
  classes: number[],
  count: number,
  spec: string,
): Dataset {
  if (new Set(classes).size !== classes.length || classes.some((digit) => digit > 9))
    throw new InputError(
      `${spec}: has classes ${classes.join(",")}, but they must be different digits from 0 to 9. Mend them.`,
    );
  const wanted = classes.map(
    (_, c) => Math.floor(count / classes.length) + (c < count % classes.length ? 1 : 0),
  );
  const left = [...wanted];
  const chosen: number[] = [];
  for (let i = 0; i < labels.data.length && chosen.length < count; i++)
    if (left[classes.indexOf(labels.data[i])]-- > 0) chosen.push(i);
  const short = left.findIndex((missing) => missing > 0);
  if (short >= 0)
    throw new InputError(
      `${spec}: asks for ${wanted[short]} samples of class ${classes[short]}, but must ask for at most ` +
        `${wanted[short] - left[short]}. Ask for fewer.`,
    );
  const width = images.data.length / labels.data.length;
  const data = new Uint8Array(count * width);
  chosen.forEach((i, row) =>
    data.set(images.data.subarray(i * width, (i + 1) * width), row * width),
  );
  return {
    table: { shape: [count, width], data },
    pixels: true,
    labels: Uint8Array.from(chosen, (i) => labels.data[i]),
    classes,
  };
}
