import { expect, test } from "vitest";
import { compare } from "../../bench/compare.ts";
import type { RowResult } from "../../bench/results.ts";
import { chosen, ROWS } from "../../bench/rows.ts";
import { rowKey } from "../../bench/results.ts";
import { median, summary } from "../../bench/stats.ts";
import { changeLines, figure, percent } from "../../bench/table.ts";

test("the median is the middle value, or the mean of the two in the middle, in any order", () => {
  expect(median([3])).toBe(3);
  expect(median([5, 1, 3])).toBe(3);
  expect(median([4, 10, 1, 2])).toBe(3);
  expect(median([10, 9, 100])).toBe(10); // as numbers, not as text
});

test("a summary holds minimum, median, maximum and the median distance from the median", () => {
  expect(summary([2, 4, 4, 5, 90])).toEqual({ min: 2, median: 4, max: 90, noise: 1 });
  expect(summary([7])).toEqual({ min: 7, median: 7, max: 7, noise: 0 });
});

test("an empty list and one with NaN in it have no median", () => {
  expect(() => median([])).toThrow(/^median: the list is empty, but must hold numbers/);
  expect(() => summary([1, NaN, 2])).toThrow(/^median: the list is not all numbers/);
});

/** A row with nothing but its time. */
const row = (
  name: string,
  ms: number | null,
  noise = 0,
  cpuMs: number | null = null,
): RowResult => ({
  ...{ name, size: { n: 1 }, checked: ms !== null, error: 0.5 },
  ms: ms === null ? null : { min: ms, median: ms, max: ms, noise },
  ...{ cpuMs, cpuNoise: cpuMs === null ? null : 0, repeats: 20, calls: 1, flops: 1, bytes: 1 },
  ...{ gflops: 1, gbs: 1, share: 1, of: "fma", against: null, class: null, sizes: null },
});
const verdicts = (before: RowResult[], after: RowResult[]) =>
  compare({ rows: before }, { rows: after }).map(({ key, verdict }) => `${key}: ${verdict}`);

test("a comparison calls slower and faster only what both noises and 5 % do not explain", () => {
  expect(verdicts([row("a", 100)], [row("a", 104)])).toEqual(["a n=1: same"]);
  expect(verdicts([row("a", 100)], [row("a", 106)])).toEqual(["a n=1: slower"]);
  expect(verdicts([row("a", 106)], [row("a", 100)])).toEqual(["a n=1: faster"]);
  expect(verdicts([row("a", 100, 3)], [row("a", 110, 3)])).toEqual(["a n=1: same"]);
  expect(verdicts([row("a", 100, 3)], [row("a", 125, 3)])).toEqual(["a n=1: slower"]);
});

test("a comparison takes CPU time where both have it, and rows that both have", () => {
  const before = [row("a", 100, 0, 50), row("b", 1), row("c", 10, 0, 5)];
  const after = [row("a", 300, 0, 50), row("new", 1), row("c", 10)];
  expect(verdicts(before, after)).toEqual(["a n=1: same", "c n=1: same"]);
});

test("a result that became wrong is neither faster nor as fast", () => {
  const changes = compare({ rows: [row("a", 1)] }, { rows: [row("a", null)] });
  expect(changes[0].verdict).toBe("wrong");
  expect(changeLines(changes).join("\n")).toMatch(/a n=1 .*wrong\n0 of 1 rows/);
});

test("every row has a name of its own, and names stand for the rows that contain them", () => {
  const keys = ROWS.map(rowKey);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.join()).not.toMatch(/undefined|NaN/);
  expect(chosen([]).rows).toBe(ROWS);
  expect(chosen(["machine"])).toEqual({ rows: [], unknown: [] });
  expect(chosen(["JJT add n=512 k=2048"]).rows.map(rowKey)).toEqual([
    "product jjt add n=512 k=2048",
  ]);
  const some = chosen(["seed", "nothing like it", "machine"]);
  expect(new Set(some.rows.map(({ name }) => name))).toEqual(new Set(["seed"]));
  expect(some.unknown).toEqual(["nothing like it"]);
});

test("figures are short and plain, and what is no number is a dash", () => {
  expect([1234.5, 99.94, 1, 0.0123, 0, 2.5e-7].map(figure)).toEqual([
    ...["1235", "99.9", "1.00", "0.012", "0", "2.5e-7"],
  ]);
  expect([NaN, Infinity, null].map(figure)).toEqual(["–", "–", "–"]);
  expect([0.5, 0.034, 1.2, null].map(percent)).toEqual(["50 %", "3.4 %", "120 %", "–"]);
});
