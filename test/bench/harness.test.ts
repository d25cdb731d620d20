import { expect, test } from "vitest";
import { wallClock } from "../../bench/clock.ts";
import type { Machine } from "../../bench/machine.ts";
import { uniform } from "../../bench/random.ts";
import { rowKey, type RowResult } from "../../bench/results.ts";
import { chosen, ROWS } from "../../bench/rows.ts";
import { checkEigen, checkValues } from "../../bench/rows/dense.ts";
import { checkFactor } from "../../bench/rows/factor.ts";
import { checkForward, checkStep } from "../../bench/rows/training.ts";
import { checkProduct } from "../../bench/rows/verify.ts";
import { Measured, measure, type Row } from "../../bench/run.ts";
import { shareText } from "../../bench/table.ts";
import { processClock } from "../../bench/threads.ts";
import { denseEigen } from "../../src/stages/4-dense.ts";
import { gpuTest } from "../gpu.ts";
import { withSpectrum } from "../reference/eigen.ts";
import { stepped } from "./stepped.ts";

const machine = {
  ...{ fmaGflops: 100, readGBs: 10, copyGBs: 5, doneMicroseconds: 100 },
} as Machine;

/** A row that only counts how often it runs. */
function counting(error: number): Row & { runs: number; destroyed: number } {
  const row = {
    ...{ name: "counting", size: {}, flops: 1, bytes: 1, traffic: "read" as const },
    ...{ runs: 0, destroyed: 0 },
    make: () => ({
      run: () => void (row.runs += 1),
      check: async () => error,
      destroy: () => void (row.destroyed += 1),
    }),
  };
  return row;
}

gpuTest("a wrong result has no speed: it is not even timed", async (gpu) => {
  for (const error of [1.001, 1e9, Infinity, NaN]) {
    const row = counting(error);
    const result = await measure({ gpu, clock: wallClock, machine }, row);
    expect(result, String(error)).toMatchObject({
      ...{ checked: false, ms: null, cpuMs: null, gflops: null, gbs: null, share: null },
      ...{ repeats: 0, calls: 0 },
    });
    expect([row.runs, row.destroyed], String(error)).toEqual([0, 1]);
  }
});

gpuTest("a right one is timed at least 20 times, its operands freed after it", async (gpu) => {
  const row = counting(1);
  const result = await measure({ gpu, clock: wallClock, machine }, row);
  expect(result.checked).toBe(true);
  expect(result.repeats).toBeGreaterThanOrEqual(20);
  expect(row.runs).toBeGreaterThanOrEqual(result.repeats * result.calls);
  expect(row.destroyed).toBe(1);
});

gpuTest("what does many calls at once is asked for them, and not for each", async (gpu) => {
  let done = 0;
  const make = () => ({
    run: () => expect.unreachable(),
    many: async (calls: number) => void (done += calls),
    check: async () => 0,
    destroy() {},
  });
  const row = { ...counting(0), make };
  const { repeats, calls } = await measure({ gpu, clock: wallClock, machine }, row);
  expect(done).toBeGreaterThanOrEqual(repeats * calls);
});

gpuTest("no rate of the device is asked of what the host computes, nor CPU time", async (gpu) => {
  const row = { ...counting(0), traffic: "host" as const };
  const clock = { ...wallClock, cpu: () => NaN };
  const result = await measure({ gpu, clock, machine }, row);
  expect(result).toMatchObject({ checked: true, of: null, share: null, cpuMs: null });
  expect(result.gflops).toBeGreaterThan(0);
});

