/** One file of an archive. */
export interface ArchivedFile {
  readonly bytes: Uint8Array;
  readonly executable: boolean;
}

const BLOCK = 512;

/**
 * The files of a tar archive (ustar or GNU, files and folders only).
 *
 * @returns files by their path inside the archive
 * @throws RangeError for a checksum, size, kind or path that does not belong there, and for an archive cut short
 */
export function untar(archive: Uint8Array): Map<string, ArchivedFile> {
  const files = new Map<string, ArchivedFile>();
  for (let at = 0; at + BLOCK <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return files;
    const text = (start: number, length: number) =>
      new TextDecoder().decode(header.subarray(start, start + length)).replace(/\0[^]*$/, "");
    const octal = (start: number, length: number) => {
      const digits = text(start, length).trim();
      return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : NaN;
    };
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    const size = octal(124, 12);
    const kind = text(156, 1) || "0";
    const path = [text(345, 155), text(0, 100)].filter(Boolean).join("/");
    const end = at + BLOCK + size;
    if (
      octal(148, 8) !== sum ||
      !(end <= archive.length) ||
      !["0", "5"].includes(kind) ||
      (kind === "5" && size !== 0) ||
      /^[/\\]|\\|(^|\/)\.\.(\/|$)|^[a-z]:/i.test(path)
    )
      throw new RangeError(
        `untar: the entry at byte ${at} is damaged or of a kind not known here, but must be a whole file or folder. Install the package anew.`,
      );
    if (kind === "0")
      files.set(path.replace(/^\.\//, ""), {
        bytes: archive.subarray(at + BLOCK, end),
        executable: (octal(100, 8) & 0o100) !== 0,
      });
    at = Math.ceil(end / BLOCK) * BLOCK;
  }
  throw new RangeError(
    `untar: the archive of ${archive.length} bytes has no end mark, but must have one. Install the package anew.`,
  );
}
