import { InputError } from "../errors.ts";
import { readCsv } from "./csv.ts";
import { DATASETS, loadDataset, type Dataset, type Files } from "./datasets.ts";
import { isGzip, readIdx } from "./idx.ts";
import { readNpy } from "./npy.ts";
import { readNpz } from "./npz.ts";
import { flatten, requireFinite, roundToF32, type Table } from "./table.ts";

export const NORMALIZATIONS = ["none", "unit", "sqrt-d", "standard"] as const;

/**
 * What is done to the inputs: nothing; rows to norm 1; rows to norm √d; columns to mean 0 and population
 * deviation 1, constant columns to 0.
 */
export type Normalization = (typeof NORMALIZATIONS)[number];

/** Samples as the network takes them. */
export interface Inputs {
  /** The specification that they came from. */
  readonly source: string;
  readonly n: number;
  readonly d: number;
  /** f32 [n, d] */
  readonly values: Float32Array;
  /** One class number a sample, where the set has classes. */
  readonly labels: Uint8Array | null;
  /** The classes in the order asked for: two give targets ∓1, others one-hot columns. */
  readonly classes: readonly number[] | null;
  /** The default targets by the labels. */
  readonly targets: Targets | null;
  /** With `standard`: what the columns were shifted by and divided by, to be used on other inputs too. */
  readonly columns: Columns | null;
}

/** Statistics of each column, f64 [d] each. */
export interface Columns {
  readonly mean: Float64Array;
  /** Of the population; exactly 0 for a constant column. */
  readonly deviation: Float64Array;
}

/** f32 [n, outputs] */
export interface Targets {
  readonly outputs: number;
  readonly values: Float32Array;
}

/**
 * Loads and normalizes inputs, all in f64, rounded once to f32. Only u8 IDX files and `mnist` are divided
 * by 255.
 *
 * @param spec a file (`X.npy`, `data.npz#name`, IDX, `.csv`) or a set (`mnist:0,1:512`, `circle:64`, …)
 * @param options normalize: default none. files: how to reach files. like: inputs whose column statistics
 *   are used in place of these inputs' own, and whose d must be the same
 *
 * **Cost** the file and the result in memory, a few passes.
 * @throws InputError for a bad specification or file, no samples, another d than `like`, a zero row where a
 *   norm is needed, overflow of f32; NonFiniteError for NaN and infinity
 *
 * @example const { n, d, values } = await loadInputs("circle:64", { files }); // 64, 2
 */
export async function loadInputs(
  spec: string,
  options: { normalize?: Normalization; files: Files; like?: Inputs },
): Promise<Inputs> {
  const { normalize = "none", files, like } = options;
  if (!NORMALIZATIONS.includes(normalize))
    throw new InputError(
      `--normalize: is ${normalize}, but must be ${NORMALIZATIONS.join(", ")}. Choose one of these.`,
    );
  const set = await open(spec, files);
  const { rows: n, columns: d } = flatten(set.table, spec);
  if (!(n >= 1 && d >= 1))
    throw new InputError(
      `${spec}: has shape [${set.table.shape.join(", ")}], but must have a sample and a feature at least. ` +
        "Choose other inputs.",
    );
  if (like && like.d !== d)
    throw new InputError(
      `${spec}: has ${d} features, but must have ${like.d} as ${like.source}. Choose inputs of one kind.`,
    );
  if (like && normalize === "standard" && !like.columns)
    throw new InputError(
      `${spec}: is to be standardized as ${like.source}, but that must be loaded with standard too. Do so.`,
    );
  requireFinite(set.table.data, spec, "inputs");
  const values = new Float64Array(set.table.data);
  if (set.pixels) for (let k = 0; k < values.length; k++) values[k] /= 255;
  const columns =
    normalize === "standard" ? (like?.columns ?? columnStatistics(values, n, d)) : null;
  if (columns) standardize(values, d, columns);
  else if (normalize !== "none")
    scaleRows(values, d, normalize === "unit" ? 1 : Math.sqrt(d), spec);
  return {
    source: spec,
    n,
    d,
    values: roundToF32(values, spec, "inputs"),
    labels: set.labels,
    classes: set.classes,
    targets: labelTargets(set),
    columns,
  };
}

/**
 * Loads targets: numbers as the file holds them, rounded once to f32; or the default targets of a set with
 * classes.
 *
 * @param n the number of samples that they belong to
 * @throws InputError for another number of rows, and as {@link loadInputs}
 */
