// What `npm start`, `npm test` and `npm run …` go through: installs when the lock file changed, builds when stale, then
// does the job. Imports only `node:`, so that it runs before anything is installed; prints on stderr only.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync } from "node:fs";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(root, "package-lock.json");
const installed = join(root, "node_modules", ".webgpu-ntk-lock");
const built = join(root, "dist", ".built");
const busy = join(root, "dist", ".busy");
const outputs = ["index.js", "theory.js", "node.js", "ntk.js", "bench.html"].map((file) =>
  join(root, "dist", file),
);

class SetupError extends Error {
  constructor(message, status = 1) {
    super(message);
    this.status = status;
  }
}

const say = (text) => process.stderr.write(`setup: ${text}\n`);
const read = (file) => (existsSync(file) ? readFileSync(file, "utf8") : "");
const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Runs a program and waits; its exit status, 1 where a signal ended it. */
function run(program, args, stdio = ["ignore", 2, 2]) {
  const { error, status } = spawnSync(program, args, { cwd: root, stdio });
  if (error) throw new SetupError(`${program} does not start: ${error.message}.`);
  return status ?? 1;
}

function must(program, args, cure) {
  const status = run(program, args);
  if (status !== 0)
    throw new SetupError(
      `\`${basename(program)} ${args.join(" ")}\` ended with status ${status}, but must end with 0. ${cure}`,
    );
}

/** npm itself, by its own file where it started us. */
function npm(args) {
  const cli = process.env.npm_execpath ?? "";
  if (basename(cli) === "npm-cli.js") return [process.execPath, [cli, ...args]];
  return process.platform === "win32" ? ["cmd", ["/c", "npm", ...args]] : ["npm", args];
}

const hash = (text) => createHash("sha256").update(text).digest("hex");

function sourcesHash() {
  const sum = createHash("sha256");
  const add = (path) => {
    const names = statSync(path).isDirectory() ? readdirSync(path).sort() : null;
    sum.update(`${relative(root, path)}\0`);
    if (names) names.forEach((name) => add(join(path, name)));
    else sum.update(hash(readFileSync(path)));
  };
  // Of the bench neither what it wrote nor what it is compared with; its references are the tests'.
  const own = readdirSync(join(root, "bench")).filter((name) => !/^(peers|results)$/.test(name));
  for (const path of [
    ...["shaders", "src", "test/reference", "test/conformance", "esbuild.config.mjs"],
    ...["tsconfig.json", "package-lock.json"],
    ...own.map((name) => `bench/${name}`),
  ])
    add(join(root, path));
  return sum.digest("hex");
}

