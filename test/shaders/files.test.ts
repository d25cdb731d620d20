import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";
import { withoutComments, withShortNames } from "../../esbuild.config.mjs";
import { defineShader } from "../../src/gpu/shader.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, sample } from "./guarded.ts";

const root = new URL("../..", import.meta.url).pathname;
const shaders = join(root, "shaders");
const filesIn = (folder: string, end: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(end))
    .sort();
const text = (path: string): string => readFileSync(join(shaders, path), "utf8");
const wgsl = filesIn(shaders, ".wgsl");
const entries = wgsl.filter((path) => /@compute/.test(withoutComments(text(path))));

/** What the first line names, after the file itself. */
function joined(path: string): string[] {
  const own = text(path);
  const names = /^\/\/ with (.+)\n/.exec(own)?.[1].split(", ") ?? [];
  return [own, ...names.map(text)];
}

/** The comment that a file begins with, without its slashes. */
const header = (path: string): string =>
  /^(\/\/.*\n)+/.exec(text(path))?.[0].replace(/^\/\/ ?/gm, "") ?? "";

/** The lines of a header from `word` to the next word at the margin. */
const section = (path: string, word: string): string =>
  new RegExp(`^${word} .*\\n( .*\\n)*`, "m").exec(header(path))?.[0] ?? "";

test("there are shaders with entry points", () => {
  expect(entries.length).toBeGreaterThan(9);
});

for (const path of entries)
  gpuTest(
    `${path} compiles as it lies, with the fragments that its first line names`,
    async (gpu) => {
      const code = joined(path).join("\n");
      // Few adapters have these, and only where a host switched them on; subgroupMatrix.test.ts stands in for them.
      const matrices = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
      const needsMatrices = /^enable \w+_subgroup_matrix;/m.test(code);
      if (needsMatrices && !gpu.device.features.has(matrices)) return;
      const module = gpu.device.createShaderModule({ code });
      expect((await module.getCompilationInfo()).messages.map(({ message }) => message)).toEqual(
        [],
      );
      const name = /([^/]+)\.wgsl$/.exec(path)![1];
      // An adapter may have some shapes and not others.
      if (needsMatrices && !gpu.host.classes?.[name]) return;
      const compute = { module, entryPoint: name };
      await gpu.device.createComputePipelineAsync({ layout: "auto", compute });
    },
  );

test.each(wgsl)("%s has at most 120 lines, begins with its name and says what it does", (path) => {
  expect(text(path).split("\n").length - 1).toBeLessThanOrEqual(120);
  const name = /([^/]+)\.wgsl$/.exec(path)?.[1];
  expect(header(path)).toMatch(new RegExp(`^(with .+\\n)?${name} — .+\\.\\n|^${name} — `));
});

test.each(entries)("the header of %s names formula, in or out, grid, error and cost", (path) => {
  const [title] = header(path).split(/^(?:in|out) /m);
  expect(title, "formula").toMatch(/^ {2}.*\[.*\].*=.*$/m);
  for (const word of ["grid", "error", "cost"])
    expect(section(path, word), word).toMatch(/^\w+ +\S/);
  expect(section(path, "in") + section(path, "out")).not.toBe("");
});

test.each(entries)(
  "the header of %s lists its buffers: what is read in, what is written out",
  (path) => {
    for (const [, access, name] of withoutComments(text(path)).matchAll(
      /var<storage, (read|read_write)> (\w+)/g,
    ))
      expect(section(path, access === "read" ? "in" : "out"), name).toMatch(
        new RegExp(`(^|\\s)${name}\\s.*\\[`),
      );
  },
);

test("every shader is used: entry points by exactly one stage, or file of theory or bench, fragments by one at least", () => {
  const users = new Map<string, string[]>(wgsl.map((path) => [path, []]));
  const sources = ["src", "bench"].flatMap((folder) =>
    filesIn(join(root, folder), ".ts")
      .filter((file) => !file.includes("node_modules"))
      .map((file) => join(folder, file)),
  );
  for (const file of sources) {
    const source = readFileSync(join(root, file), "utf8");
    for (const [, from] of source.matchAll(/\bfrom "([^"]+\.wgsl)"/g)) {
      const path = relative(shaders, join(root, file, "..", from));
      expect([...users.keys()], file).toContain(path);
      users.get(path)?.push(file);
    }
  }
  const wrong = [...users].filter(([path, files]) => {
    if (!entries.includes(path)) return files.length === 0;
    const owner = /^[5-9]-/.test(path) ? "src/theory/" : "src/stages/";
    return !(
      files.length === 1 && files[0].startsWith(path.startsWith("bench/") ? "bench/" : owner)
    );
  });
  expect(wrong).toEqual([]);
});

gpuTest(
  "product: the text that a release carries gives the bits of the text in the tree",
  async (gpu) => {
    const [depth, rows, columns] = [150, 37, 70];
    using left = gpu.upload("left", depth, rows, sample("normal", depth * rows, 1));
    using right = gpu.upload("right", depth, columns, sample("normal", depth * columns, 2));
    const run = async (texts: string[]) => {
      const product = defineShader({
        name: "productRegisters",
        wgsl: texts,
        dims: [
          ...(["depth", "leftColumns", "rightColumns", "rowOrigin", "columnOrigin"] as const),
          ...(["rows", "columns", "triangle", "firstTile", "lastTile", "slabs"] as const),
          ...([
            "slabRows",
            "outputs",
            "rowSamples",
            "samples",
            "zero",
            "scale",
            "shift",
            "scaleLow",
            "shiftLow",
          ] as const),
        ],
        buffers: {
          left: ["read", "depth", "leftColumns"],
          right: ["read", "depth", "rightColumns"],
          out: ["read_write", "rows", "columns"],
        },
        sizes: { LANES: 16 },
      });
      using out = new Guarded(gpu, "out", rows, columns);
      product(gpu, {
        dims: {
          ...{ depth, rows, columns, leftColumns: rows, rightColumns: columns },
          ...{ rowOrigin: 0, columnOrigin: 0, triangle: 0, firstTile: 0, lastTile: 12 },
          ...{ slabs: 1, slabRows: 0 },
          ...{
            outputs: 1,
            rowSamples: rows,
            samples: columns,
            zero: 0,
            scale: 0.3,
            shift: 0.1,
            scaleLow: 0,
            shiftLow: 0,
          },
        },
        buffers: { left, right, out: out.matrix },
        groups: [12],
        flops: 1,
      });
      return out.bits();
    };
    const raw = joined("0-matrix/productRegisters.wgsl");
    expect(await run(raw.map((each) => withShortNames(withoutComments(each))))).toEqual(
      await run(raw),
    );
  },
);
