import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { BenchResult } from "../../bench/results.ts";
import { expectShape } from "../bench/shape.ts";
import { deviceTest, Folder } from "./run.ts";

const folder = new Folder();

deviceTest(
  "ntk bench measures the rows whose names were given, and says what it measures",
  async () => {
    const { status, stdout, stderr } = await folder.ntk("bench collapse gather --json");
    expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
    const result = JSON.parse(stdout) as BenchResult;
    expectShape(result);
    expect(result.rows.map(({ name }) => name)).toEqual(["gather", "collapse"]);
    expect(stderr).toMatch(/bench: machine: arithmetic\n[^]*bench: 2\/2 collapse/);
  },
);

deviceTest(
  "ntk bench --compare ends with 1 where a row is slower than it was, and lists it",
  async () => {
    const before = await folder.ntk("bench collapse --json before.json");
    expect(before.status, before.stderr).toBe(0);
    expect(before.stdout).toMatch(/collapse/);
    const result = JSON.parse(readFileSync(folder.at("before.json"), "utf8")) as BenchResult;
    const [row] = result.rows;
    // A thousandth of what it was: slower than that it is on any machine.
    const quick = { ...row, ms: { min: 0, median: row.ms!.median / 1000, max: 0, noise: 0 } };
    const known = { ...quick, cpuMs: row.cpuMs === null ? null : row.cpuMs / 1000, cpuNoise: 0 };
    writeFileSync(folder.at("quick.json"), JSON.stringify({ ...result, rows: [known] }));
    const { status, stdout } = await folder.ntk("bench collapse --compare quick.json");
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /collapse n=4096 vectors=513 .*slower\n0 of 1 rows are as fast as before\n$/,
    );

    const other = { ...result, adapter: { ...result.adapter, description: "another" } };
    writeFileSync(folder.at("other.json"), JSON.stringify(other));
    const refused = await folder.ntk("bench collapse --compare other.json");
    expect(refused.status).toBe(2);
    expect(refused.last).toMatch(/^other\.json: was measured on another, but this is .*\.$/);
  },
);

deviceTest("ntk bench refuses what it does not know before anything is measured", async () => {
  folder.write("text.json", "[1]");
  for (const [args, says] of [
    ["bench colapse", /^bench: no row is called "colapse"\. Did you mean "collapse"\?$/],
    [
      "bench nothing-at-all",
      /^bench: no row is called "nothing-at-all"\. There are .*collapse.*\.$/,
    ],
    ["bench collapse --compare text.json", /^text\.json: holds no result of a bench, but must\./],
    [
      "bench collapse --json no/such.json",
      /^no\/such\.json: must be written, but does not exist\./,
    ],
  ] as const) {
    const { status, stdout, stderr, last } = await folder.ntk(args);
    expect(last).toMatch(says);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).not.toMatch(/machine:/);
  }
});
