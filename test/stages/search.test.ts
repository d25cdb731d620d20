/** The search for the product's class. */
import { expect } from "vitest";
import { openGpu as openCore } from "../../src/index.ts";
import { openGpu, type Gpu } from "../../src/node.ts";
import { findAdapter } from "../../src/node/adapters.ts";
import { FIXED_PLAN, productPlan } from "../../src/stages/0-product.ts";
import { productCandidates, tuned } from "../../src/stages/0-search.ts";
import { gpuTest } from "../gpu.ts";

async function engine(store: Map<string, string>, search = true): Promise<Gpu> {
  const { adapter, hold } = await findAdapter();
  return openCore({
    ...{ adapter, hold, search },
    store: {
      getItem: (name) => store.get(name) ?? null,
      setItem: (name, text) => void store.set(name, text),
    },
  });
}

gpuTest("tuned: takes the fastest of the candidates that are right, and keeps it", async () => {
  const store = new Map<string, string>();
  using gpu = await engine(store);
  const found = await tuned(gpu);
  expect(found.from).toBe("measured");
  expect(found.candidates.length).toBeGreaterThan(0);
  expect(found.candidates.length).toBeLessThanOrEqual(16);
  const timed = found.candidates.filter(({ gflops }) => gflops !== null);
  const best = timed.reduce((a, b) => (b.gflops! > a.gflops! ? b : a));
  expect(found.plan).toEqual(best.plan);
  expect(productPlan(gpu)).toBe(found.plan);
  expect(await tuned(gpu)).toBe(found);
  for (const rate of Object.values(found.rates)) expect(rate).toBeGreaterThan(0);
  expect(gpu.stats().buffers).toBe(0);

  expect(store.size).toBe(1);
  using again = await engine(store);
  const stored = await tuned(again);
  expect(stored).toEqual({ ...found, from: "stored" });
  expect(productPlan(again)).toEqual(found.plan);
});

gpuTest("tuned: what a store holds by mistake is measured anew", async (gpu) => {
  const [key, good] = await (async () => {
    const store = new Map<string, string>();
    using first = await engine(store);
    await tuned(first);
    return [...store][0];
  })();
  const plan = productCandidates(gpu)[0];
  for (const text of [
    "",
    "null",
    "{}",
    good.slice(0, 40),
    JSON.stringify({ ...JSON.parse(good), plan: { ...plan, class: "productOfElsewhere" } }),
    JSON.stringify({ ...JSON.parse(good), rates: { flops: null, bytes: 1, dispatches: 1 } }),
  ]) {
    using other = await engine(new Map([[key, text]]));
    expect((await tuned(other)).from, text).toBe("measured");
  }
});

gpuTest("tuned: search off gives the fixed plan, which needs nothing of the adapter", async () => {
  using gpu = await openGpu({ search: false });
  expect(await tuned(gpu)).toMatchObject({ from: "fixed", plan: FIXED_PLAN, candidates: [] });
  expect(productPlan(gpu)).toBe(FIXED_PLAN);
});
