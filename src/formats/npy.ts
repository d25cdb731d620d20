import { InputError } from "../errors.ts";
import { byteCount, elementCount, tableFromBytes, type ElementType, type Table } from "./table.ts";

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"];
const MAX_HEADER = 65536;

/**
 * Reads a NumPy `.npy` file, versions 1 to 3.
 *
 * @param bytes the whole file, borrowed
 * @param name begins every message
 * @returns f2 f4 f8, i1 … i8, u1 … u8 of either byte order, C or Fortran order, as a row-major table
 *
 * **Cost** one or two copies of the elements.
 * **From** NumPy Enhancement Proposal 1; the header is matched against a grammar, nothing is evaluated.
 * @throws InputError for anything that np.save does not write, and for other element types
 */
export function readNpy(bytes: Uint8Array, name: string): Table {
  const header = parseHeader(bytes, name);
  if (header === null)
    throw new InputError(
      `${name}: ends within its header after ${bytes.length} bytes, but must hold all of it and the ` +
        "elements. Write the file again.",
    );
  return tableFromBytes(bytes.subarray(header.start), header.shape, header.type, name, header);
}

/**
 * The length that an npy file must have by its own header.
 *
 * @param head the file's first bytes
 * @returns bytes, or null when the header goes on beyond `head`
 * @throws InputError as {@link readNpy}
 */
export function npyLength(head: Uint8Array, name: string): number | null {
  const header = parseHeader(head, name);
  return header && header.start + byteCount(header.shape, header.type);
}

interface Header {
  type: ElementType;
  bigEndian: boolean;
  fortran: boolean;
  shape: number[];
  /** Where the elements begin. */
  start: number;
}

function parseHeader(bytes: Uint8Array, name: string): Header | null {
  if (MAGIC.some((byte, i) => i < bytes.length && bytes[i] !== byte))
    throw new InputError(
      `${name}: does not begin with \\x93NUMPY, but an npy file must. Write it with np.save.`,
    );
  if (bytes.length < 12) return null;
  const [major, minor] = bytes.subarray(6);
  if (!(major >= 1 && major <= 3 && minor === 0))
    throw new InputError(
      `${name}: is npy version ${major}.${minor}, but must be 1.0, 2.0 or 3.0. Write it with np.save.`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [length, from] =
    major === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  if (length > MAX_HEADER)
    throw new InputError(
      `${name}: says that its header has ${length} bytes, but it must have at most ${MAX_HEADER}. ` +
        "Write it with np.save.",
    );
  const start = from + length;
  if (bytes.length < start) return null;
  const text = new TextDecoder("latin1").decode(bytes.subarray(from, start));
  return { ...parseDictionary(text, name), start };
}

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`: each key once, in any order. */
function parseDictionary(text: string, name: string): Omit<Header, "start"> {
  const bad = (what: string, cure = "Write the file with np.save.") =>
    new InputError(`${name}: ${what} ${cure}`);
  const body = /^\{(.*)\}\s*$/s.exec(text)?.[1];
  if (body === undefined) throw bad(`has the header ${quote(text)}, but it must be a dictionary.`);

  const entries = new Map<string, string>();
  // Key, colon, value (a string, a list, a tuple, a word), then a comma or the end.
  const entry = /\s*(['"])(\w+)\1\s*:\s*('[^']*'|"[^"]*"|\[.*\]|\([^()]*\)|\w+)\s*(?:,\s*|$)/gsy;
  for (let at = 0; at < body.length; at = entry.lastIndex) {
    const match = entry.exec(body);
    if (match === null)
      throw bad(`has the header ${quote(text)}, but it must be plain names and values.`);
    if (entries.has(match[2])) throw bad(`names ${match[2]} twice in its header, but must once.`);
    entries.set(match[2], match[3]);
  }
  const [descr, order, shape] = ["descr", "fortran_order", "shape"].map((key) => entries.get(key));
  if (entries.size !== 3 || !descr || !order || !shape)
    throw bad(
      `has the header keys ${[...entries.keys()].join(", ") || "(none)"}, but they must be descr, ` +
        "fortran_order and shape.",
    );

  const type = /^(['"])([<>|])([fiu][1248])\1$/.exec(descr);
  if (!type || !TYPES.includes(type[3]) || (type[2] === "|" && type[3][1] !== "1"))
    throw bad(
      `holds elements of type ${quote(descr)}, but they must be one of ${TYPES.join(" ")}.`,
      `Convert them first: np.save(file, x.astype("f4")).`,
    );
  if (order !== "True" && order !== "False")
    throw bad(`has fortran_order ${quote(order)}, but it must be True or False.`);
  if (!/^\(\s*(-?\d+\s*,\s*)*(-?\d+\s*)?\)$/.test(shape) || /^\(\s*-?\d+\s*\)$/.test(shape))
    throw bad(`has the shape ${quote(shape)}, but it must be a tuple of integers.`);
  const lengths = (shape.match(/-?\d+/g) ?? []).map(Number);
  if (!lengths.every((length) => Number.isSafeInteger(length) && length >= 0))
    throw bad(`has the shape ${quote(shape)}, but each axis must be from 0 to 2⁵³ − 1.`);
  return {
    type: type[3] as ElementType,
    bigEndian: type[2] === ">",
    fortran: order === "True",
    shape: lengths,
  };
}

const quote = (text: string): string =>
  JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text.trim());

/**
 * The bytes before the elements of an npy file; after them come the elements, row-major and
 * little-endian, so that a large array can be written piece by piece.
 *
 * @param shape non-negative integers
 * @returns a multiple of 64 bytes, the same as np.save writes
 */
export function npyHeader(shape: readonly number[], type: "f4" | "f8"): Uint8Array<ArrayBuffer> {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '<${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const length = Math.ceil((text.length + 11) / 64) * 64;
  const header = new Uint8Array(length).fill(0x20);
  header.set([...MAGIC, 1, 0, (length - 10) & 255, (length - 10) >> 8]);
  header.set(new TextEncoder().encode(text), 10);
  header[length - 1] = 0x0a;
  return header;
}

/**
 * A whole npy file, version 1, little-endian, C order.
 *
 * @param data row-major, as many values as `shape` says; f4 or f8 after its own type
 * @throws InputError when the counts differ
 *
 * @example await writeAtomic("H.npy", [writeNpy([n, n], gram)])
 */
export function writeNpy(
  shape: readonly number[],
  data: Float32Array | Float64Array,
): Uint8Array<ArrayBuffer> {
  if (!(data.length === elementCount(shape)))
    throw new InputError(
      `writeNpy: data holds ${data.length} values, but shape [${shape.join(", ")}] must have ` +
        `${elementCount(shape)}. Pass the shape of the data.`,
    );
  const header = npyHeader(shape, data instanceof Float32Array ? "f4" : "f8");
  const out = new Uint8Array(header.length + data.byteLength);
  out.set(header);
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), header.length);
  return out;
}
