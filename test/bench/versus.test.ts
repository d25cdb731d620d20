import { expect, test } from "vitest";
import { wallClock } from "../../bench/clock.ts";
import { howFast } from "../../bench/howFast.ts";
import type { Machine } from "../../bench/machine.ts";
import type { BenchResult, PeerResult } from "../../bench/results.ts";
import type { Row } from "../../bench/run.ts";
import type { Summary } from "../../bench/stats.ts";
import { versus, type Peer, type PeerJob, type Peers, type Work } from "../../bench/versus.ts";
import { gpuTest } from "../gpu.ts";

const machine = { fmaGflops: 100, readGBs: 10, copyGBs: 5, doneMicroseconds: 100 } as Machine;
const work: Work = { kind: "jjt", n: 1, k: 1, j: Float32Array.of(2) };
const row: Row = {
  ...{ name: "row", size: { n: 1 }, flops: 1, bytes: 1, traffic: "read" },
  work: () => work,
  make: () => ({ run: () => {}, check: async () => 0, destroy: () => {} }),
};

/** A package that gives one number, or fails; how often it was destroyed. */
function peer(name: string, value: number, job: Partial<PeerJob> = {}): Peer & { gone: number } {
  const made = {
    ...{ name, version: "1.0.0", backend: "wasm", device: false, gone: 0 },
    prepare: async () => ({
      run: async () => ({ ms: 3, cpuMs: 5 }),
      read: async () => Float32Array.of(value),
      destroy: async () => void (made.gone += 1),
      ...job,
    }),
  };
  return made;
}

const judge: Peers["judge"] = (given) => {
  expect(given).toBe(work);
  return ([value]) => (value === 4 ? { correct: true } : { correct: false, error: "not 4" });
};

gpuTest(
  "a package is timed where its result is right, and listed where it is wrong or fails",
  async (gpu) => {
    const breaks = peer("breaks", 4, {
      run: async () => {
        throw new Error("it broke");
      },
    });
    let runs = 0;
    const late = peer("breaks later", 4, {
      run: async () => {
        runs += 1;
        if (runs > 5) throw new Error("it broke in the end");
        return { ms: 1, cpuMs: 1 };
      },
    });
    const peers = [peer("right", 4), peer("wrong", 5), peer("nan", NaN), breaks, late];
    const idle: Peer = { ...peer("idle", 4), prepare: async () => null };
    const found = await versus({ gpu, clock: wallClock, machine }, row, {
      peers: [...peers, idle],
      judge,
    });
    const byName = new Map(found.map((each) => [each.name, each]));
    expect([...byName.keys()].sort()).toEqual(["breaks", "breaks later", "nan", "right", "wrong"]);
    const right = byName.get("right")!;
    expect(right).toMatchObject({ correct: true, work: "row", size: { n: 1 }, version: "1.0.0" });
    expect(right.ms).toEqual({ min: 3, median: 3, max: 3, noise: 0 });
    expect(right.ratio).toBeGreaterThan(0);
    for (const [name, error] of [
      ["wrong", "not 4"],
      ["nan", "not 4"],
      ["breaks", "it broke"],
      ["breaks later", "it broke in the end"],
    ])
      expect(byName.get(name), name).toMatchObject({
        correct: false,
        ms: null,
        ratio: null,
        error,
      });
    expect(peers.map(({ gone }) => gone)).toEqual([1, 1, 1, 1, 1]);
  },
);

gpuTest("after each rest quick work runs for half a second before it is timed", async (gpu) => {
  // Every look at this clock takes 50 ms.
  let now = 0;
  const clock = { now: () => (now += 50), cpu: null, sleep: async () => {} };
  let runs = 0;
  const counting = (ms: number) =>
    peer("counting", 4, { run: async () => ({ ms: ms + (runs += 1), cpuMs: 1 }) });
  const timed = async (ms: number) => {
    runs = 0;
    const [found] = await versus({ gpu, clock, machine }, row, { peers: [counting(ms)], judge });
    return found.ms as Summary;
  };
  // Three runs came before the first turn, then ten before each that is timed.
  expect((await timed(0)).min).toBe(3 + 10 + 1);
  // What takes longer is warm by itself, once that is known.
  const { min, max } = await timed(1000);
  expect(min).toBe(1000 + 3 + 10 + 1);
  expect(max).toBeLessThan(1000 + 3 + 10 + 1 + 9);
});

gpuTest("where our own result is wrong, nobody is compared with it", async (gpu) => {
  const ours = { ...row, make: () => ({ run() {}, check: async () => NaN, destroy() {} }) };
  const bench = { gpu, clock: wallClock, machine };
  expect(await versus(bench, ours, { peers: [peer("right", 4)], judge })).toEqual([]);
  expect(await versus(bench, { ...row, work: undefined }, { peers: [], judge })).toEqual([]);
});

test("README's tables say where another is faster, and do not hide what is wrong", () => {
  const listed = { version: "1.0.0", backend: "webgpu", work: "ntk relu 2-1", size: { n: 4 } };
  const peers: PeerResult[] = [
    { ...listed, name: "slow", ms: 20, ratio: 10, correct: true },
    { ...listed, name: "quick", ms: 1, ratio: 0.5, correct: true },
    { ...listed, name: "odd", ms: null, ratio: null, correct: false, error: "NaN" },
  ];
  const result = {
    adapter: {
      ...{ description: "llvmpipe (LLVM 15.0.6, 256 bits)", vendor: "mesa", driver: "" },
      ...{ runtime: "Node 20", software: true },
    },
    machine: { ...machine, per: "core", dispatchMicroseconds: 12 },
    rows: [
      {
        ...{
          name: "ntk relu 2-1",
          size: { n: 4 },
          checked: true,
          error: 0.1,
          cpuMs: 2,
          cpuNoise: 0,
        },
        ...{
          ms: { min: 1, median: 2, max: 3, noise: 0 },
          repeats: 20,
          calls: 1,
          flops: 1,
          bytes: 1,
        },
        ...{ gflops: 25, gbs: 0.1, share: 0.25, of: "fma", class: null, sizes: null },
      },
    ],
    peers,
  } as unknown as BenchResult;
  const text = howFast([result]);
  expect(text).toContain("| llvmpipe | 100 GFLOP/s a core | 10.0 GB/s a core |");
  expect(text).toContain("| ntk relu 2-1 | n=4 | 2.00 | 25.0 | 0.10 | 25 % of fma |");
  expect(text).toContain("| odd 1.0.0, webgpu | quick 1.0.0, webgpu | slow 1.0.0, webgpu |");
  expect(text).toContain("| ntk relu 2-1 n=4 | llvmpipe | wrong or failed | 0.50 × | 10.0 × |");
  expect(text).toContain(
    "Where another is faster, with its share of our time:\n\n- ntk relu 2-1 n=4 on llvmpipe: quick 1.0.0, webgpu (0.50)",
  );
  expect(howFast([{ ...result, peers: peers.slice(0, 1) }])).toContain("None of them is faster");
  expect(howFast([])).toMatch(/^Nothing was measured yet/);
});
