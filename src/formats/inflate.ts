import { Inflate } from "fflate";
import { InputError } from "../errors.ts";

/**
 * Inflates a deflate stream whose own first bytes say how long the whole must be, and stops as soon as
 * that differs from what the container declares or the data goes on beyond it: memory follows the
 * payload's true size, whatever an archive claims.
 *
 * @param declared size in bytes and CRC-32 by the container (zip or gzip)
 * @param demand the length that the payload needs by its first bytes; null while it needs more to tell
 * @param name begins every message
 *
 * **Cost** twice the payload in memory.
 * @throws InputError when the three do not agree or the stream is damaged
 */
export function inflate(
  deflated: Uint8Array,
  declared: { size: number; crc: number },
  demand: (head: Uint8Array) => number | null,
  name: string,
): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let needed: number | null = null;
  const refuse = (what: string) => new InputError(`${name}: ${what} Fetch or write it again.`);
  const stream = new Inflate((piece) => {
    pieces.push(piece);
    length += piece.length;
    needed ??= demand(joined(pieces, length));
    if (needed !== null && needed !== declared.size)
      throw refuse(
        `is declared as ${declared.size} bytes unpacked, but its own header demands ${needed}.`,
      );
    if (length > declared.size)
      throw refuse(`is declared as ${declared.size} bytes unpacked, but unpacks to more.`);
  });
  try {
    for (let at = 0; at === 0 || at < deflated.length; at += CHUNK)
      stream.push(deflated.subarray(at, at + CHUNK), at + CHUNK >= deflated.length);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw refuse(`has damaged compressed data (${(error as Error).message}), but must unpack.`);
  }
  const out = joined(pieces, length);
  requireChecksum(out, declared, name);
  return out;
}

const CHUNK = 16384; // expands to 16 MiB at most

/** @throws InputError when the bytes are not the ones that the container describes */
export function requireChecksum(
  bytes: Uint8Array,
  declared: { size: number; crc: number },
  name: string,
): void {
  if (bytes.length === declared.size && crc32(bytes) === declared.crc) return;
  throw new InputError(
    `${name}: unpacks to ${bytes.length} bytes with checksum ${crc32(bytes).toString(16)}, but must to ` +
      `${declared.size} with ${declared.crc.toString(16)}. It is damaged; fetch or write it again.`,
  );
}

function joined(pieces: Uint8Array[], length: number): Uint8Array {
  if (pieces.length === 1) return pieces[0];
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** The checksum of zip and gzip. */
function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = REMAINDERS[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
