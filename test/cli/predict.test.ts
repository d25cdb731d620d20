import { describe, expect } from "vitest";
import { assertWithin } from "../reference/compare.ts";
import { sample } from "../shaders/guarded.ts";
import { deviceTest, Folder } from "./run.ts";

const folder = new Folder();
const spec = { activation: "erf", parameterization: "ntk", weightScale: 1.3, biasScale: 0.3 };
folder.network("net.json", { widths: [3, 64, 1], ...spec });
folder.network("three.json", { widths: [3, 32, 3], ...spec });
const targets = sample("normal", 14, 2);
folder.array("x.npy", [14, 3], sample("normal", 42, 1));
folder.array("y.npy", [14, 1], targets);
folder.array("t.npy", [5, 3], sample("normal", 15, 3));
const hot = Float32Array.from({ length: 42 }, (_, at) =>
  Math.floor(at / 3) % 3 === at % 3 ? 1 : 0,
);
folder.array("hot.npy", [14, 3], hot);
const JOB = "predict --network net.json --train x.npy --targets y.npy";

describe("predict", () => {
  for (const kernel of ["empirical", "ntk", "nngp"])
    deviceTest(
      `${kernel}: at t = ∞ the training points have their targets, at t = 0 nothing is learnt`,
      async () => {
        const end = await folder.json(`${JOB} --test x.npy --kernel ${kernel} --out f.npy`);
        expect(end).toMatchObject({
          n: 14,
          outputs: 1,
          kernel,
          shape: [14, 1],
          time: "inf",
          rank: 14,
        });
        assertWithin(end.mean, targets, 1e-3, "targets");
        expect(end.deviation?.every((value: number) => value < 1e-3) ?? true).toBe(true);
        const start = await folder.json(`${JOB} --test t.npy --time 0 --kernel ${kernel}`);
        expect(start.shape).toEqual([5, 1]);
        if (kernel !== "empirical") expect(start.mean).toEqual([0, 0, 0, 0, 0]);
        const begin = await folder.json(
          `${JOB} --test t.npy --rate 0.1 --steps 0 --kernel ${kernel}`,
        );
        expect(begin.mean).toEqual(start.mean);
        expect(begin).not.toHaveProperty("accuracy");
      },
    );

  deviceTest(
    "many small steps of descent are the flow, and several outputs have a class each",
    async () => {
      const job =
        "predict --network three.json --train x.npy --targets hot.npy --test x.npy --test-targets hot.npy";
      const flow = await folder.json(`${job} --time 2`);
      const descent = await folder.json(`${job} --rate 0.0001 --steps 20000`);
      assertWithin(flow.mean, descent.mean, 2e-3, "descent");
      expect(flow.shape).toEqual([14, 3]);
      expect(flow.accuracy).toBeGreaterThan(0.3);
      const [end, limit] = [await folder.json(job), await folder.json(`${job} --kernel ntk`)];
      expect([end.accuracy, limit.accuracy]).toEqual([1, 1]);
    },
  );

  deviceTest("a singular kernel predicts at every time, by the rank that it has", async () => {
    folder.network("few.json", {
      ...{ widths: [2, 4, 1], activation: "relu", parameterization: "ntk" },
      ...{ weightScale: 1.4, biasScale: null },
    });
    folder.array(
      "wave.npy",
      [64, 1],
      Float32Array.from({ length: 64 }, (_, i) => Math.sin(i / 5)),
    );
    const job = "predict --network few.json --train circle:64 --targets wave.npy --test circle:64";
    const end = await folder.json(job);
    // 12 parameters; each unit's weight, and what scales it, are the same direction for what it sees.
    expect(end.rank).toBeLessThanOrEqual(12);
    expect(end.mean.every((value: number) => Math.abs(value) < 10)).toBe(true);
    const late = await folder.json(`${job} --time 1e9`);
    assertWithin(late.mean, end.mean, 1e-2, "late");
    const never = await folder.json(`${job} --time 1e300`);
    expect(never.mean.every((value: number) => Math.abs(value) < 10)).toBe(true);
  });

  deviceTest("wrong use ends with status 2 and a sentence", async () => {
    const cases: [string, RegExp][] = [
      ["predict --network net.json --targets y.npy --test t.npy", /--train is missing/],
      [`${JOB}`, /--test is missing/],
      [`${JOB} --test t.npy --time -1`, /--time is -1, but must be a number from 0, or inf/],
      [`${JOB} --test t.npy --time 1 --steps 3`, /--time is given with --rate or --steps/],
      [`${JOB} --test t.npy --steps 3`, /--rate is missing/],
      [`${JOB} --test t.npy --kernel rbf`, /--kernel is rbf/],
      ["predict --network net.json --train x.npy --test t.npy", /--targets is missing/],
    ];
    for (const [args, words] of cases) {
      const { status, last, stdout } = await folder.ntk(args);
      expect({ args, status, stdout }).toEqual({ args, status: 2, stdout: "" });
      expect(last).toMatch(words);
    }
  });
});
