/** The search for the product's class. */
import { expect } from "vitest";
import { openGpu as openCore } from "../../src/index.ts";
import { openGpu, type Gpu } from "../../src/node.ts";
import { findAdapter } from "../../src/node/adapters.ts";
import type { KernelClass } from "../../src/gpu/options.ts";
import { FIXED_PLAN, PRODUCT_CLASSES, productPlan } from "../../src/stages/0-product.ts";
import { productCandidates, tuned } from "../../src/stages/0-search.ts";
import { gpuTest } from "../gpu.ts";

async function engine(
  store: Map<string, string>,
  search = true,
  classes?: Readonly<Record<string, KernelClass>>,
): Promise<Gpu> {
  const { adapter, hold } = await findAdapter();
  return openCore({
    ...{ adapter, hold, search, classes },
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

gpuTest("tuned: a class that the host lends is tried, unless its check says why not", async () => {
  const store = new Map<string, string>();
  const reasons: Record<string, string> = { productLent: "", productRefused: "not in this test" };
  const lent = (name: string): KernelClass => {
    const { wgsl, sizes, tile } = PRODUCT_CLASSES.productRegisters;
    return {
      ...{ sizes, tile },
      wgsl: wgsl.replace("fn productRegisters", `fn ${name}`),
      plans: () => [{ LANES: 8 }],
      check: async (gpu, multiply) => {
        using left = gpu.upload("left", 1, 1, Float32Array.of(3));
        using right = gpu.upload("right", 1, 2, Float32Array.of(5, 7));
        using out = gpu.matrix("out", 1, 2);
        await multiply({ left, right, out });
        expect(productPlan(gpu).class).toBe(name);
        expect([...(await gpu.read(out))]).toEqual([15, 21]);
        return reasons[name];
      },
    };
  };
  const classes = Object.fromEntries(Object.keys(reasons).map((name) => [name, lent(name)]));
  using gpu = await engine(store, true, classes);
  // On a GPU what is lent comes first, whatever the rest takes.
  Object.defineProperty(gpu.device, "adapterInfo", { value: { subgroupMinSize: 0 } });
  const { candidates } = await tuned(gpu);
  expect(candidates.slice(0, 2).map(({ plan }) => plan.class)).toEqual(Object.keys(reasons));
  expect(candidates[0]).toMatchObject({ note: "", gflops: expect.any(Number) });
  // Where the first took all the time, the second was not asked.
  if (!/no time left/.test(candidates[1].note))
    expect(candidates[1]).toMatchObject({ note: "not in this test", gflops: null });

  using refusing = await engine(new Map(), true, { productRefused: classes.productRefused });
  Object.defineProperty(refusing.device, "adapterInfo", { value: { subgroupMinSize: 0 } });
  const refused = await tuned(refusing);
  expect(refused.candidates[0]).toMatchObject({ note: "not in this test", gflops: null });
  expect(refused.plan.class).not.toBe("productRefused");

  using without = await engine(store);
  expect((await tuned(without)).from, "kept for other classes").toBe("measured");
});

gpuTest("tuned: search off gives the fixed plan, which needs nothing of the adapter", async () => {
  using gpu = await openGpu({ search: false });
  expect(await tuned(gpu)).toMatchObject({ from: "fixed", plan: FIXED_PLAN, candidates: [] });
  expect(productPlan(gpu)).toBe(FIXED_PLAN);
});
