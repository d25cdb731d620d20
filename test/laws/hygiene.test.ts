/** What kills a process or leaks memory, each in a process of its own where it might. */
import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import * as core from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import { printedCase } from "../conformance/story.ts";

const entry = new URL("../../dist/node.js", import.meta.url).href;

/** Runs a program on the built Node entry, its names in scope; gives exit code, signal and what it printed. */
function run(program: string, flags: readonly string[] = []) {
  const names = Object.keys(core)
    .filter((name) => !name.startsWith("_"))
    .join(", ");
  const code = `import { ${names} } from ${JSON.stringify(entry)};\n${program}`;
  const child = spawn(process.execPath, [...flags, "--input-type=module", "--eval", code]);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  return new Promise<{
    code: number | null;
    signal: string | null;
    stdout: string;
    stderr: string;
  }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit, signal) => resolve({ code: exit, signal, stdout, stderr }));
  });
}

/** A small network, weights and inputs in the child. */
const SMALL = `
  const net = network({
    widths: [4, 40, 2], activation: "gelu", parameterization: "ntk", weightScale: 1, biasScale: 0.1,
  });
  const inputs = normals(1, 6 * net.inputs);
  const values = weights(net, 0);
`;

gpuTest("3 000 read-backs in a loop end with exit code 0", async () => {
  const { code, signal, stdout, stderr } = await run(`
    const gpu = await openGpu();
    const matrix = gpu.upload("rows", 3, 5, normals(0, 15));
    let same = 0;
    for (let k = 0; k < 3000; k++) {
      const values = await gpu.read(matrix);
      if (values.every((value, i) => value === normals(0, 15)[i])) same += 1;
    }
    matrix.destroy();
    console.log(same, JSON.stringify(gpu.stats()));
    gpu.destroy();
  `);
  expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
  const [, same, stats] = /^(\d+) (\{.*\})$/m.exec(stdout) ?? [];
  expect(Number(same)).toBe(3000);
  expect(JSON.parse(stats)).toMatchObject({ buffers: 0, bytes: 0 });
});

gpuTest(
  "garbage collected between all awaits harms nothing, engines dropped without destroy() too",
  async () => {
    const { code, signal, stdout, stderr } = await run(
      `${SMALL}
    const collect = async (promise) => {
      gc();
      const value = await promise;
      gc();
      return value;
    };
    let first = null;
    for (let round = 0; round < 6; round++) {
      const gpu = await collect(openGpu());
      const h = await collect(tangentKernel(gpu, net, values, inputs));
      for (let k = 0; k < 20; k++) await collect(gpu.read(h));
      const { eigenvalues } = await collect(spectrum(gpu, h));
      first ??= eigenvalues[0];
      if (eigenvalues[0] !== first) throw new Error("another eigenvalue");
      h.destroy();
      if (gpu.stats().bytes !== 0) throw new Error("bytes are left");
      // Every other engine is only let go.
      if (round % 2 === 0) gpu.destroy();
    }
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
    gc();
    console.log("done");`,
      ["--expose-gc"],
    );
    expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
    expect(stdout).toMatch(/^done$/m);
  },
);

gpuTest(
  "a process may end with promises under way, and with an engine that was never destroyed",
  async () => {
    for (const end of ["gpu.destroy();", "", "await pending; "]) {
      const { code, signal, stderr } = await run(`${SMALL}
      const gpu = await openGpu();
      const pending = ntk(gpu, net, values, inputs).catch((error) => {
        if (error.code !== "lost") throw error;
      });
      await Promise.resolve();
      ${end}`);
      expect({ code, signal }, `"${end}": ${stderr}`).toEqual({ code: 0, signal: null });
    }
  },
);

gpuTest(
  "stats() shows 0 buffers and 0 bytes after the last destroy(), and what lived at the peak",
  async (gpu) => {
    const { spec, weights, inputs } = printedCase();
    const net = core.network(spec);
    const before = gpu.stats();
    const h = await core.tangentKernel(gpu, net, weights, inputs);
    const run = await core.lanczos(gpu, h);
    expect(gpu.stats().buffers - before.buffers).toBe(2);
    expect(gpu.stats().bytes - before.bytes).toBe(h.bytes + run.basis.bytes + basisPadding(run));
    run.destroy();
    run.destroy();
    h.destroy();
    const { buffers, bytes, peakBytes } = gpu.stats();
    expect({ buffers, bytes }).toEqual({ buffers: before.buffers, bytes: before.bytes });
    expect(peakBytes).toBeGreaterThan(h.bytes);
    expect(() => h.buffer).toThrow(/gram: .*destroyed/);
  },
);

/** The buffer behind a basis holds one vector more: both round up to 16 rows. */
function basisPadding({ basis, steps }: core.Lanczos): number {
  return (Math.ceil((steps + 1) / 16) - Math.ceil(steps / 16)) * 16 * basis.pitch * 4;
}

gpuTest("an abort or a refused input leaves no buffer, and the engine usable", async (gpu) => {
  const { spec, weights, inputs } = printedCase();
  const net = core.network(spec);
  const before = gpu.stats();
  const stages = ["forward", "backward", "gram", "exact", "dense"];
  for (const at of stages) {
    const controller = new AbortController();
    const options = {
      signal: controller.signal,
      onProgress: ({ stage }: core.Progress) => stage === at && controller.abort(),
    };
    await expect(core.ntk(gpu, net, weights, inputs, options), at).rejects.toThrow(/abort/i);
    expect(gpu.stats(), at).toMatchObject({ buffers: before.buffers, bytes: before.bytes });
  }
  const bad = inputs.map((value, i) => (i === 3 ? Infinity : value));
  await expect(core.ntk(gpu, net, weights, bad)).rejects.toBeInstanceOf(core.NonFiniteError);
  expect(gpu.stats()).toMatchObject({ buffers: before.buffers, bytes: before.bytes });
  const { spectrum } = await core.ntk(gpu, net, weights, inputs);
  expect(spectrum.converged).toBe(true);
});

test("the built entries are there: npm test builds before it tests", async () => {
  const { openGpu } = (await import(/* @vite-ignore */ entry)) as { openGpu: unknown };
  expect(openGpu).toBeTypeOf("function");
});