function alive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** One process at a time; a lock that a dead process left behind is taken over. */
function alone(work) {
  const mine = String(process.pid);
  mkdirSync(dirname(busy), { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      writeFileSync(busy, mine, { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(read(busy));
    if (holder > 0 && !alive(holder)) {
      // Of several that take over at once the last one wins, and all can tell after a while.
      writeFileSync(`${busy}.${mine}`, mine);
      renameSync(`${busy}.${mine}`, busy);
      sleep(300);
      if (read(busy) === mine) break;
    }
    if (waited === 5) say("waiting for another process that sets up the same folder.");
    sleep(200);
  }
  try {
    work();
  } finally {
    rmSync(busy, { force: true });
  }
}

const isInstalled = () => read(installed) === hash(readFileSync(lockFile));
const isBuilt = () => outputs.every((file) => existsSync(file)) && read(built) === sourcesHash();

function install() {
  if (isInstalled()) return;
  say("installing packages with npm ci.");
  must(
    ...npm(["ci", "--include=dev", "--no-update-notifier"]),
    "Look at its messages above, then run this again.",
  );
  writeFileSync(installed, hash(readFileSync(lockFile)));
}

function build() {
  if (isBuilt()) return;
  say("building dist.");
  const sources = sourcesHash();
  must(process.execPath, [join(root, "esbuild.config.mjs")], "Mend what the messages above name.");
  writeFileSync(built, sources);
}

function setUp() {
  if (isInstalled() && isBuilt()) return;
  alone(() => {
    install();
    build();
  });
}

async function ntk(args) {
  const { main } = await import(pathToFileURL(join(root, "dist", "ntk.js")).href);
  process.exitCode = await main(args);
}

/** The bench; with other packages to compare with, which are installed first, apart from our own. */
async function bench(args) {
  if (args.includes("--peers")) {
    const folder = join(root, "bench", "peers");
    const lock = hash(readFileSync(join(folder, "package-lock.json")));
    const mark = join(folder, "node_modules", ".webgpu-ntk-lock");
    if (read(mark) !== lock) {
      say("installing the packages to compare with.");
      must(
        ...npm(["ci", "--prefix", folder, "--no-update-notifier"]),
        "Look at its messages above, then run this again.",
      );
      writeFileSync(mark, lock);
    }
  }
  await ntk(["bench", ...args]);
}

/** Declarations of the public entries, for a release: the checkout's own options, but with files written. */
function types() {
  const { compilerOptions } = JSON.parse(read(join(root, "tsconfig.json")));
  const { noEmit: _, ...options } = compilerOptions;
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const emit = ["--declaration", "--emitDeclarationOnly", "--rootDir", "src"];
  must(
    process.execPath,
    [
      join(root, "node_modules", "typescript", "bin", "tsc"),
      ...["src/index.ts", "src/node.ts", "src/wgsl.d.ts"],
      ...flags,
      ...emit,
      ...["--outDir", join("dist", "types")],
    ],
    "Mend what the messages above name.",
  );
}

/** Runs the scripts that write README's tables, each bundled beside its sources. */
async function readme() {
  const { build } = await import("esbuild");
  const { wgslEsbuild } = await import(pathToFileURL(join(root, "esbuild.config.mjs")).href);
  process.chdir(root);
  for (const folder of [join("test", "laws"), "bench"]) {
    const outfile = join(root, folder, ".readme.mjs");
    try {
      await build({
        entryPoints: [join(root, folder, "readme.ts")],
        outfile,
        bundle: true,
        format: "esm",
        platform: "node",
        target: "node20",
        packages: "external",
        plugins: [wgslEsbuild],
        logLevel: "warning",
      });
      await import(pathToFileURL(outfile).href);
    } finally {
      rmSync(outfile, { force: true });
    }
  }
  run(process.execPath, [
    join(root, "node_modules", "prettier", "bin", "prettier.cjs"),
    "--write",
    "README.md",
  ]);
}

/** Types, formatting and tests, all of them; the status is the first failure's. */
function test(args) {
  const bin = (...path) => join(root, "node_modules", ...path);
  const steps = [
    [bin("typescript", "bin", "tsc"), "--noEmit"],
    [bin("prettier", "bin", "prettier.cjs"), "--check", "."],
    [bin("vitest", "vitest.mjs"), "run", ...args],
  ];
  process.exitCode = steps
    .map((step) => run(process.execPath, step, "inherit"))
    .reduce((first, status) => first || status, 0);
}

/** Runs a program and hands back what it prints, empty where it is not there. */
const output = (program, args) =>
  spawnSync(program, args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } }).stdout ?? "";

/** The entry of the distribution's own sources with its suite's name replaced; null where there is none. */
function sourcesEntry(suite, replacement) {
  const folder = "/etc/apt/sources.list.d";
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const file of ["/etc/apt/sources.list", ...files].filter(existsSync)) {
    const text = read(file);
    if (file.endsWith(".sources")) {
      const suites = new RegExp(`^Suites:(.*\\s)?${suite}(\\s.*)?$`, "m");
      const entry = text.split(/\n\s*\n/).find((part) => suites.test(part));
      if (entry)
        return { kind: "sources", text: entry.replace(/^Suites:.*$/m, `Suites: ${replacement}`) };
    } else if (file.endsWith(".list")) {
      const line = new RegExp(`^(deb\\s+(?:\\[[^\\]]*\\]\\s+)?\\S+\\s+)${suite}(\\s.*)$`, "m");
      const found = line.exec(text);
      if (found) return { kind: "list", text: `${found[1]}${replacement}${found[2]}` };
    }
  }
  return null;
}

