import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const core = readFileSync(new URL("../../dist/index.js", import.meta.url));
const theory = readFileSync(new URL("../../dist/theory.js", import.meta.url), "utf8");
const node = readFileSync(new URL("../../dist/node.js", import.meta.url), "utf8");
const imports = (code: string) =>
  [...code.matchAll(/(?:^|[;}\s])(?:import|export)\s*[^;"'()]*?["']([^"']+)["']/g)].map(
    (m) => m[1],
  );

test("the core is one file without imports, at most 40 kB gzipped", () => {
  expect(imports(core.toString())).toEqual([]);
  expect(core.toString()).not.toMatch(/\bimport\s*\(|\brequire\s*\(/);
  expect(gzipSync(core, { level: 9 }).length).toBeLessThanOrEqual(40_000);
});

test("the Node entry shares the core's classes: it imports the core, and has no error class of its own", () => {
  expect(imports(node)).toContain("./index.js");
  expect(node).not.toMatch(/class GpuError/);
});

test("what is built on the core brings none of it along: it imports the core alone", async () => {
  expect(new Set(imports(theory))).toEqual(new Set(["./index.js"]));
  expect(theory).not.toMatch(/\brequire\s*\(|class GpuError|productBroadcast/);
  const names = Object.keys(await import("../../dist/theory.js" as string));
  expect(names.sort()).toEqual(Object.keys(await import("../../src/theory.ts")).sort());
});