export async function loadTargets(spec: string, n: number, files: Files): Promise<Targets> {
  const set = await open(spec, files);
  const { rows, columns } = flatten(set.table, spec);
  if (!(rows === n && columns >= 1))
    throw new InputError(
      `${spec}: has ${rows} × ${columns} targets, but must have a row for each of ${n} samples. Choose ` +
        "targets that belong to the inputs.",
    );
  return (
    labelTargets(set) ?? { outputs: columns, values: roundToF32(set.table.data, spec, "targets") }
  );
}

/**
 * The table in a file, told by its extension or its first bytes: `.npy`, `.npz` (`file.npz#name`), IDX (also
 * gzipped), `.csv`. Numbers are as the file holds them.
 *
 * @throws InputError for other files
 */
export const readTable = async (spec: string, files: Files): Promise<Table> =>
  (await open(spec, files)).table;

async function open(spec: string, files: Files): Promise<Dataset> {
  const set = await loadDataset(spec, files);
  if (set) return set;
  const [, path = spec, member] = /^(.*\.npz)#(.+)$/is.exec(spec) ?? [];
  if (/^[a-z][a-z-]+:/.test(path))
    throw new InputError(
      `${spec}: is no built-in set, but must be a file or one of ${DATASETS.join(", ")}. For a file of ` +
        `this name write ./${spec}.`,
    );
  const bytes = await files.read(path);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  const plain = (table: Table): Dataset => ({ table, pixels: false, labels: null, classes: null });
  if (/\.npy$/i.test(path) || magic === "\x93NUM") return plain(readNpy(bytes, path));
  if (/\.npz$/i.test(path) || magic === "PK\x03\x04") return plain(readNpz(bytes, member, path));
  if (/\.csv$/i.test(path)) return plain(readCsv(new TextDecoder().decode(bytes), path));
  if (!/idx|ubyte/i.test(path) && !isGzip(bytes) && !magic.startsWith("\0\0"))
    throw new InputError(
      `${path}: is of no known kind, but must be .npy, .npz, IDX (also gzipped) or .csv. Save it as one.`,
    );
  const table = readIdx(bytes, path);
  return { ...plain(table), pixels: table.data instanceof Uint8Array };
}

/** Two classes: the first −1, the second 1. Others: one column a class with 1 in the sample's own. */
function labelTargets({ labels, classes }: Dataset): Targets | null {
  if (!labels || !classes) return null;
  if (classes.length === 2)
    return { outputs: 1, values: Float32Array.from(labels, (l) => (l === classes[0] ? -1 : 1)) };
  const values = new Float32Array(labels.length * classes.length);
  labels.forEach((label, i) => (values[i * classes.length + classes.indexOf(label)] = 1));
  return { outputs: classes.length, values };
}

/** Rows of [n, d] divided by their norm and multiplied by `norm`, in place. */
function scaleRows(values: Float64Array, d: number, norm: number, spec: string): void {
  for (let start = 0; start < values.length; start += d) {
    const row = values.subarray(start, start + d);
    const largest = largestOf(row);
    if (largest === 0)
      throw new InputError(
        `${spec}: has only zeros in row ${start / d}, but a row must have a norm to be divided by. Remove ` +
          "it, or choose --normalize none or standard.",
      );
    // Squares must stay in f64's range.
    if (!(largest > 1e-140 && largest < 1e140)) for (let k = 0; k < d; k++) row[k] /= largest;
    const divisor = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) / norm;
    for (let k = 0; k < d; k++) row[k] /= divisor;
  }
}

/** Columns of [n, d] shifted by the mean and divided by the deviation, in place; constant ones to 0. */
function standardize(values: Float64Array, d: number, { mean, deviation }: Columns): void {
  for (let k = 0; k < values.length; k++)
    values[k] = deviation[k % d] === 0 ? 0 : (values[k] - mean[k % d]) / deviation[k % d];
}

function columnStatistics(values: Float64Array, n: number, d: number): Columns {
  const mean = new Float64Array(d);
  const deviation = new Float64Array(d);
  const column = new Float64Array(n);
  for (let k = 0; k < d; k++) {
    for (let i = 0; i < n; i++) column[i] = values[i * d + k];
    mean[k] = column.reduce((sum, value) => sum + value / n, 0);
    if (column.every((value) => value === column[0])) continue;
    for (let i = 0; i < n; i++) column[i] -= mean[k];
    const largest = largestOf(column);
    const squares = column.reduce((sum, value) => sum + (value / largest) * (value / largest), 0);
    deviation[k] = largest * Math.sqrt(squares / n);
  }
  return { mean, deviation };
}

const largestOf = (x: Float64Array): number =>
  x.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