gpuTest("a row is held against another of the same run, which is measured once", async (gpu) => {
  const row = (name: string, error: number, against?: Row) => {
    const made = { ...counting(error), name, traffic: "host" as const };
    return {
      ...made,
      against,
      make: () => (made.runs++, { ...PLAIN, check: async () => error }),
      made,
    };
  };
  const [beside, wrong] = [row("beside", 0), row("wrong", 2)];
  const rows = [row("first", 0, beside), beside, row("second", 0, beside)];
  const others = [row("third", 0, wrong), row("fourth", 2, beside)];
  const measured = new Measured({ gpu, clock: wallClock, machine });
  const found: RowResult[] = [];
  for (const each of [...rows, ...others]) found.push(await measured.of(each));
  expect(beside.made.runs).toBe(1);
  const rate = (at: number) => found[at].gflops!;
  expect(found.map(({ against }) => against)).toEqual([
    { row: "beside", share: rate(0) / rate(1) },
    null,
    { row: "beside", share: rate(2) / rate(1) },
    null,
    null,
  ]);
  expect(shareText(found[0])).toMatch(/^[\d.]+ % of beside$/);
  expect(shareText(found[1])).toBe("–");
  expect(shareText({ ...found[0], share: 0.5, of: "fma" })).toMatch(/^50 % of fma, .* of beside$/);
});

/** Work that is nothing. */
const PLAIN = { run() {}, check: async () => 0, destroy() {} };

gpuTest("an aborted measurement ends, and frees what it made", async (gpu) => {
  const row = counting(0);
  const signal = AbortSignal.abort();
  await expect(measure({ gpu, clock: wallClock, machine, signal }, row)).rejects.toThrow(/abort/i);
  expect(row.destroyed).toBe(1);
});

/** The smallest row of each name: every shader once, and one whole job. */
const names = new Set(ROWS.map(({ name }) => name).filter((name) => !/^ntk (?!.*-10$)/.test(name)));
const smallest = [...names].map((name) =>
  ROWS.filter((row) => row.name === name).reduce((a, b) =>
    b.flops + b.bytes < a.flops + a.bytes ? b : a,
  ),
);

for (const row of smallest)
  gpuTest(`${rowKey(row)}: passes its own check`, async (gpu) => {
    const prepared = await row.make(gpu);
    try {
      const error = await prepared.check();
      expect(error).toBeLessThanOrEqual(1);
    } finally {
      prepared.destroy();
    }
  });

test("a product's check sees one wrong entry anywhere, NaN, and a result of another length", () => {
  const [depth, rows, columns] = [130, 37, 37];
  const left = uniform(depth * rows, 1);
  for (const triangle of [false, true]) {
    const right = triangle ? left : uniform(depth * columns, 2);
    const product = { depth, rows, columns, left, right, triangle };
    const out = new Float32Array(rows * columns);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < (triangle ? i + 1 : columns); j++) {
        let sum = 0;
        for (let k = 0; k < depth; k++) sum += left[k * rows + i] * right[k * columns + j];
        out[i * columns + j] = sum;
      }
    expect(checkProduct(product, out)).toBeLessThanOrEqual(1);
    expect(checkProduct(product, out.subarray(1))).toBe(Infinity);
    for (let i = 0; i < rows; i++)
      for (const j of [0, Math.floor(i / 2), i]) {
        const before = out[i * columns + j];
        for (const wrong of [before + 1, NaN, Infinity]) {
          out[i * columns + j] = wrong;
          expect(checkProduct(product, out) <= 1, `[${i}, ${j}] = ${wrong}`).toBe(false);
        }
        out[i * columns + j] = before;
      }
    expect(checkProduct(product, out)).toBeLessThanOrEqual(1);
  }
});

test("a factor's check sees one wrong entry anywhere, NaN, and what lies before the diagonal", () => {
  const n = 30;
  const { a } = withSpectrum(
    "check",
    Float64Array.from({ length: n }, (_, i) => 1 / (i + 1)),
    n,
  );
  const upper = new Float32Array(n * n);
  for (let k = 0; k < n; k++)
    for (let i = k; i < n; i++) {
      let sum = a[k * n + i];
      for (let l = 0; l < k; l++) sum -= upper[l * n + k] * upper[l * n + i];
      upper[k * n + i] = i === k ? Math.sqrt(sum) : sum / upper[k * (n + 1)];
    }
  expect(checkFactor(a, upper, n, 1)).toBeLessThanOrEqual(1);
  for (let at = 0; at < n * n; at++) {
    const before = upper[at];
    for (const wrong of [before + 0.01, NaN]) {
      upper[at] = wrong;
      const worst = Math.max(checkFactor(a, upper, n, 1), checkFactor(a, upper, n, 2));
      expect(worst <= 1, `[${at}] = ${wrong}`).toBe(false);
    }
    upper[at] = before;
  }
});

