import { expect } from "vitest";
import { seed } from "../../src/stages/2-backward.ts";
import { gpuTest } from "../gpu.ts";

gpuTest("seed: a signal of the outputs is 1 at its own unit and 0 elsewhere", async (gpu) => {
  using out = gpu.matrix("out", 3, 6);
  seed(gpu, {
    dims: { outputs: 3, columns: 6, first: 0, count: 3 },
    buffers: { out },
    groups: [1, 16],
    flops: 1,
  });
  expect(Array.from(await gpu.read(out))).toEqual([
    1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1,
  ]);
});
