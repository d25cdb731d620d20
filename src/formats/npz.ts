import { InputError } from "../errors.ts";
import { inflate, requireChecksum } from "./inflate.ts";
import { npyLength, readNpy } from "./npy.ts";
import type { Table } from "./table.ts";

/**
 * Reads one array of a NumPy `.npz` archive.
 *
 * @param bytes the whole archive, borrowed
 * @param member the array's name, with or without `.npy`; may be left out when there is exactly one
 * @param name begins every message
 *
 * **Cost** the member alone is unpacked, never beyond what its own header demands.
 * @throws InputError for a missing or ambiguous member, encryption, zip64, damage
 *
 * @example readNpz(bytes, "x_train", "mnist.npz").shape // [60000, 28, 28]
 */
export function readNpz(bytes: Uint8Array, member: string | undefined, name: string): Table {
  const arrays = directory(bytes, name).filter((entry) => entry.path.endsWith(".npy"));
  const names = arrays.map((entry) => entry.path.slice(0, -4));
  const chosen = arrays.filter(
    (_, i) => member === undefined || names[i] === member || `${names[i]}.npy` === member,
  );
  if (chosen.length !== 1)
    throw new InputError(
      member === undefined
        ? `${name}: holds ${arrays.length} arrays (${names.join(", ")}), but one must be named. ` +
            `Write ${name}#${names[0] ?? "NAME"}.`
        : `${name}: holds ${chosen.length} arrays named ${member}, but must hold one. It has ${names.join(", ") || "none"}.`,
    );
  const [entry] = chosen;
  const label = `${name}#${entry.path.slice(0, -4)}`;
  return readNpy(unpack(bytes, entry, label), label);
}

interface Entry {
  path: string;
  encrypted: boolean;
  method: number;
  crc: number;
  packed: number;
  size: number;
  /** Where the entry's local header begins. */
  offset: number;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;

/** The archive's central directory. */
function directory(bytes: Uint8Array, name: string): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const refuse = (what: string) =>
    new InputError(`${name}: ${what} Write it with np.savez or np.savez_compressed.`);
  // The end record is 22 bytes and a comment whose length it names.
  let end = bytes.length - 22;
  const earliest = Math.max(0, end - 65535);
  while (
    end >= earliest &&
    !(
      view.getUint32(end, true) === END &&
      end + 22 + view.getUint16(end + 20, true) === bytes.length
    )
  )
    end--;
  if (end < earliest) throw refuse("has no directory at its end, but a zip archive must.");

  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count === 65535 || at === 0xffffffff)
    throw refuse("is a zip64 archive, but must be below 4 GiB and 65535 members.");
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== CENTRAL)
      throw refuse(`has a broken directory: entry ${i} of ${count} is not where it must be.`);
    const [path, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    entries.push({
      path: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + path)),
      encrypted: (view.getUint16(at + 8, true) & 1) === 1,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    });
    at += 46 + path + extra + comment;
  }
  return entries;
}

function unpack(bytes: Uint8Array, entry: Entry, name: string): Uint8Array {
  const refuse = (what: string) =>
    new InputError(`${name}: ${what} Write it with np.savez or np.savez_compressed.`);
  if (entry.encrypted) throw refuse("is encrypted, but must be open.");
  if (Math.max(entry.packed, entry.size, entry.offset) === 0xffffffff)
    throw refuse("is a zip64 member, but must be below 4 GiB.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (entry.offset + 30 > bytes.length || view.getUint32(entry.offset, true) !== LOCAL)
    throw refuse(`must begin at byte ${entry.offset}, but nothing does.`);
  const [path, extra] = [26, 28].map((field) => view.getUint16(entry.offset + field, true));
  const start = entry.offset + 30 + path + extra;
  const packed = bytes.subarray(start, start + entry.packed);
  if (packed.length !== entry.packed)
    throw refuse(`must have ${entry.packed} bytes, but the archive ends after ${packed.length}.`);
  if (entry.method === 8) return inflate(packed, entry, (head) => npyLength(head, name), name);
  if (entry.method !== 0)
    throw refuse(
      `is packed by zip method ${entry.method}, but must be stored (0) or deflated (8).`,
    );
  requireChecksum(packed, entry, name);
  return packed;
}
