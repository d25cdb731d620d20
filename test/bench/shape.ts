import { expect } from "vitest";
import type { BenchResult } from "../../bench/results.ts";

const positive = (what: string, value: unknown): void => {
  expect(value, what).toEqual(expect.any(Number));
  expect(value, what).toBeGreaterThan(0);
};

/** Holds a result to what other programs may rely on: each field there, of its type, rates positive. */
export function expectShape(result: BenchResult): void {
  const { adapter, machine, rows, peers } = result;
  expect(adapter).toEqual({
    ...{ description: expect.any(String), vendor: expect.any(String) },
    ...{ driver: expect.any(String), runtime: expect.any(String), software: expect.any(Boolean) },
  });
  expect(result.commit === null || /^[0-9a-f]{40}\+?$/.test(result.commit)).toBe(true);
  for (const name of [
    ...(["fmaGflops", "readGBs", "copyGBs", "triadGBs", "workgroupGBs"] as const),
    ...(["doneMicroseconds", "readbackMilliseconds"] as const),
  ])
    positive(name, machine[name]);
  for (const name of [
    ...(["dispatchMicroseconds", "passMicroseconds", "submitMicroseconds"] as const),
    "barrierNanoseconds" as const,
  ])
    expect(machine[name], name).toBeGreaterThanOrEqual(0);
  positive("compile small", machine.compileMilliseconds.small);
  positive("compile large", machine.compileMilliseconds.large);
  expect(machine.fma).toEqual({
    shader: expect.stringMatching(/^fma/),
    unroll: expect.any(Number),
  });
  expect(["core", "device"]).toContain(machine.per);
  expect(Object.keys(result.fingerprint)).toEqual(
    expect.arrayContaining(["twoSum", "fmaFused", "subnormals", "bigTanh", "subgroups", "f16"]),
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const row of rows) {
    expect(row.checked, row.name).toBe(true);
    expect(row.error, row.name).toBeLessThanOrEqual(1);
    expect(row.repeats, row.name).toBeGreaterThanOrEqual(3);
    for (const each of ["min", "median", "max"] as const)
      positive(`${row.name}, ${each}`, row.ms![each]);
    positive(`${row.name}, bytes`, row.bytes);
    positive(`${row.name}, GB/s`, row.gbs);
    positive(`${row.name}, share`, row.share);
    expect(["fma", "read", "copy"]).toContain(row.of);
    expect(row).toHaveProperty("against");
    expect(row).toHaveProperty("class");
    expect(row).toHaveProperty("sizes");
  }
  expect(peers).toEqual([]);
}
