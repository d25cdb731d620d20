/** The tree is the explanation: what may import what. */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const walk = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.name === "node_modules") return [];
    return entry.isDirectory() ? walk(path) : [path];
  });

interface Source {
  /** From the root: `src/gpu/device.ts`. */
  readonly path: string;
  readonly tree: ts.SourceFile;
  /** Files from the root; packages and `node:` as they are named. */
  readonly imports: readonly string[];
  /** Those of them that stay when types are erased. */
  readonly runs: readonly string[];
}

/** Whether an import or export statement is erased with the types. */
function isErased(node: ts.Node): boolean {
  if (ts.isImportTypeNode(node)) return true;
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  if (!ts.isImportDeclaration(node) || !node.importClause) return false;
  const { isTypeOnly, name, namedBindings } = node.importClause;
  const all =
    namedBindings !== undefined &&
    ts.isNamedImports(namedBindings) &&
    namedBindings.elements.every((element) => element.isTypeOnly);
  return isTypeOnly || (name === undefined && all);
}

const sources: Source[] = [...walk("src"), ...walk("bench")]
  .filter((path) => /\.(ts|mjs)$/.test(path) && !path.endsWith(".d.ts"))
  // What the bench is compared with runs in processes of its own.
  .filter((path) => !path.startsWith("bench/peers/"))
  .map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const tree = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
    const imports: string[] = [];
    const runs: string[] = [];
    const visit = (node: ts.Node): void => {
      const named =
        ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
          ? node.moduleSpecifier
          : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
            ? node.arguments[0]
            : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
              ? node.argument.literal
              : undefined;
      if (named && ts.isStringLiteral(named)) {
        const own = named.text.startsWith(".");
        const target = own ? relative(root, resolve(root, dirname(path), named.text)) : named.text;
        imports.push(target);
        if (!isErased(node)) runs.push(target);
      }
      ts.forEachChild(node, visit);
    };
    visit(tree);
    return { path, tree, imports, runs };
  });
const byPath = new Map(sources.map((source) => [source.path, source]));

/** A file and all it imports, directly or not, without shaders and packages. */
function closure(path: string, kind: "imports" | "runs" = "imports"): Set<string> {
  const reached = new Set<string>();
  const queue = [path];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (reached.has(next) || !byPath.has(next)) continue;
    reached.add(next);
    queue.push(...byPath.get(next)![kind]);
  }
  return reached;
}

/** What stands on the stages may have any shader that they leave. */
const stageNumber = (path: string): number | null => {
  if (path.startsWith("src/theory/")) return 9;
  const [, digit] = /^src\/stages\/(\d+)-/.exec(path) ?? [];
  return digit === undefined ? null : Number(digit);
};

/**
 * How high a file stands: it imports only what stands lower, or as high (cycles are looked for by themselves).
 * Formats and what finds adapters stand aside: see the tests of their own.
 */
