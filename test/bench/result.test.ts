import { expect } from "vitest";
import { wallClock } from "../../bench/clock.ts";
import { fingerprint, type Fingerprint } from "../../bench/fingerprint.ts";
import type { BenchResult } from "../../bench/results.ts";
import { chosen } from "../../bench/rows.ts";
import { bench } from "../../bench/run.ts";
import { resultLines } from "../../bench/table.ts";
import { gpuTest } from "../gpu.ts";
import { expectShape } from "./shape.ts";

gpuTest(
  "a bench measures the machine, then its rows, in the form that others read",
  async (gpu) => {
    const adapter = {
      ...{ description: gpu.description, vendor: "", driver: "", runtime: "a test" },
      software: true,
    };
    const { rows } = chosen(["seed outputs=16 samples=4096", "collapse"]);
    const slow = { ...rows[0], name: "slow", flops: 1e18 };
    const long = { ...rows[0], name: "long", flops: 1e10, traffic: "host" as const };
    const seen: string[] = [];
    const result = await bench(gpu, {
      ...{ clock: wallClock, adapter, commit: null, rows: [slow, long, ...rows], named: false },
      onRow: (row) => seen.push(row.name),
    });
    expect(seen).toEqual(["seed", "collapse"]);
    const parsed = JSON.parse(JSON.stringify(result)) as BenchResult;
    expectShape(parsed);
    expect(parsed.adapter).toEqual(adapter);
    expect(result.skipped).toMatchObject([
      { name: "slow", why: /asked for by name/ },
      { name: "long", why: /asked for by name/ },
    ]);
    const text = resultLines(result).join("\n");
    expect(text).toMatch(/GFLOP\/s/);
    expect(text).not.toMatch(/undefined|NaN GF|null/);
  },
);

/** What was measured of two software adapters, on three runtimes each. */
const KNOWN: Record<string, Partial<Fingerprint>> = {
  llvmpipe: {
    ...{ twoSum: "none", twoSumGuarded: "all", twoProd: "all" },
    ...{ fmaFused: "none", contracted: "none", subnormals: "kept" },
    ...{ nanUnequal: false, maxOfNan: "0", zeroOverZero: "NaN", bigTanh: "all" },
  },
  SwiftShader: {
    ...{ twoSum: "all", twoSumGuarded: "all", twoProd: "all" },
    ...{ fmaFused: "none", contracted: "none", subnormals: "flushed" },
    ...{ nanUnequal: false, maxOfNan: "0", zeroOverZero: "NaN", bigTanh: "some" },
  },
};

gpuTest("the fingerprint is the one that is known of this adapter", async (gpu) => {
  const found = await fingerprint(gpu);
  const known = Object.entries(KNOWN).find(([name]) => gpu.description.includes(name));
  expect(found.twoSumGuarded, "sums can be had exactly").toBe("all");
  expect(found.twoProd, "products can be had exactly").toBe("all");
  if (!known) return;
  expect(found).toMatchObject(known[1]);
  // sin is good to 7e-8 on one of them, to 1.9e-4 on the other.
  expect(found.sinError > 1e-5).toBe(known[0] === "SwiftShader");
});
