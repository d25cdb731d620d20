/** The built command line as a child process in a temporary folder, with the files that it reads and writes. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import type { NetworkSpec } from "../../src/index.ts";
import { adapters, writeNpy } from "../../src/node.ts";
import type { Problem } from "../conformance/problem.ts";
import { golden, parseNpy, type GOLDEN, type Npy } from "../reference/npy.ts";

const program = fileURLToPath(new URL("../../dist/ntk.js", import.meta.url));

/** How a run ended. */
export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line on stderr. */
  readonly last: string;
}

/** What `ntk --json` prints; the tests look at its fields one by one. */
export type Printed = Record<string, any>;

/** A folder that is there while a test file runs. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "webgpu-ntk-test-"));

  constructor() {
    afterAll(() => rmSync(this.path, { recursive: true, force: true }));
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.at(name), content);
    return name;
  }

  network(name: string, spec: unknown): string {
    return this.write(name, JSON.stringify(spec));
  }

  array(name: string, shape: readonly number[], values: ArrayLike<number>, wide = false): string {
    const data = wide ? Float64Array.from(values) : Float32Array.from(values);
    return this.write(name, writeNpy(shape, data));
  }

  bytes(name: string): Buffer {
    return readFileSync(this.at(name));
  }

  npy(name: string): Npy {
    return parseNpy(this.bytes(name));
  }

  /** Starts `ntk` in this folder. */
  start(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): { child: ChildProcess; done: Promise<Run> } {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: this.path,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name]?.setEncoding("utf8").on("data", (chunk: string) => (text[name] += chunk));
    const done = new Promise<Run>((resolve, reject) =>
      child
        .on("error", reject)
        .on("close", (status) =>
          resolve({ status, ...text, last: text.stderr.trimEnd().split("\n").at(-1) ?? "" }),
        ),
    );
    return { child, done };
  }

  /** Runs `ntk` to its end. */
  ntk(args: string, env: NodeJS.ProcessEnv = {}): Promise<Run> {
    return this.start(words(args), env).done;
  }

  /** What `ntk … --json` prints: exactly one object, and nothing else on stdout. */
  async json(args: string): Promise<Printed> {
    const { status, stdout, stderr } = await this.ntk(`${args} --json`);
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.endsWith("}\n")).toBe(true);
    expect(stdout.trimEnd()).not.toContain("\n");
    return JSON.parse(stdout) as Printed;
  }

  /** A golden case as the files and options that `ntk` takes. */
  golden(name: (typeof GOLDEN)[number]): Problem & { args: string; n: number } {
    const { net, weights, inputs, n } = golden(name);
    const { negativeSlope: _, ...spec } = net;
    const files = fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
    const network = this.network(`${name}.json`, spec);
    return {
      spec: spec as NetworkSpec,
      weights: weights.map(({ weight, bias }) => ({
        weight: Float32Array.from(weight),
        bias: bias && Float32Array.from(bias),
      })),
      inputs,
      n,
      args: `--network ${network} --weights ${files} --inputs ${files}/X.npy`,
    };
  }
}

/** Words of a command line; `''` is an empty one. */
export const words = (args: string): string[] =>
  args.split(" ").map((word) => (word === "''" ? "" : word));

const there = await adapters().then(
  () => true,
  () => false,
);

/** A test that needs an adapter: without one it fails in CI and is skipped elsewhere. */
export const deviceTest = there || process.env.CI ? test.concurrent : test.skip;