function height(path: string): number {
  if (path === "src/errors.ts") return 0;
  if (path.startsWith("src/gpu/")) return 1;
  if (path.startsWith("src/theory/")) return 4;
  const stage = stageNumber(path);
  if (stage !== null) return 2 + stage / 10;
  if (path === "src/ntk.ts") return 3;
  if (/^src\/(index|internals|theory)\.ts$/.test(path)) return 5;
  if (path.startsWith("src/formats/") || path.startsWith("src/node/")) return 5;
  if (path === "src/node.ts") return 6;
  // The bench's page stands on what the bench itself is.
  if (path.startsWith("bench/")) return path.startsWith("bench/page/") ? 6.6 : 6.5;
  if (/^src\/(cli|explorer)\//.test(path)) return 7;
  if (path === "src/setup.mjs") return 8;
  throw new Error(`${path} has no place on the way of the data. Give it one here.`);
}

const core = closure("src/index.ts");
const theory = closure("src/theory.ts");

describe("imports", () => {
  test("every import of a file of ours leads to one", () => {
    for (const { path, imports } of sources)
      for (const target of imports.filter((name) => /^(src|shaders|bench)\//.test(name)))
        expect(
          byPath.has(target) || /\.(wgsl|json)$/.test(target),
          `${path} imports ${target}`,
        ).toBe(true);
  });

  test("none runs upward: errors ← gpu ← stages by number ← the way ← theory ← entries ← bench ← command line", () => {
    const upward = sources.flatMap(({ path, imports }) =>
      imports
        .filter((target) => byPath.has(target) && height(target) > height(path))
        .map((target) => `${path} imports ${target}`),
    );
    expect(upward).toEqual([]);
    expect(sources.length).toBeGreaterThan(40);
  });

  test("no module waits for itself: beyond types, which are erased, none runs in a circle", () => {
    const circles = sources.flatMap(({ path, runs }) =>
      runs
        .filter((target) => closure(target, "runs").has(path))
        .map((target) => `${path} and ${target}`),
    );
    expect(circles).toEqual([]);
  });

  test("core and theory import no package and nothing of Node, formats or the command line", () => {
    const foreign = [...core, ...theory].flatMap((path) =>
      byPath
        .get(path)!
        .imports.filter((target) => !byPath.has(target) && !target.endsWith(".wgsl"))
        .map((target) => `${path} imports ${target}`),
    );
    expect(foreign).toEqual([]);
    for (const path of [...core, ...theory]) expect(path).not.toMatch(/^src\/(formats|node|cli)\b/);
    expect(core.size).toBeGreaterThan(15);
  });

  test("formats and what finds adapters know no GPU code of ours: bytes in, numbers out", () => {
    for (const { path } of sources.filter((each) => /^src\/(formats|node)\//.test(each.path)))
      expect(
        [...closure(path)].filter((reached) => reached.startsWith("src/gpu/")),
        path,
      ).toEqual([]);
  });

  test("nothing but the command line itself imports the command line", () => {
    for (const { path, imports } of sources.filter((each) => !each.path.startsWith("src/cli/")))
      expect(
        imports.filter((target) => target.startsWith("src/cli/")),
        path,
      ).toEqual([]);
  });

  test("what the bench's page reaches imports no package and nothing of Node or of the entry for Node", () => {
    const reached = closure("bench/page/page.ts");
    const foreign = [...reached].flatMap((path) =>
      byPath
        .get(path)!
        .imports.filter(
          (target) => !/^(src|bench|shaders|test\/reference|test\/conformance)\//.test(target),
        )
        .map((target) => `${path} imports ${target}`),
    );
    expect(foreign).toEqual([]);
    expect([...reached].filter((path) => /^src\/(node|formats|cli)\b/.test(path))).toEqual([]);
    expect([...reached].filter((path) => path.startsWith("bench/")).length).toBeGreaterThan(10);
  });

  test("set-up imports Node alone, as it runs before anything is installed", () => {
    const [setup] = sources.filter(({ path }) => path === "src/setup.mjs");
    // What it awaits later is there by then.
    const first = setup.tree.statements.filter(ts.isImportDeclaration);
    for (const { moduleSpecifier } of first)
      expect(moduleSpecifier.getText()).toMatch(/^["']node:/);
    expect(first.length).toBeGreaterThan(0);
  });

  test("a shader with an entry point is imported by one stage of its folder's number, the bench's by one file of it, a fragment by some", () => {
    const importers = new Map<string, string[]>(
      walk("shaders")
        .filter((path) => path.endsWith(".wgsl"))
        .map((path) => [path, []]),
    );
    for (const { path, imports } of sources)
      for (const target of imports.filter((name) => name.endsWith(".wgsl")))
        importers.get(target)!.push(path);
    expect(importers.size).toBeGreaterThan(10);
    for (const [shader, files] of importers) {
      expect(files, shader).not.toHaveLength(0);
      const entry = /@compute/.test(readFileSync(join(root, shader), "utf8"));
      if (!entry) continue;
      expect(files, shader).toHaveLength(1);
      if (shader.startsWith("shaders/bench/")) {
        expect(files[0], shader).toMatch(/^bench\//);
        continue;
      }
      const folder = Number(/^shaders\/(\d+)-/.exec(shader)?.[1]);
      expect(stageNumber(files[0]), `${shader} in ${files[0]}`).toBeGreaterThanOrEqual(folder);
    }
  });
});

/** What every engine of ECMAScript has: all the core may name that it does not declare. */
const ECMASCRIPT = new Set(
  `undefined NaN Infinity Object Function Array Number String Boolean Symbol BigInt Math JSON Date RegExp Promise
  Map Set WeakMap WeakSet WeakRef Proxy Reflect Error TypeError RangeError ArrayBuffer SharedArrayBuffer DataView
  Float32Array Float64Array Int8Array Int16Array Int32Array Uint8Array Uint16Array Uint32Array Uint8ClampedArray
  isNaN isFinite parseInt parseFloat globalThis`.split(/\s+/),
);
const HOSTS =
  `navigator process window document performance setTimeout setInterval queueMicrotask console Buffer
  self require module fetch globalThis GPUBufferUsage GPUMapMode GPUShaderStage`.split(/\s+/);

/** Names that a file uses as values and does not declare. */
function freeNames({ tree }: Source): Set<string> {
  const declared = new Set<string>();
  const used = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isIdentifier(node)) {
      const { parent } = node;
      const declares =
        (ts.isVariableDeclaration(parent) ||
          ts.isParameter(parent) ||
          ts.isBindingElement(parent) ||
          ts.isFunctionDeclaration(parent) ||
          ts.isClassDeclaration(parent) ||
          ts.isImportSpecifier(parent) ||
          ts.isImportClause(parent) ||
          ts.isNamespaceImport(parent) ||
          ts.isTypeParameterDeclaration(parent)) &&
        parent.name === node;
      const isKey =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        (ts.isPropertyAssignment(parent) && parent.name === node) ||
        (ts.isBindingElement(parent) && parent.propertyName === node) ||
        ts.isExportSpecifier(parent) ||
        (ts.isImportSpecifier(parent) && parent.propertyName === node) ||
        ts.isMetaProperty(parent) ||
        ((ts.isMethodDeclaration(parent) ||
          ts.isPropertyDeclaration(parent) ||
          ts.isGetAccessorDeclaration(parent) ||
          ts.isSetAccessorDeclaration(parent)) &&
          parent.name === node);
      if (declares) declared.add(node.text);
      else if (!isKey) used.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return new Set([...used].filter((name) => !declared.has(name)));
}

describe("core and theory", () => {
  test("touch no global of a host: every name they use is their own or ECMAScript's", () => {
    const foreign = [...core, ...theory].flatMap((path) =>
      [...freeNames(byPath.get(path)!)]
        .filter((name) => !ECMASCRIPT.has(name) || HOSTS.includes(name))
        .map((name) => `${path}: ${name}`),
    );
    expect(foreign).toEqual([]);
  });

  test("this scan sees a global where there is one", () => {
    const text =
      "const f = (a: Window) => { console.log(a, { process: 1 }.process, navigator.gpu); };";
    const tree = ts.createSourceFile("x.ts", text, ts.ScriptTarget.ESNext, true);
    const found = [...freeNames({ path: "x.ts", tree, imports: [], runs: [] })].sort();
    expect(found).toEqual(["console", "navigator"]);
  });
});