gpuTest("a tangent kernel's check sees a kernel of other weights", async (gpu) => {
  const [row] = chosen(["ntk tanh 32-256"]).rows;
  const prepared = await row.make(gpu);
  const { read } = gpu;
  gpu.read = async (...given) => {
    const values = await read.apply(gpu, given);
    for (let i = 0; i < values.length; i++) values[i] *= 1.001;
    return values;
  };
  try {
    expect(await prepared.check()).toBeGreaterThan(1);
  } finally {
    Reflect.deleteProperty(gpu, "read");
    prepared.destroy();
  }
});

gpuTest(
  "a step's check sees one wrong parameter, a step not taken, another loss, another way forward",
  async (gpu) => {
    const { problem, targets, held, loss, state } = await stepped(gpu);
    const judge = (given = state, of = loss) => checkStep(problem, targets, held, of, given);
    expect(judge()).toBeLessThanOrEqual(1);
    expect(judge(state, loss * 1.0001)).toBeGreaterThan(1);
    const still = problem.weights.map(({ weight, bias }) => ({
      weight: weight.map(() => 0),
      bias: bias && bias.map(() => 0),
    }));
    expect(judge({ ...state, weights: problem.weights, rest: still })).toBeGreaterThan(1);
    for (const { weight, bias } of state.weights)
      for (const values of [weight, bias!])
        for (const at of [0, values.length >> 1, values.length - 1]) {
          const before = values[at];
          for (const wrong of [before + 1e-4, NaN]) {
            values[at] = wrong;
            expect(judge() <= 1, `${values.length} values, ${at} is ${wrong}`).toBe(false);
          }
          values[at] = before;
        }
    expect(checkForward(problem, held)).toBeLessThanOrEqual(1);
    for (const values of [...held.a, ...held.z]) {
      const before = values[3];
      values[3] = before + 1e-3;
      expect(checkForward(problem, held)).toBeGreaterThan(1);
      values[3] = before;
    }
  },
);

gpuTest(
  "an eigensolver's check sees a wrong value, and vectors that are wrong or twice there",
  async (gpu) => {
    const n = 40;
    const known = withSpectrum(
      "1/i",
      Float64Array.from({ length: n }, (_, i) => 1 / (i + 1)),
      1,
    );
    const { values, vectors } = await denseEigen(gpu, Float64Array.from(known.a), n);
    const judge = () => checkEigen(known, { values, vectors });
    expect(judge()).toBeLessThanOrEqual(1);
    for (const wrong of [values[7] + 1e-10, NaN]) {
      const changed = values.slice();
      changed[7] = wrong;
      expect(checkValues(known, changed) <= 1, String(wrong)).toBe(false);
      expect(checkEigen(known, { values: changed, vectors }) <= 1, String(wrong)).toBe(false);
    }
    expect(checkValues(known, values.subarray(1))).toBe(Infinity);
    vectors[5 * n + 3] += 1e-9;
    expect(judge()).toBeGreaterThan(1);
    vectors.copyWithin(5 * n, 4 * n, 5 * n);
    expect(judge()).toBeGreaterThan(1);
  },
);

test("the clock of threads goes on with their work and not with the main one's", async () => {
  const clock = processClock(true);
  if (clock.cpu === null) return expect(process.platform).not.toBe("linux");
  const spun = clock.cpu();
  const end = performance.now() + 100;
  while (performance.now() < end);
  expect(clock.cpu() - spun).toBeLessThan(90);
  expect(clock.cpu()).toBeGreaterThanOrEqual(spun);
  expect(processClock(false).cpu).toBeNull();
});
