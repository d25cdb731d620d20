import { expect, test } from "vitest";
import { openPage } from "./chromium.ts";

/** Runs in the page: sixteen squares by a compute shader. */
async function squares(): Promise<{ vendor: string; values: number[] }> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("navigator.gpu has no adapter");
  const device = await adapter.requestDevice();
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> out: array<f32>;
      @compute @workgroup_size(16)
      fn squares(@builtin(global_invocation_id) id: vec3u) { out[id.x] = f32(id.x * id.x); }`,
  });
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module, entryPoint: "squares" },
  });
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const out = device.createBuffer({ size: 64, usage: STORAGE | COPY_SRC });
  const staging = device.createBuffer({ size: 64, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: out } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(out, 0, staging, 0, 64);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return {
    vendor: adapter.info.vendor,
    values: Array.from(new Float32Array(staging.getMappedRange())),
  };
}

test("a page in a real Chromium imports a served module and computes on its GPU", async () => {
  const { page, browser, close } = await openPage({ "/seven.js": "export const seven = 7;" });
  try {
    expect(await page.evaluate("import('/seven.js').then(({ seven }) => seven)")).toBe(7);
    const { vendor, values } = await page.evaluate(squares);
    console.log(`${browser}, adapter of ${vendor || "an unnamed vendor"}`);
    expect(values).toEqual(Array.from({ length: 16 }, (_, i) => i * i));
  } finally {
    await close();
  }
});
