import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import { story } from "./story.ts";

gpuTest("every sentence of the conformance story holds in Node", async (gpu) => {
  const checks = await story(core, gpu);
  for (const { name, worst } of checks) console.log(`${worst.toFixed(3).padStart(6)}  ${name}`);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks.length).toBeGreaterThanOrEqual(25);
});
