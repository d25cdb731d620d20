import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { gpuTest } from "../gpu.ts";
import * as theory from "../../src/theory.ts";
import { story } from "./story.ts";
import { theoryStory } from "./theory.ts";

gpuTest("every sentence of the conformance story holds in Node", async (gpu) => {
  const checks = await story(core, gpu);
  for (const { name, worst } of checks) console.log(`${worst.toFixed(3).padStart(6)}  ${name}`);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks.length).toBeGreaterThanOrEqual(25);
});

gpuTest("what is built on the core holds in Node", async (gpu) => {
  const checks = await theoryStory(core, theory, gpu);
  for (const { name, worst } of checks) console.log(`${worst.toFixed(3).padStart(6)}  ${name}`);
  expect(checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(checks).toHaveLength(7);
});
