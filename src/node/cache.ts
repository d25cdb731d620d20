import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import type { ArchivedFile } from "./untar.ts";

/** Lists each file of a cached folder with its hash, so that a torn folder is known as one. */
const MANIFEST = "manifest.json";

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function userCache(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (process.platform === "win32") return LOCALAPPDATA ?? join(homedir(), "AppData", "Local");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches");
  return XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), ".cache");
}

/** A folder of ours in the shared temporary one, which nobody else may have laid there. */
function temporaryCache(): string {
  const uid = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `webgpu-ntk-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  const ours = process.getuid ? found.uid === uid && (found.mode & 0o022) === 0 : true;
  if (!found.isDirectory() || !ours)
    throw new Error(
      `cache: ${folder} belongs to someone else, but must be yours alone. Set XDG_CACHE_HOME to a folder you can write.`,
    );
  return folder;
}

function isWhole(folder: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8"));
    return Object.entries(manifest as Record<string, string>).every(
      ([path, expected]) => hash(readFileSync(join(folder, path))) === expected,
    );
  } catch {
    return false;
  }
}

function fill(folder: string, files: ReadonlyMap<string, ArchivedFile>): void {
  const manifest: Record<string, string> = {};
  for (const [path, { bytes, executable }] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes, { mode: executable ? 0o755 : 0o644 });
    manifest[path] = hash(bytes);
  }
  writeFileSync(join(folder, MANIFEST), JSON.stringify(manifest, null, 2));
}

function filled(parent: string, name: string, files: () => ReadonlyMap<string, ArchivedFile>) {
  mkdirSync(parent, { recursive: true });
  const folder = join(parent, name);
  if (isWhole(folder)) return folder;
  const aside = mkdtempSync(`${folder}.`);
  try {
    fill(aside, files());
    for (let attempt = 0; ; attempt++)
      try {
        renameSync(aside, folder);
        return folder;
      } catch (error) {
        // Another process was first, or what lies there is torn and goes out of the way.
        if (isWhole(folder)) return folder;
        if (attempt === 3) throw error;
        try {
          renameSync(folder, join(aside, `torn-${attempt}`));
          rmSync(join(aside, `torn-${attempt}`), { recursive: true, force: true });
        } catch (moved) {
          if ((moved as NodeJS.ErrnoException).code !== "ENOENT") throw moved;
        }
      }
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/**
 * A folder of the user's cache that is filled once: aside, then renamed, so that processes that start together
 * all see it whole. One that was torn since (by its hashes) is filled again.
 *
 * @param name of the folder inside `webgpu-ntk`; says the version of what it holds
 * @param files what belongs in it; asked only when it must be filled
 * @returns the folder; below the temporary one where the user's cache cannot be written
 */
export function cachedFolder(name: string, files: () => ReadonlyMap<string, ArchivedFile>): string {
  const own = join(userCache(), "webgpu-ntk");
  try {
    if (isAbsolute(own)) return filled(own, name, files);
  } catch (error) {
    if (!("syscall" in (error as object))) throw error;
  }
  return filled(temporaryCache(), name, files);
}

/**
 * Texts by name in the user's cache, one file each. What cannot be read is not there; what cannot be written is lost.
 *
 * @param name of the folder inside `webgpu-ntk`
 */
export function cachedTexts(name: string) {
  const place = (key: string) =>
    join(userCache(), "webgpu-ntk", name, `${hash(Buffer.from(key))}.json`);
  return {
    getItem(key: string): string | null {
      try {
        return readFileSync(place(key), "utf8");
      } catch {
        return null;
      }
    },
    setItem(key: string, text: string): void {
      try {
        const file = place(key);
        mkdirSync(dirname(file), { recursive: true });
        const aside = `${file}.${process.pid}`;
        writeFileSync(aside, text);
        renameSync(aside, file);
      } catch {
        // a cache that cannot be written only costs the next search
      }
    },
  };
}
