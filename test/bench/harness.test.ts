import { expect, test } from "vitest";
import { wallClock } from "../../bench/clock.ts";
import type { Machine } from "../../bench/machine.ts";
import { uniform } from "../../bench/random.ts";
import { rowKey } from "../../bench/results.ts";
import { chosen, ROWS } from "../../bench/rows.ts";
import { checkProduct } from "../../bench/rows/verify.ts";
import { measure, type Row } from "../../bench/run.ts";
import { processClock } from "../../bench/threads.ts";
import { gpuTest } from "../gpu.ts";

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
