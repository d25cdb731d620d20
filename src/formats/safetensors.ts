import { InputError } from "../errors.ts";
import { byteCount, elementCount, tableFromBytes, type ElementType, type Table } from "./table.ts";

const TYPES: Record<string, ElementType> = { F64: "f8", F32: "f4", F16: "f2", BF16: "bf16" };
const MAX_HEADER = 100_000_000;

/**
 * Reads a `.safetensors` file.
 *
 * @param bytes the whole file, borrowed
 * @param name begins every message
 * @returns the tensors by name in the order in which their bytes lie in the file; F64 as f64, F32, F16
 *   and BF16 as f32. `__metadata__` is left out
 *
 * **Cost** one copy of the elements.
 * **From** the format's description at github.com/huggingface/safetensors.
 * @throws InputError for gaps, overlaps, duplicate names and whatever else the format forbids
 */
export function readSafetensors(bytes: Uint8Array, name: string): Map<string, Table> {
  const refuse = (what: string) => new InputError(`${name}: ${what} Write the file again.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = bytes.length < 8 ? NaN : Number(view.getBigUint64(0, true));
  if (!(length <= Math.min(bytes.length - 8, MAX_HEADER)))
    throw refuse(
      `says that its header has ${length} bytes, but the file has ${bytes.length}, of which it must ` +
        `leave 8, and a header at most ${MAX_HEADER}.`,
    );
  const elements = bytes.subarray(8 + length);
  const tensors = Object.entries(parseHeader(bytes.subarray(8, 8 + length), refuse))
    .filter(([tensor]) => tensor !== "__metadata__")
    .map(([tensor, entry]) => ({ tensor, ...parseEntry(tensor, entry, refuse) }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);

  let reached = 0;
  const tables = new Map<string, Table>();
  for (const { tensor, type, shape, begin, end } of tensors) {
    if (begin !== reached)
      throw refuse(
        `has ${tensor} at byte ${begin}, but the tensor before it ends at ${reached}: they must ` +
          `follow one another without ${begin < reached ? "overlap" : "gap"}.`,
      );
    if (end > elements.length || end - begin !== byteCount(shape, type))
      throw refuse(
        `has ${tensor} at bytes ${begin} to ${end} of ${elements.length}, but [${shape.join(", ")}] ` +
          `of ${type} must take ${byteCount(shape, type)}.`,
      );
    tables.set(
      tensor,
      tableFromBytes(elements.subarray(begin, end), shape, type, `${name}: ${tensor}`),
    );
    reached = end;
  }
  if (reached !== elements.length)
    throw refuse(
      `has ${elements.length} bytes of elements, but its tensors must cover all and end at ${reached}.`,
    );
  return tables;
}

type Refusal = (what: string) => InputError;

function parseHeader(bytes: Uint8Array, refuse: Refusal): Record<string, unknown> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    throw refuse(`has a header that must be JSON, but is not (${(error as Error).message}).`);
  }
  if (!isRecord(header) || text[0] !== "{")
    throw refuse("must have an object as header, but has not.");
  // JSON.parse lets the last of two equal keys win in silence.
  const scopes: Set<string>[] = [];
  for (const [token, key] of text.matchAll(/[{}]|("(?:[^"\\]|\\.)*")(?:\s*:)?/g)) {
    if (token === "{") scopes.push(new Set());
    else if (token === "}") scopes.pop();
    else if (token.endsWith(":")) {
      const scope = scopes[scopes.length - 1];
      if (scope.has(JSON.parse(key)))
        throw refuse(`names ${key} twice in its header, but must once.`);
      scope.add(JSON.parse(key));
    }
  }
  return header;
}

function parseEntry(tensor: string, entry: unknown, refuse: Refusal) {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  const isCount = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= 0;
  if (typeof dtype !== "string" || !Object.hasOwn(TYPES, dtype))
    throw refuse(
      `has ${tensor} of type ${JSON.stringify(dtype)}, but it must be ${Object.keys(TYPES).join(", ")}.`,
    );
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw refuse(
      `has ${tensor} of shape ${JSON.stringify(shape)}, but it must be a list of integers from 0.`,
    );
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw refuse(
      `has ${tensor} with data_offsets ${JSON.stringify(offsets)}, but they must be [begin, end].`,
    );
  return { type: TYPES[dtype], shape: shape as number[], begin: offsets[0], end: offsets[1] };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * A `.safetensors` file of f32 tensors, in the map's order.
 *
 * @param tensors name → shape and row-major values, borrowed
 * @param metadata free text by key, for other programs
 * @returns the whole file; the elements begin at a multiple of 8
 * @throws InputError when values and shape differ in number, or a tensor is named `__metadata__`
 *
 * @example writeSafetensors(new Map([["layers.0.weight", { shape: [1, 2], data: w }]]))
 */
export function writeSafetensors(
  tensors: Map<string, { shape: readonly number[]; data: Float32Array }>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const header: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  let end = 0;
  for (const [tensor, { shape, data }] of tensors) {
    if (!(data.length === elementCount(shape)) || tensor === "__metadata__")
      throw new InputError(
        `writeSafetensors: ${tensor} holds ${data.length} values, but shape [${shape.join(", ")}] must ` +
          `have ${elementCount(shape)}, and no tensor can be named __metadata__. Pass its own shape.`,
      );
    const begin = end;
    end += data.byteLength;
    header.push([tensor, { dtype: "F32", shape, data_offsets: [begin, end] }]);
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(start + end).fill(0x20, 0, start);
  new DataView(out.buffer).setBigUint64(0, BigInt(start - 8), true);
  out.set(text, 8);
  let at = start;
  for (const { data } of tensors.values()) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return out;
}
