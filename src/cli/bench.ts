import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compare } from "../../bench/compare.ts";
import { rowKey, type BenchResult, type RowResult } from "../../bench/results.ts";
import { chosen, ROWS } from "../../bench/rows.ts";
import { bench } from "../../bench/run.ts";
import { changeLines, figure, resultLines, shareText } from "../../bench/table.ts";
import { processClock } from "../../bench/threads.ts";
import type { Peers, Work } from "../../bench/versus.ts";
import { nearest } from "../gpu/values.ts";
import { InputError } from "../index.ts";
import { nodeFiles, openGpu, writeAtomic } from "../node.ts";
import { findAdapter } from "../node/adapters.ts";
import { Session } from "./session.ts";

/** Options of `ntk bench`. */
export interface BenchCommandOptions {
  readonly adapter?: string;
  /** True: to stdout; a name: to that file. */
  readonly json?: boolean | string;
  readonly compare?: string;
  /** True: at all the work that packages do; a text: at rows whose name contains it. */
  readonly peers?: boolean | string;
}

/**
 * `ntk bench`: what the machine can do, and what share of it the engine's shaders reach.
 *
 * @param names rows whose name and size contain one of them; none: all
 * @returns exit status: 1 where a result is wrong or a row slower than in the file compared with
 */
export async function benchCommand(
  names: readonly string[],
  options: BenchCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  const { rows, unknown } = chosen(names);
  if (unknown.length > 0) {
    const near = nearest(unknown[0], ["machine", ...ROWS.flatMap(({ name }) => name.split(" "))]);
    throw new InputError(
      `bench: no row is called "${unknown[0]}". ${near ? `Did you mean "${near}"?` : `There are ${[...new Set(ROWS.map(({ name }) => name))].join(", ")}.`}`,
    );
  }
  const session = new Session({}, signal);
  const file = typeof options.json === "string" ? options.json : undefined;
  await session.writable(file);
  const before = options.compare === undefined ? null : await readResult(options.compare);
  const folder = checkout();
  const { adapter, info } = await findAdapter(options.adapter);
  const features: ReadonlySet<string> = new Set(adapter.features);
  if (before && before.adapter.description !== info.description)
    throw new InputError(
      `${options.compare}: was measured on ${before.adapter.description}, but this is ${info.description}. Compare results of one adapter, or choose it by --adapter.`,
    );
  const software = info.kind !== "gpu";
  const peers = options.peers
    ? await openPeers(folder, info.name, (text) => session.say(text))
    : null;
  const gpu = await openGpu({ adapter: info.name }).catch((error: unknown) => {
    peers?.close();
    throw error;
  });
  let result: BenchResult;
  try {
    result = await bench(gpu, {
      clock: processClock(software),
      adapter: {
        ...{ description: info.description, vendor: info.vendor, driver: info.driver },
        ...{ runtime: runtime(software), software },
      },
      commit: folder && commitOf(folder),
      features,
      rows,
      named: names.length > 0,
      peers,
      peersAt: typeof options.peers === "string" ? options.peers : undefined,
      signal,
      say: (what) => session.say(`bench: ${what}`),
      onRow: (row) => session.say(`bench: ${told(row)}`),
    });
  } finally {
    peers?.close();
    gpu.destroy();
  }
  if (file !== undefined)
    await writeAtomic(file, [new TextEncoder().encode(`${JSON.stringify(result, null, 1)}\n`)]);
  const changes = before && compare(before, result);
  if (before && before.adapter.runtime !== result.adapter.runtime)
    session.say(
      `bench: ${options.compare} was measured by ${before.adapter.runtime}, this by ${result.adapter.runtime}`,
    );
  if (options.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${resultLines(result).join("\n")}\n`);
  if (changes)
    (options.json === true ? process.stderr : process.stdout).write(
      `\n${changeLines(changes).join("\n")}\n`,
    );
  const worse = changes?.some(({ verdict }) => verdict === "slower" || verdict === "wrong");
  return worse || result.rows.some(({ checked }) => !checked) ? 1 : 0;
}

/** A row's result in half a line. */
function told(result: RowResult): string {
  const { checked, ms, error, repeats } = result;
  if (!checked) return `  wrong: error ÷ bound is ${figure(error)}, but must be at most 1`;
  return `  ${figure(ms?.median ?? null)} ms, ${shareText(result)}, ${repeats} repeats`;
}

/** A result that an earlier run wrote. @throws InputError where the file holds none */
async function readResult(path: string): Promise<BenchResult> {
  const text = new TextDecoder().decode(await nodeFiles.read(path));
  let value: Partial<BenchResult> | null = null;
  try {
    value = JSON.parse(text) as Partial<BenchResult>;
  } catch {
    // Told below.
  }
  if (!value?.adapter || !Array.isArray(value.rows) || value.rows.some((row) => !isRow(row)))
    throw new InputError(
      `${path}: holds no result of a bench, but must. Write one with \`ntk bench --json ${path}\`.`,
    );
  return value as BenchResult;
}

const isRow = (row: Partial<RowResult> | null): boolean =>
  typeof row?.name === "string" &&
  typeof row.size === "object" &&
  (row.ms === null || typeof row.ms?.median === "number") &&
  rowKey({ name: row.name, size: row.size ?? {} }) !== "";

/** Node and Dawn with their versions, and the processor where it is what computes. */
function runtime(software: boolean): string {
  const parts = [`Node ${process.versions.node}`];
  try {
    const manifest = createRequire(import.meta.url).resolve("webgpu/package.json");
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    parts.push(`webgpu ${version}`);
  } catch {
    // Installed without it.
  }
  const all = cpus();
  if (software && all.length > 0) parts.push(`${all.length} × ${all[0].model.trim()}`);
  return parts.join(", ");
}

/** The folder of the checkout that this program was built in; null where it is installed as a package. */
function checkout(): string | null {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (; !existsSync(join(folder, "package.json")); folder = dirname(folder))
    if (folder === dirname(folder)) return null;
  return existsSync(join(folder, "bench", "run.ts")) ? folder : null;
}

/** The commit, with a + where files differ from it; null where git does not say. */
function commitOf(folder: string): string | null {
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", folder, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    return git("rev-parse", "HEAD") + (git("status", "--porcelain") === "" ? "" : "+");
  } catch {
    return null;
  }
}

/** What `bench/peers` exports. */
interface PeerModules {
  openPeers(options: {
    adapter: string;
    log: (text: string) => void;
  }): Promise<Pick<Peers, "peers"> & { close(): void }>;
  reference(work: Work): unknown;
  verdict(values: Float32Array, exact: unknown): { correct: boolean; error?: string };
}

/** Opens the other packages, each in a process of its own. @throws InputError where they are not there */
async function openPeers(
  folder: string | null,
  adapter: string,
  log: (text: string) => void,
): Promise<Peers & { close(): void }> {
  const at = (...path: string[]) => join(folder ?? "", "bench", "peers", ...path);
  if (folder === null || !existsSync(at("node_modules")))
    throw new InputError(
      folder === null
        ? "bench: --peers is given, but the other packages come with a checkout alone. Clone the repository."
        : "bench: --peers is given, but the other packages must be installed and are not. Run `npm run bench -- --peers`.",
    );
  const load = (file: string) => import(pathToFileURL(at(file)).href) as Promise<PeerModules>;
  const [{ openPeers: open }, { reference, verdict }] = [
    await load("peers.mjs"),
    await load("check.mjs"),
  ];
  const { peers, close } = await open({ adapter, log });
  return {
    peers,
    close,
    judge: (work) => {
      const exact = reference(work);
      return (values) => verdict(values, exact);
    },
  };
}
