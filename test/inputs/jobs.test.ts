import { describe, expect, test } from "vitest";
import {
  network,
  ntk,
  PRECISIONS,
  openGpu as openCore,
  spectrum,
  tangentKernel,
  weights,
  type Gpu,
  type Progress,
} from "../../src/index.ts";
import { findAdapter } from "../../src/node/adapters.ts";
import { openGpu } from "../../src/node.ts";
import { gpuTest } from "../gpu.ts";
import { normals } from "../reference/eigen.ts";

const net = network({
  widths: [6, 64, 2],
  activation: "gelu",
  parameterization: "ntk",
  weightScale: 1,
  biasScale: 0.2,
});
const drawn = weights(net, 3);
const inputs = (n: number, seed = 1) => normals(seed, 6 * n);
const X = inputs(40);

async function kernel(gpu: Gpu, values: Float32Array, options = {}): Promise<Float32Array> {
  using h = await tangentKernel(gpu, net, drawn, values, null, options);
  return await gpu.read(h);
}

/** Eigenvalues by the device's own iteration. */
async function iterated(gpu: Gpu, options = {}): Promise<unknown> {
  using h = await tangentKernel(gpu, net, drawn, X);
  return await spectrum(gpu, h, options);
}

/** Ends with the reason that a promise rejects with. */
const reason = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "no rejection",
    (error: unknown) => error,
  );

describe("two at once", () => {
  gpuTest(
    "jobs that run at once on one engine give the same bits as one after another",
    async (gpu) => {
      const jobs = [
        () => kernel(gpu, X, { method: "jacobian", panels: 3 }),
        () => kernel(gpu, inputs(17, 2), { outputs: "trace" }),
        () => ntk(gpu, net, drawn, inputs(9, 3)).then(({ gram }) => gram),
        () => kernel(gpu, X, { method: "layerwise" }),
      ];
      const alone: (Float32Array | Float64Array)[] = [];
      for (const job of jobs) alone.push(await job());
      expect(await Promise.all(jobs.map((job) => job()))).toEqual(alone);
    },
  );

  gpuTest("one job that is refused or aborted leaves the others as they were", async (gpu) => {
    const expected = await kernel(gpu, X);
    const controller = new AbortController();
    const works = [
      kernel(gpu, X),
      reason(
        kernel(gpu, inputs(30, 2), { signal: controller.signal, panels: 4, method: "jacobian" }),
      ),
      reason(
        kernel(
          gpu,
          X.map((value, k) => (k === 5 ? 3e38 : 1e30 * value)),
        ),
      ),
      kernel(gpu, X),
    ];
    controller.abort();
    const [first, aborted, refused, last] = await Promise.all(works);
    expect([first, last]).toEqual([expected, expected]);
    expect(aborted).toMatchObject({ name: "AbortError" });
    expect(refused).toMatchObject({ name: "NonFiniteError" });
  });
});

describe("abort", () => {
  gpuTest("before the start, the job rejects with the signal's own reason", async (gpu) => {
    const stopped = new Error("enough");
    const signal = AbortSignal.abort(stopped);
    expect(await reason(kernel(gpu, X, { signal }))).toBe(stopped);
    expect(await reason(ntk(gpu, net, drawn, X, { signal }))).toBe(stopped);
  });

  gpuTest(
    "in each stage, the job rejects, frees its memory, and the engine computes on",
    async (gpu) => {
      const expected = await kernel(gpu, X);
      const before = gpu.stats();
      const stages = {
        fast: ["forward", "backward", "gram", "exact", "dense"],
        compensated: ["forward", "backward", "gram", "exact", "dense"],
        verified: ["exact", "dense", "bounds"],
      };
      type Work = (job: object) => Promise<unknown>;
      const iterates: Work = (job) => iterated(gpu, job);
      const works = PRECISIONS.flatMap((precision) =>
        stages[precision].map((stage): [string, Work] => [
          stage,
          (job) => ntk(gpu, net, drawn, X, { ...job, precision, method: "jacobian" }),
        ]),
      );
      for (const [stage, work] of [
        ...works,
        ...["lanczos", "bounds"].map((stage): [string, Work] => [stage, iterates]),
      ]) {
        const controller = new AbortController();
        const onProgress = (progress: Progress) => {
          if (progress.stage === stage) controller.abort();
        };
        const { signal } = controller;
        const job = work({ onProgress, signal });
        expect([stage, await reason(job)]).toMatchObject([stage, { name: "AbortError" }]);
        expect(gpu.stats()).toMatchObject({ buffers: before.buffers, bytes: before.bytes });
      }
      expect(await kernel(gpu, X)).toEqual(expected);
    },
  );

  gpuTest("after the end, nothing changes", async (gpu) => {
    const controller = new AbortController();
    const h = await kernel(gpu, X, { signal: controller.signal });
    controller.abort();
    expect(await kernel(gpu, X)).toEqual(h);
  });

  gpuTest("an error that onProgress throws ends the job as its own rejection", async (gpu) => {
    const mine = new Error("mine");
    const onProgress = ({ stage }: Progress) => {
      if (stage === "gram") throw mine;
    };
    expect(await reason(kernel(gpu, X, { onProgress }))).toBe(mine);
  });
});

