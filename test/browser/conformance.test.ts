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

/** What the page does; as text, because a transformed `import()` would not reach it. */
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

test("the built core is one ESM file of at most 40 kB gzipped that imports nothing", () => {
  const code = readFileSync(built, "utf8");
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(40_000);
  expect(code).not.toMatch(/\bimport\b\s*[({*"'\w]|\brequire\s*\(|\bfrom\s*["']/);
  expect(code).toMatch(/export\s*\{/);
});

test("every sentence of the conformance story holds in a real Chromium, on the built core and what is built on it", async () => {
  const { page, browser, close } = await openPage({
    "/index.js": built,
    "/theory.js": new URL("../../dist/theory.js", import.meta.url),
    "/story.js": await bundledStory(),
  });
  try {
    const { adapter, names, stats, checks } = (await page.evaluate(TELL)) as {
      adapter: string;
      names: string[];
      stats: GpuStats;
      checks: Check[];
    };
    console.log(`${browser}, ${adapter}`);
    for (const { name, worst } of checks) console.log(`${worst.toFixed(3).padStart(6)}  ${name}`);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.length).toBeGreaterThanOrEqual(31);
    expect(stats).toMatchObject({ buffers: 0, bytes: 0 });
    expect(names, "public names").toEqual(Object.keys(core).sort());
  } finally {
    await close();
  }
});
