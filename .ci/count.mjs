// Prints "PASSED FAILED" of one run: `node count.mjs REPORT STATUS`, the report being vitest's JSON.
import { readFileSync } from "node:fs";

const [report, status] = process.argv.slice(2);
let passed = 0;
let failed = 0;
try {
  const results = JSON.parse(readFileSync(report, "utf8"));
  const tests = results.testResults.flatMap((file) => file.assertionResults);
  const count = (state) => tests.filter((test) => test.status === state).length;
  passed = count("passed");
  // A file that did not load has no tests to fail.
  failed =
    count("failed") +
    results.testResults.filter((file) => file.status === "failed" && !file.assertionResults.length)
      .length;
  if (!results.success || passed === 0) failed = Math.max(failed, 1);
} catch (error) {
  console.error(`ci: the run left no report (${error.message}).`);
  failed = 1;
}
// Types, formatting, or a fault outside any test.
if (status !== "0") failed = Math.max(failed, 1);
console.log(`${passed} ${failed}`);
