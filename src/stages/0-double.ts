import type { Gpu } from "../gpu/device.ts";
import type { Job, Meter } from "../gpu/queue.ts";

/** Half a unit in the last place of 1: what one operation in f64 is off by, relatively. */
export const U64 = 2 ** -53;

/** γ_k = k u / (1 − k u): what k roundings in f64 one after the other are off by, relatively. */
export const gamma64 = (k: number): number => (k * U64) / (1 - k * U64);

/** For the roundings of bounds themselves, which are sums of positive terms. */
export const SLACK = 1 + 2 ** -30;

/** Terms that `rowProducts` adds before their sum joins the sum of sums. */
const BLOCK = 32;

/** The longest chain of roundings that a term of `rowProducts` goes through. */
export const chain64 = (depth: number): number =>
  1 + Math.min(depth, BLOCK) + Math.ceil(depth / BLOCK);

/**
 * Inner products of rows in f64 on the CPU: out[i, j] = Σ_k left[i, k] · right[j, k].
 *
 * @param left [?, depth] row-major, of which rows `from` up to but without `to` count
 * @param right [columns, depth] row-major
 * @param out [?, columns] row-major; of `lower`, only entries with j ≤ i are of use
 * @param stride values from one row of `left` and `right` to the next
 *
 * **Error** γ_k · Σ |left| |right| with k = chain64(depth). **Cost** 2 · depth flops an entry, about 5 GFLOP/s.
 */
export function rowProducts(
  left: Float64Array,
  from: number,
  to: number,
  right: Float64Array,
  columns: number,
  depth: number,
  out: Float64Array,
  lower = false,
  stride = depth,
): void {
  for (let i = from; i < to; i += 3) {
    // Past an edge the last row stands in, and its entry is computed again.
    const i1 = Math.min(i + 1, to - 1);
    const i2 = Math.min(i + 2, to - 1);
    const a0 = i * stride;
    const a1 = i1 * stride;
    const a2 = i2 * stride;
    const end = lower ? Math.min(columns, i2 + 1) : columns;
    for (let j = 0; j < end; j += 3) {
      const j1 = Math.min(j + 1, columns - 1);
      const j2 = Math.min(j + 2, columns - 1);
      const b0 = j * stride;
      const b1 = j1 * stride;
      const b2 = j2 * stride;
      let s00 = 0;
      let s01 = 0;
      let s02 = 0;
      let s10 = 0;
      let s11 = 0;
      let s12 = 0;
      let s20 = 0;
      let s21 = 0;
      let s22 = 0;
      for (let block = 0; block < depth; block += BLOCK) {
        const stop = Math.min(depth, block + BLOCK);
        let t00 = 0;
        let t01 = 0;
        let t02 = 0;
        let t10 = 0;
        let t11 = 0;
        let t12 = 0;
        let t20 = 0;
        let t21 = 0;
        let t22 = 0;
        for (let k = block; k < stop; k++) {
          const x = left[a0 + k];
          const y = left[a1 + k];
          const z = left[a2 + k];
          const p = right[b0 + k];
          const q = right[b1 + k];
          const r = right[b2 + k];
          t00 += x * p;
          t01 += x * q;
          t02 += x * r;
          t10 += y * p;
          t11 += y * q;
          t12 += y * r;
          t20 += z * p;
          t21 += z * q;
          t22 += z * r;
        }
        s00 += t00;
        s01 += t01;
        s02 += t02;
        s10 += t10;
        s11 += t11;
        s12 += t12;
        s20 += t20;
        s21 += t21;
        s22 += t22;
      }
      const o0 = i * columns;
      const o1 = i1 * columns;
      const o2 = i2 * columns;
      out[o0 + j] = s00;
      out[o0 + j1] = s01;
      out[o0 + j2] = s02;
      out[o1 + j] = s10;
      out[o1 + j1] = s11;
      out[o1 + j2] = s12;
      out[o2 + j] = s20;
      out[o2 + j1] = s21;
      out[o2 + j2] = s22;
    }
  }
}

/** Squares that are added before their sum joins the others: of 2²⁴ entries it takes 2¹⁵ roundings instead of 2²⁴. */
const SQUARES = 512;

/** 2-norm of values[from … to − 1], scaled where squares would overflow or vanish. */
function lengthOf(values: Float32Array | Float64Array, from: number, to: number): number {
  const sumOf = (scale: number): number => {
    let sum = 0;
    for (let block = from; block < to; block += SQUARES) {
      let part = 0;
      for (let k = block; k < Math.min(to, block + SQUARES); k++) part += (values[k] * scale) ** 2;
      sum += part;
    }
    return sum;
  };
  const sum = sumOf(1);
  if (sum > 2 ** -800 && sum < Infinity) return Math.sqrt(sum);
  let largest = 0;
  for (let k = from; k < to; k++) largest = Math.max(largest, Math.abs(values[k]));
  if (!(largest > 0 && largest < Infinity)) return largest;
  const scale = powerAgainst(largest);
  return Math.sqrt(sumOf(scale)) / scale;
}

/** A power of two, within what 1 / it can be, that brings a size near 1. */
export const powerAgainst = (size: number): number =>
  2 ** -Math.max(-1000, Math.min(1000, Math.round(Math.log2(size))));

/** 1 where squares of numbers of that size neither vanish nor overflow, else {@link powerAgainst}. */
export const powerInto = (size: number): number =>
  size === 0 || (size >= 2 ** -200 && size <= 2 ** 200) ? 1 : powerAgainst(size);

/** 2-norms of the rows of [?, width]. */
export const rowNorms = (values: Float32Array | Float64Array, width: number): Float64Array =>
  Float64Array.from({ length: width === 0 ? 0 : values.length / width }, (_, row) =>
    lengthOf(values, row * width, (row + 1) * width),
  );

/** 2-norm of all entries. */
export const norm64 = (values: Float32Array | Float64Array): number =>
  lengthOf(values, 0, values.length);

/** Largest |entry|; NaN where one is. */
export function largest64(values: Float64Array): number {
  let largest = 0;
  for (let at = 0; at < values.length; at++) largest = Math.max(largest, Math.abs(values[at]));
  return largest;
}

/** values [rows, columns] with the axes exchanged, in f64. */
export function turned(values: Float32Array | Float64Array, columns: number): Float64Array {
  const rows = values.length / columns;
  const out = new Float64Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j];
  return out;
}

/** Rows of a product that are computed between two looks at the clock. */
export const PANEL = 24;

/** Milliseconds that a computation on the CPU goes on for before others get their turn. */
const TURN_MS = 40;

/**
 * How a long computation on the CPU is followed and stopped: told of flops done, it lets the event loop run now and then.
 *
 * @param rest resolves once the event loop had its turn
 * @param total flops of the whole stage
 */
export function meter(
  rest: () => Promise<unknown>,
  job: Job | undefined,
  stage: string,
  total: number,
): Meter {
  let done = 0;
  // The first time others have theirs too, so that each stage is heard of and can be stopped.
  let since = 0;
  return async (flops) => {
    done += flops;
    if (Date.now() - since < TURN_MS) return;
    job?.onProgress?.({ stage, share: total > 0 ? Math.min(1, done / total) : 1 });
    await rest();
    job?.signal?.throwIfAborted();
    since = Date.now();
  };
}

/** The same where a device is there to wait for. */
export const turns = (gpu: Gpu, job: Job | undefined, stage: string, total: number): Meter =>
  meter(() => gpu.settle(gpu.device.queue.onSubmittedWorkDone()), job, stage, total);
