import { expect, test } from "vitest";
import { GpuError, openGpu, type Gpu } from "../src/node.ts";

let opened: Promise<Gpu> | null = null;

/**
 * A test with an engine on this machine's adapter (NTK_ADAPTER chooses). It fails on any error that the device
 * reports, and when more buffers live after it than before. No adapter fails it in CI and skips it elsewhere.
 */
export function gpuTest(
  name: string,
  body: (gpu: Gpu) => Promise<void> | void,
  timeout?: number,
): void {
  test(
    name,
    async (context) => {
      let gpu: Gpu;
      try {
        gpu = await (opened ??= openGpu());
      } catch (error) {
        if (error instanceof GpuError && error.code === "adapter" && !process.env.CI)
          return context.skip(error.message);
        throw error;
      }
      const before = gpu.stats();
      const scopes = ["validation", "out-of-memory", "internal"] as const;
      scopes.forEach((scope) => gpu.device.pushErrorScope(scope));
      let errors: (GPUError | null)[] = [];
      try {
        await body(gpu);
        await gpu.settle(Promise.resolve());
      } finally {
        errors = await Promise.all(scopes.map(() => gpu.device.popErrorScope()));
      }
      expect(errors.filter(Boolean).map((error) => error?.message)).toEqual([]);
      expect(gpu.stats().buffers, "buffers alive").toBe(before.buffers);
      expect(gpu.stats().bytes, "bytes alive").toBe(before.bytes);
    },
    timeout,
  );
}