/** Installs lavapipe, Mesa's software driver: several times faster than the embedded adapter. Debian and Ubuntu only. */
function lavapipe() {
  const MESA = 24; // Dawn refuses older ones
  const release = read("/etc/os-release");
  const field = (name) => new RegExp(`^${name}="?([^"\n]*)`, "m").exec(release)?.[1] ?? "";
  if (!/\b(debian|ubuntu)\b/.test(`${field("ID")} ${field("ID_LIKE")}`))
    throw new SetupError(
      `this installs on Debian and Ubuntu, but this system is ${field("PRETTY_NAME") || process.platform}. Install Mesa ${MESA} or newer with its Vulkan drivers by your system's own means.`,
      2,
    );
  const asRoot = (program, ...args) => {
    const command = process.getuid() === 0 ? [program, ...args] : ["sudo", program, ...args];
    say(command.join(" "));
    must(command[0], command.slice(1), "Look at its messages above.");
  };
  const newest = () =>
    [...output("apt-cache", ["madison", "mesa-vulkan-drivers"]).matchAll(/\|\s*(?:\d+:)?(\d+)\./g)]
      .map((match) => Number(match[1]))
      .reduce((a, b) => Math.max(a, b), 0);
  const env = "DEBIAN_FRONTEND=noninteractive";
  const put = (...suite) =>
    asRoot("env", env, "apt-get", "install", "-y", ...suite, "mesa-vulkan-drivers");

  asRoot("apt-get", "update", "-q");
  const candidate = output("apt-cache", ["policy", "mesa-vulkan-drivers"]);
  if (Number(/Candidate:\s*(?:\d+:)?(\d+)/.exec(candidate)?.[1] ?? 0) >= MESA) return put();
  const codename = field("VERSION_CODENAME");
  const backports = `${codename}-backports`;
  if (newest() < MESA) {
    const entry = field("ID") === "debian" ? sourcesEntry(codename, backports) : null;
    if (!entry)
      throw new SetupError(
        `the newest Mesa for ${field("PRETTY_NAME")} is ${newest()}, but Dawn needs ${MESA} or newer. Upgrade the system, or stay with the embedded adapter.`,
        2,
      );
    const file = `/etc/apt/sources.list.d/webgpu-ntk-backports.${entry.kind}`;
    say(`adding the suite ${backports} in ${file}.`);
    const aside = mkdtempSync(join(tmpdir(), "webgpu-ntk-"));
    writeFileSync(join(aside, "entry"), `${entry.text}\n`);
    asRoot("install", "-m", "644", join(aside, "entry"), file);
    rmSync(aside, { recursive: true });
    asRoot("apt-get", "update", "-q");
  }
  put("-t", backports);
}

const MAIN_JOB = ["report", "--network", join(root, "src", "cli", "mnist.json")];
MAIN_JOB.push("--inputs", "mnist:0,1:512", "--out", "out");

async function main([verb, ...args]) {
  if (Number(process.versions.node.split(".")[0]) < 20)
    throw new SetupError(
      `this is Node ${process.versions.node}, but 20 or newer must run it. Install a newer Node.`,
      2,
    );
  const verbs = {
    start: () => ntk([...MAIN_JOB, ...args]),
    ntk: () => ntk(args),
    bench: () => bench(args),
    test: () => test(args),
    build: () => {},
    types,
    readme,
    lavapipe,
  };
  if (!Object.hasOwn(verbs, verb ?? ""))
    throw new SetupError(
      `the verb is ${verb ?? "missing"}, but must be one of ${Object.keys(verbs).join(", ")}.`,
      2,
    );
  if (verb !== "lavapipe") setUp();
  await verbs[verb]();
}

main(process.argv.slice(2)).catch((error) => {
  if (error instanceof SetupError) say(error.message);
  else console.error(error);
  process.exitCode = error.status ?? 70;
});
