import { InputError, NonFiniteError } from "../errors.ts";

export type Numbers =
  | Float64Array
  | Float32Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** Numbers with a shape, row-major: the last axis runs fastest. No axis at all is one number. */
export interface Table {
  readonly shape: readonly number[];
  readonly data: Numbers;
}

const BYTES = {
  i1: 1,
  u1: 1,
  i2: 2,
  u2: 2,
  f2: 2,
  bf16: 2,
  i4: 4,
  u4: 4,
  f4: 4,
  i8: 8,
  u8: 8,
  f8: 8,
};

/** An element as files hold it: integer, unsigned or float with its size in bytes, or bfloat16. */
export type ElementType = keyof typeof BYTES;

/** ∏ shape: the number of elements; 1 for the empty shape. */
export const elementCount = (shape: readonly number[]): number =>
  shape.reduce((product, length) => product * length, 1);

/** Bytes that a file needs for `shape` elements of `type`. */
export const byteCount = (shape: readonly number[], type: ElementType): number =>
  elementCount(shape) * BYTES[type];

/**
 * The table that raw bytes stand for.
 *
 * @param bytes exactly the elements, copied; hosts are little-endian, as every WebGPU host is
 * @param layout bytes swapped (`bigEndian`), first axis fastest (`fortran`); both false by default
 * @param name begins every message: the file, or file and member
 * @returns f2 and bf16 as f32, i8 and u8 as f64, all exact; the others as they are
 *
 * **Cost** one or two passes, one or two copies.
 * @throws InputError when bytes are missing or left over, or an integer is beyond 2⁵³
 */
export function tableFromBytes(
  bytes: Uint8Array,
  shape: readonly number[],
  type: ElementType,
  name: string,
  layout: { bigEndian?: boolean; fortran?: boolean } = {},
): Table {
  const needed = byteCount(shape, type);
  if (!(bytes.length === needed))
    throw new InputError(
      `${name}: holds ${bytes.length} bytes of elements, but shape [${shape.join(", ")}] of ${type} ` +
        `must have ${needed}. The file is ${bytes.length < needed ? "cut short" : "too long"} ` +
        "or its header is wrong; write it again.",
    );
  const { buffer } =
    layout.bigEndian && BYTES[type] > 1 ? swapped(bytes, BYTES[type]) : bytes.slice();
  const data = elements(buffer, type, name);
  return { shape, data: layout.fortran && shape.length > 1 ? rowMajor(data, shape) : data };
}

function elements(buffer: ArrayBuffer, type: ElementType, name: string): Numbers {
  switch (type) {
    case "i1":
      return new Int8Array(buffer);
    case "u1":
      return new Uint8Array(buffer);
    case "i2":
      return new Int16Array(buffer);
    case "u2":
      return new Uint16Array(buffer);
    case "i4":
      return new Int32Array(buffer);
    case "u4":
      return new Uint32Array(buffer);
    case "f4":
      return new Float32Array(buffer);
    case "f8":
      return new Float64Array(buffer);
    case "f2":
      return new Float32Array(new Uint16Array(buffer)).map(half);
    case "bf16":
      return new Float32Array(new Uint32Array(new Uint16Array(buffer)).map((b) => b << 16).buffer);
    case "i8":
    case "u8": {
      const integers = type === "i8" ? new BigInt64Array(buffer) : new BigUint64Array(buffer);
      const data = new Float64Array(integers.length);
      for (let i = 0; i < data.length; i++) {
        data[i] = Number(integers[i]);
        if (integers[i] > 2n ** 53n || integers[i] < -(2n ** 53n))
          throw new InputError(
            `${name}: element ${i} is ${integers[i]}, but integers must lie within ±2⁵³ to be exact in ` +
              "f64. Scale them down or save floats.",
          );
      }
      return data;
    }
  }
}

/** The value of IEEE binary16 bits. */
function half(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 31;
  const fraction = word & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0
    ? (sign * fraction) / 2 ** 24
    : (sign * (1024 + fraction) * (1 << exponent)) / 2 ** 25;
}

/** A copy with the bytes of each `size`-byte element reversed. */
function swapped(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += size)
    for (let k = 0; k < size; k++) out[at + k] = bytes[at + size - 1 - k];
  return out;
}

/** Fortran order to C order: walks `out` in order while `from` follows by the other strides. */
function rowMajor(data: Numbers, shape: readonly number[]): Numbers {
  const out = data.slice();
  const strides = shape.map((_, axis) => elementCount(shape.slice(0, axis)));
  const index = shape.map(() => 0);
  for (let to = 0, from = 0; to < out.length; to++) {
    out[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/**
 * A table seen as a matrix: the first axis is rows, all others together are columns.
 *
 * @throws InputError when it has no axis
 *
 * @example flatten(readIdx(images, "images")) // { rows: 60000, columns: 784 } of [60000, 28, 28]
 */
export function flatten(table: Table, name = "flatten"): { rows: number; columns: number } {
  if (table.shape.length === 0)
    throw new InputError(
      `${name}: is one number without an axis, but must have rows. Save it as [n, d] or [n].`,
    );
  return { rows: table.shape[0], columns: elementCount(table.shape.slice(1)) };
}

/**
 * Each value rounded once to the nearest f32.
 *
 * @param operand what the numbers are, for the message
 * @param data owned by the caller, never kept
 *
 * @throws NonFiniteError for NaN or infinity; InputError for a number that rounds to infinity
 */
export function roundToF32(data: Numbers, name: string, operand: string): Float32Array {
  requireFinite(data, name, operand);
  const out = new Float32Array(data);
  const index = out.findIndex((value) => !Number.isFinite(value));
  if (index >= 0)
    throw new InputError(
      `${name}: ${operand} is ${data[index]} at index ${index}, but must be at most 3.4028235e38 in ` +
        "size to fit f32. Scale it down.",
    );
  return out;
}

/** @throws NonFiniteError when a value is NaN or infinite */
export function requireFinite(data: Numbers, name: string, operand: string): void {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return;
  let first = -1;
  let count = 0;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]) && count++ === 0) first = i;
  if (count > 0) throw new NonFiniteError(name, operand, first, count, "Mend or remove them.");
}
