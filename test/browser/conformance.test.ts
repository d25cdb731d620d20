import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { wgslEsbuild } from "../../esbuild.config.mjs";
import type { GpuStats } from "../../src/index.ts";
import * as core from "../../src/index.ts";
import type { Check } from "../conformance/story.ts";
import { openPage } from "./chromium.ts";
import { firefox, inFirefox } from "./firefox.ts";

const built = new URL("../../dist/index.js", import.meta.url);

/** The stories as one module that a page can import. */
async function bundledStory(): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: 'export { story } from "./story.ts"; export { theoryStory } from "./theory.ts";',
      resolveDir: fileURLToPath(new URL("../conformance", import.meta.url)),
    },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    plugins: [wgslEsbuild],
  });
  return outputFiles[0].text;
}

/** What a page does; as text, because a transformed `import()` would not reach it. */
const TELL = `(async () => {
  const core = await import("/index.js");
  const theory = await import("/theory.js");
  const { story, theoryStory } = await import("/story.js");
  const gpu = await core.openGpu({ gpu: navigator.gpu });
  const checks = [...(await story(core, gpu)), ...(await theoryStory(core, theory, gpu))];
  const stats = gpu.stats();
  gpu.destroy();
  return { adapter: gpu.description, names: Object.keys(core).sort(), stats, checks };
})()`;

/** The same in a worker, which a page that must stay responsive hands the engine to. */
const WORKER = `postMessage(await ${TELL});`;
const TELL_BY_WORKER = `new Promise((resolve, reject) => {
  const worker = new Worker("/worker.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message));
})`;

/** What comes of it. */
interface Told {
  readonly adapter: string;
  readonly names: readonly string[];
  readonly stats: GpuStats;
  readonly checks: readonly Check[];
}

const filesOf = async () => ({
  "/index.js": built,
  "/theory.js": new URL("../../dist/theory.js", import.meta.url),
  "/story.js": await bundledStory(),
  "/worker.js": WORKER,
});

function judge(browser: string, { adapter, names, stats, checks }: Told): void {
  console.log(`${browser}, ${adapter}`);
  for (const { name, worst } of checks) console.log(`${worst.toFixed(3).padStart(6)}  ${name}`);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks.length).toBeGreaterThanOrEqual(31);
  expect(stats).toMatchObject({ buffers: 0, bytes: 0 });
  const open = (list: readonly string[]) => list.filter((name) => !name.startsWith("_"));
  expect(open(names), "public names").toEqual(open(Object.keys(core)).sort());
}

test("the built core is one ESM file of at most 40 kB gzipped that imports nothing", () => {
  const code = readFileSync(built, "utf8");
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(40_000);
  expect(code).not.toMatch(/\bimport\b\s*[({*"'\w]|\brequire\s*\(|\bfrom\s*["']/);
  expect(code).toMatch(/export\s*\{/);
});

test.each([
  ["a page", TELL],
  ["a worker", TELL_BY_WORKER],
])(
  "every sentence of the conformance story holds in %s of a real Chromium, on the built core and what is built on it",
  async (where, expression) => {
    const { page, browser, close } = await openPage(await filesOf());
    try {
      judge(`${browser}, ${where}`, (await page.evaluate(expression)) as Told);
    } finally {
      await close();
    }
  },
);

// Firefox brings no driver of its own: it takes part where it is installed, starts and finds one.
const there = firefox();
const ASK = "navigator.gpu.requestAdapter().then((adapter) => adapter !== null)";
const adapts = there && (await inFirefox(there.command, {}, ASK, 60_000).catch(String));
if (there && adapts === true)
  test("every sentence holds in a real Firefox, whose WebGPU and compiler are others", async () => {
    judge(there.name, (await inFirefox(there.command, await filesOf(), TELL)) as Told);
  });
else console.log(`Firefox is not tried: ${there ? `an adapter? ${adapts}` : "not installed"}`);
