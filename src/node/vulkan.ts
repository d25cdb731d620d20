import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { cachedFolder } from "./cache.ts";
import { untar, type ArchivedFile } from "./untar.ts";

const LOADER = "libvulkan.so.1";
const ICD = "vk_swiftshader_icd.json";

/** The folder of a package's file, as seen from here, or null where the package is not installed. */
function packageFolder(): string | null {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")));
  } catch {
    return null;
  }
}

/** What `@sparticuz/chromium` ships as `bin/<name>.br`, unpacked; its version. */
export interface EmbeddedPackage {
  readonly version: string;
  archive(name: string): Uint8Array;
}

/** The package with the software adapter and the browser, or null where there is none for this machine. */
export function embeddedPackage(): EmbeddedPackage | null {
  const folder = process.platform === "linux" && process.arch === "x64" ? packageFolder() : null;
  if (folder === null) return null;
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    version: string;
  };
  return {
    version,
    archive: (name) => brotliDecompressSync(readFileSync(join(folder, "bin", `${name}.br`))),
  };
}

/** SwiftShader's three files out of its archive. */
export function swiftshaderFiles(embedded: EmbeddedPackage): Map<string, ArchivedFile> {
  const files = untar(embedded.archive("swiftshader.tar"));
  const wanted = new Map<string, ArchivedFile>();
  for (const name of ["libvk_swiftshader.so", LOADER, ICD]) {
    const file = files.get(name);
    if (!file)
      throw new Error(
        `vulkan: @sparticuz/chromium ${embedded.version} has no ${name}, but must have it. Install version 153.`,
      );
    wanted.set(name, file);
  }
  return wanted;
}

/** The folder with SwiftShader and a Vulkan loader, unpacked on first use; null where there is none. */
export function embeddedVulkan(): string | null {
  const embedded = embeddedPackage();
  if (embedded === null) return null;
  return cachedFolder(`swiftshader-${embedded.version}`, () => swiftshaderFiles(embedded));
}

/** Loads a library for good (RTLD_NODELETE), so that Dawn finds it by its name. */
function loadLibrary(path: string): boolean {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | 0x1000);
  } catch (error) {
    // Node's own words for a library that was loaded but is no addon.
    return (error as Error).message.includes("did not self-register");
  }
  return true;
}

function addPath(variable: string, path: string): void {
  const paths = (process.env[variable] ?? "").split(":").filter(Boolean);
  if (!paths.includes(path)) process.env[variable] = [...paths, path].join(":");
}

/** How Vulkan stands after {@link prepareVulkan}. */
export interface Vulkan {
  /** The embedded driver's manifest; null where there is none. */
  readonly icd: string | null;
  /** Why the embedded driver could not be unpacked, if so. */
  readonly trouble: string | null;
}

let prepared: Vulkan | undefined;

/**
 * Makes Vulkan ready in this process and its children: the system's loader where there is one, else the embedded
 * one; the embedded driver beside whatever the system has. Does nothing beyond Linux.
 */
export function prepareVulkan(): Vulkan {
  return (prepared ??= process.platform === "linux" ? prepare() : { icd: null, trouble: null });
}

function prepare(): Vulkan {
  const systemLoader = loadLibrary(LOADER);
  let folder: string | null;
  try {
    folder = embeddedVulkan();
  } catch (error) {
    return { icd: null, trouble: (error as Error).message };
  }
  if (folder === null) return { icd: null, trouble: null };
  if (!systemLoader && loadLibrary(join(folder, LOADER))) addPath("LD_LIBRARY_PATH", folder);
  const icd = join(folder, ICD);
  // A caller's own list of drivers makes the loader deaf to VK_ADD_DRIVER_FILES.
  const own = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].find((name) => process.env[name]);
  addPath(own ?? "VK_ADD_DRIVER_FILES", icd);
  return { icd, trouble: null };
}

/** For loaders older than 1.3.207, which do not know VK_ADD_DRIVER_FILES: every driver named one by one. */
export function nameDrivers(icd: string): void {
  for (const folder of ["/etc", "/usr/local/share", "/usr/share"])
    try {
      for (const file of readdirSync(join(folder, "vulkan", "icd.d")))
        if (file.endsWith(".json")) addPath("VK_ICD_FILENAMES", join(folder, "vulkan/icd.d", file));
    } catch {
      // no drivers there
    }
  addPath("VK_ICD_FILENAMES", icd);
}
