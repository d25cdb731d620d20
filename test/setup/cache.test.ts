import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { build } from "esbuild";
import { cachedFolder } from "../../src/node/cache.ts";

const files = () =>
  new Map([
    ["library.so", { bytes: Buffer.from("library"), executable: true }],
    ["lib/inner", { bytes: Buffer.from("inner"), executable: false }],
  ]);

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "webgpu-ntk-test-"));
  for (const name of ["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"]) vi.stubEnv(name, home);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

test("a folder of the cache is filled once, then used as it lies", () => {
  const folder = cachedFolder("set-1", files);
  expect(readFileSync(join(folder, "lib", "inner"), "utf8")).toBe("inner");
  const again = cachedFolder("set-1", () => {
    throw new Error("asked again");
  });
  expect(again).toBe(folder);
});

test.each([
  ["a file cut short", (folder: string) => writeFileSync(join(folder, "library.so"), "lib")],
  [
    "a file of other bytes",
    (folder: string) => writeFileSync(join(folder, "library.so"), "libraru"),
  ],
  ["a file that is gone", (folder: string) => rmSync(join(folder, "lib", "inner"))],
  ["no manifest", (folder: string) => rmSync(join(folder, "manifest.json"))],
  ["an empty manifest", (folder: string) => writeFileSync(join(folder, "manifest.json"), "")],
])("a cached folder torn by %s is mended", (_, tear) => {
  const folder = cachedFolder("set-1", files);
  tear(folder);
  expect(cachedFolder("set-1", files)).toBe(folder);
  expect(readFileSync(join(folder, "library.so"), "utf8")).toBe("library");
  expect(readFileSync(join(folder, "lib", "inner"), "utf8")).toBe("inner");
  expect(readdirSync(join(folder, ".."))).toEqual(["set-1"]);
});

test("where the cache cannot be written, a folder below the temporary one serves", () => {
  const file = join(home, "file");
  writeFileSync(file, "");
  for (const name of ["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"]) vi.stubEnv(name, file);
  vi.stubEnv("TMPDIR", home);
  vi.stubEnv("TEMP", home);
  const folder = cachedFolder("set-1", files);
  expect(folder.startsWith(join(home, "webgpu-ntk-"))).toBe(true);
});

test("processes that unpack the embedded adapter at once all see it whole, and leave nothing else", async () => {
  const program = join(home, "unpack.mjs");
  await build({
    stdin: {
      contents: `import { embeddedVulkan } from "./vulkan.ts"; console.log(embeddedVulkan());`,
      resolveDir: new URL("../../src/node", import.meta.url).pathname,
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: program,
    // The bundle looks for packages from where the module it was made from lies.
    define: { "import.meta.url": JSON.stringify(new URL("../../src/node/", import.meta.url).href) },
  });
  const runs = Array.from(
    { length: 4 },
    () =>
      new Promise<string>((resolve, reject) => {
        const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
        let text = "";
        child.stdout.on("data", (chunk) => (text += chunk));
        child.on("close", (code) =>
          code === 0 ? resolve(text.trim()) : reject(new Error(`exit ${code}`)),
        );
      }),
  );
  const folders = new Set(await Promise.all(runs));
  expect(folders.size).toBe(1);
  const [folder] = folders;
  if (folder === "null") return; // this machine has no embedded adapter
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as object;
  expect(readdirSync(folder).sort()).toEqual([...Object.keys(manifest), "manifest.json"].sort());
  expect(readdirSync(join(folder, "..")).length).toBe(1);
});
