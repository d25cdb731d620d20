/** A Jacobian larger than any binding, by the built command line in a process of its own. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { writeNpy } from "../../src/node.ts";
import { exact, exactGram } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { diagonal, quality } from "../reference/gram.ts";
import { parseNpy } from "../reference/npy.ts";
import { ENGINE } from "./engine.ts";

/** Few samples and many parameters: the work grows with N times the bytes of J. */
const N = 32;
const SPEC: core.NetworkSpec = {
  widths: [784, 3072, 2640, 1],
  activation: "tanh",
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.1,
};
const MIB = 2 ** 20;

/** The most memory that a process has held so far, or null where the system does not say. */
function peakBytes(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const [, kibibytes] = /^VmHWM:\s*(\d+) kB$/m.exec(status) ?? [];
    return kibibytes === undefined ? null : Number(kibibytes) * 1024;
  } catch {
    return null;
  }
}

/** Runs the built command line and watches its memory. */
function ntk(args: readonly string[]) {
  const program = fileURLToPath(new URL("../../dist/ntk.js", import.meta.url));
  const child = spawn(process.execPath, [program, ...args]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  let peak: number | null = null;
  const look = setInterval(() => (peak = peakBytes(child.pid!) ?? peak), 20);
  return new Promise<{ code: number | null; stdout: string; stderr: string; peak: number | null }>(
    (resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        clearInterval(look);
        resolve({ code, stdout, stderr, peak });
      });
    },
  );
}

gpuTest(
  "a J of 1.25 GiB goes through in panels: entries within the bound, memory within the plan and 300 MiB",
  async (gpu) => {
    const net = core.network(SPEC);
    const jacobianBytes = 4 * N * net.parameters;
    expect(jacobianBytes).toBeGreaterThanOrEqual(1.25 * 1024 * MIB);
    const plan = core.planGram({ limits: core.DEFAULT_LIMITS }, net, N, 0, { method: "jacobian" });
    expect(plan.panels!.bytes).toBeLessThanOrEqual(core.DEFAULT_LIMITS.maxStorageBufferBindingSize);

    const inputs = core.normals(5, N * 784);
    const folder = mkdtempSync(join(tmpdir(), "webgpu-ntk-panels-"));
    try {
      const [network, x, h] = ["net.json", "x.npy", "h.npy"].map((name) => join(folder, name));
      writeFileSync(network, JSON.stringify(SPEC));
      writeFileSync(x, writeNpy([N, 784], inputs));
      const where = ["--network", network, "--inputs", x, "--seed", "3", "--out", h];
      const { code, stdout, stderr, peak } = await ntk([
        ...["gram", "--method", "jacobian", "--json"],
        ...where,
      ]);
      expect(stderr).toMatch(/^plan: jacobian/m);
      expect(code, stderr).toBe(0);
      const result = JSON.parse(stdout);
      expect(result).toMatchObject({ method: "jacobian", parameters: net.parameters });
      // What it did is what a device at the default limits does.
      expect(result.plan.panels).toBe(plan.panels!.count);

      const planned = Number(/together (\d+) MiB/.exec(stderr)?.[1]) * MIB;
      const figures = `${Math.round((peak ?? 0) / MIB)} MiB at the peak, ${planned / MIB} MiB planned`;
      console.log(`${gpu.description}: ${figures}; ${result.seconds.toFixed(1)} s`);
      if (process.platform === "linux") expect(peak! - planned, figures).toBeLessThan(300 * MIB);

      // All 210 pairs of 20 of the samples.
      const samples = Array.from({ length: 20 }, (_, i) => (i * 29 + 3) % N).sort((a, b) => a - b);
      expect(new Set(samples).size).toBe(20);
      const few = new Float32Array(20 * 784);
      samples.forEach((s, i) => few.set(inputs.subarray(s * 784, (s + 1) * 784), i * 784));
      const problem = { spec: SPEC, weights: core.weights(net, 3), inputs: few };
      const reference = exact(problem, ENGINE);
      const route = { method: "jacobian", panels: plan.panels } as const;
      const { values, bound } = exactGram(reference, reference, route);
      const { shape, data } = parseNpy(readFileSync(h));
      expect(shape).toEqual([N, N]);
      const found = values.map(
        (_, at) => data[samples[Math.floor(at / 20)] * N + samples[at % 20]],
      );
      assertWithin(found, values, bound, "H");
      // The bound is loose after so many terms; beyond this quality is a defect.
      const figure = quality(found, values, diagonal(values));
      console.log(`quality ${figure.toExponential(1)} after ${plan.panels!.count} panels`);
      expect(figure).toBeLessThanOrEqual(1e-6);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