describe("the end of an engine", () => {
  test("after destroy, nothing lives; a second destroy does nothing; work is refused as lost", async () => {
    const gpu = await openGpu();
    await kernel(gpu, X);
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
    expect(gpu.stats().peakBytes).toBeGreaterThan(4 * 80 * 80);
    const m = gpu.upload("m", 2, 2, new Float32Array(4));
    gpu.destroy();
    gpu.destroy();
    for (const work of [kernel(gpu, X), gpu.read(m)])
      expect(await reason(work)).toMatchObject({ name: "GpuError", code: "lost" });
    expect(() => gpu.matrix("m", 2, 2)).toThrow(/engine was destroyed/);
    m.destroy();
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
  });

  test("destroyed in the middle of a job, the job rejects as lost", async () => {
    const gpu = await openGpu();
    const onProgress = ({ stage }: Progress) => {
      if (stage === "gram") gpu.destroy();
    };
    expect(await reason(kernel(gpu, X, { onProgress }))).toMatchObject({
      name: "GpuError",
      code: "lost",
    });
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
  });

  test("a device that is lost in the middle of a job rejects it within 100 ms", async () => {
    for (const stage of ["forward", "gram", "lanczos", "dense"]) {
      const gpu = await openGpu();
      const when: Record<string, number> = {};
      const onProgress = (progress: Progress) => {
        if (progress.stage !== stage || when.asked) return;
        when.asked = performance.now();
        void gpu.device.lost.then(() => (when.lost = performance.now()));
        gpu.device.destroy();
      };
      const work =
        stage === "lanczos"
          ? iterated(gpu, { onProgress })
          : ntk(gpu, net, drawn, X, { onProgress });
      const error = await reason(work);
      when.rejected = performance.now();
      expect([stage, error]).toMatchObject([stage, { name: "GpuError", code: "lost" }]);
      expect((error as Error).message).toMatch(/^gpu: the device was lost .*Open it again\.$/);
      expect(when.rejected - (when.lost ?? when.rejected)).toBeLessThan(100);
      expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
      expect(await reason(kernel(gpu, X))).toMatchObject({ code: "lost" });
      gpu.destroy();
    }
  });

  test("a read-back that waits when the device is lost rejects within 100 ms", async () => {
    const gpu = await openGpu();
    const m = gpu.upload("m", 40, 6, X);
    const read = reason(gpu.read(m));
    gpu.device.destroy();
    const { reason: why } = await gpu.device.lost;
    const lost = performance.now();
    expect(why).toBe("destroyed");
    expect(await read).toMatchObject({ name: "GpuError", code: "lost" });
    expect(performance.now() - lost).toBeLessThan(100);
    m.destroy();
  });
});

describe("a borrowed device", () => {
  test("outlives the engines on it, with its handler and its error scopes as they were", async () => {
    const found = await findAdapter();
    const device = await found.adapter.requestDevice();
    let lost = false;
    void device.lost.then(() => (lost = true));
    const heard: string[] = [];
    const handler = ({ error }: GPUUncapturedErrorEvent) => heard.push(error.message);
    device.onuncapturederror = handler;
    device.pushErrorScope("validation");
    const [one, two] = await Promise.all([openCore({ device }), openCore({ device })]);
    // WebGPU's default limits, which every device meets, are enough.
    expect(one.limits.maxStorageBufferBindingSize).toBe(128 * 2 ** 20);
    const [here, there] = await Promise.all([kernel(one, X), kernel(two, X)]);
    expect(here).toEqual(there);
    one.destroy();
    expect(await kernel(two, X)).toEqual(here);
    two.destroy();
    expect(await reason(kernel(two, X))).toMatchObject({ code: "lost" });

    expect(device.onuncapturederror).toBe(handler);
    device.createBuffer({ size: 4, usage: 0x3 }); // MAP_READ with MAP_WRITE: an error of the caller's own
    expect((await device.popErrorScope())?.message).toMatch(/usage/i);
    expect(await reason(device.popErrorScope())).not.toBe("no rejection");

    const buffer = device.createBuffer({ size: 4, usage: 0x1 | 0x8 });
    device.queue.writeBuffer(buffer, 0, Uint32Array.of(42));
    await buffer.mapAsync(1);
    expect(new Uint32Array(buffer.getMappedRange())[0]).toBe(42);
    expect(heard).toEqual([]);
    expect(lost).toBe(false);
    device.destroy();
    await device.lost;
  });
});
