import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const count = fileURLToPath(new URL("../../.ci/count.mjs", import.meta.url));

/** vitest's report of files with tests of these states. */
const report = (success: boolean, ...files: ("passed" | "failed" | "pending")[][]) =>
  JSON.stringify({
    success,
    testResults: files.map((states) => ({
      status: states.includes("failed") || states.length === 0 ? "failed" : "passed",
      assertionResults: states.map((status) => ({ status })),
    })),
  });

test.each([
  ["all green", report(true, ["passed", "passed"], ["passed"]), 0, "3 0"],
  ["a red test", report(false, ["passed", "failed"], ["passed"]), 1, "2 1"],
  ["a file that does not load", report(false, ["passed"], []), 1, "1 1"],
  ["green tests, but types, formatting or a stray error red", report(true, ["passed"]), 1, "1 1"],
  ["every test skipped", report(true, ["pending"]), 0, "0 1"],
  ["no test at all", report(true), 0, "0 1"],
  ["a report cut short", report(true, ["passed"]).slice(0, 30), 0, "0 1"],
  ["no report", null, 134, "0 1"],
])("CI counts a run with %s", (_, text, status, expected) => {
  const folder = mkdtempSync(join(tmpdir(), "webgpu-ntk-test-"));
  const file = join(folder, "report.json");
  if (text !== null) writeFileSync(file, text);
  const { stdout } = spawnSync(process.execPath, [count, file, String(status)]);
  rmSync(folder, { recursive: true });
  expect(stdout.toString().trim()).toBe(expected);
});
