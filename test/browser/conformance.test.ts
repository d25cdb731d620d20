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

/** The story as one module that a page can import. */
async function bundledStory(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("../conformance/story.ts", import.meta.url))],
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
  const { story } = await import("/story.js");
  const gpu = await core.openGpu({ gpu: navigator.gpu });
  const checks = await story(core, gpu);
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

test("every sentence of the conformance story holds in a real Chromium, on the built core", async () => {
  const { page, browser, close } = await openPage({
    "/index.js": built,
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
    expect(checks.length).toBeGreaterThanOrEqual(25);
    expect(stats).toMatchObject({ buffers: 0, bytes: 0 });
    expect(names, "public names").toEqual(Object.keys(core).sort());
  } finally {
    await close();
  }
});
