import { InputError } from "../errors.ts";
import { inflate } from "./inflate.ts";
import { byteCount, tableFromBytes, type ElementType, type Table } from "./table.ts";

const TYPES: Record<number, ElementType> = {
  0x08: "u1",
  0x09: "i1",
  0x0b: "i2",
  0x0c: "i4",
  0x0d: "f4",
  0x0e: "f8",
};

/**
 * Reads an IDX file, the format of MNIST, as it is or gzipped.
 *
 * @param bytes the whole file, borrowed
 * @param name begins every message
 *
 * **Cost** one copy of the elements; a gzipped file is unpacked no further than its IDX header demands.
 * **From** the format's description on the page of the MNIST database.
 * @throws InputError for a wrong magic number and for bytes that are missing, left over or damaged
 */
export function readIdx(bytes: Uint8Array, name: string): Table {
  const idx = isGzip(bytes) ? gunzip(bytes, name) : bytes;
  const header = parseHeader(idx, name);
  if (header === null)
    throw new InputError(
      `${name}: ends within its header after ${idx.length} bytes, but must hold all of it and the ` +
        "elements. Fetch the file again.",
    );
  return tableFromBytes(idx.subarray(header.start), header.shape, header.type, name, {
    bigEndian: true,
  });
}

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Two zero bytes, the element type, the number of axes, then each axis as a big-endian u32. */
function parseHeader(bytes: Uint8Array, name: string) {
  if (bytes.length < 4) return null;
  const type = TYPES[bytes[2]];
  if (bytes[0] !== 0 || bytes[1] !== 0 || type === undefined)
    throw new InputError(
      `${name}: begins with ${Array.from(bytes.subarray(0, 4), hex).join(" ")}, but an IDX file must with ` +
        "00 00, a type from 08 09 0b 0c 0d 0e, and the number of axes. Check that it is the right file.",
    );
  const start = 4 + 4 * bytes[3];
  if (bytes.length < start) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const shape = Array.from({ length: bytes[3] }, (_, axis) => view.getUint32(4 + 4 * axis));
  return { type, shape, start };
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** The one member of a gzip file (RFC 1952). */
function gunzip(bytes: Uint8Array, name: string): Uint8Array {
  const flags = bytes[3];
  let start = 10;
  if (flags & 4) start += 2 + bytes[10] + 256 * bytes[11];
  for (const text of [8, 16]) if (flags & text) start = bytes.indexOf(0, start) + 1 || NaN;
  if (flags & 2) start += 2;
  if (!(bytes[2] === 8 && flags < 32 && start + 8 <= bytes.length))
    throw new InputError(
      `${name}: begins as a gzip file, but its header must be whole and ask for deflate. Fetch it again.`,
    );
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 8, 8);
  const declared = { crc: trailer.getUint32(0, true), size: trailer.getUint32(4, true) };
  const demand = (head: Uint8Array) => {
    const header = parseHeader(head, name);
    return header && header.start + byteCount(header.shape, header.type);
  };
  return inflate(bytes.subarray(start, -8), declared, demand, name);
}
