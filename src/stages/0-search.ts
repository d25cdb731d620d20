import { GpuError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../gpu/matrix.ts";
import { FiniteCheck } from "./0-finite.ts";
import {
  FIXED_PLAN,
  productClasses,
  productPlan,
  setProductPlan,
  storeProduct,
  type ProductClass,
  type ProductPlan,
} from "./0-product.ts";

/** What an adapter does in a second; what routes are chosen by. */
export interface Rates {
  /** Floating-point operations of products. */
  readonly flops: number;
  /** Bytes read by a pass over a matrix. */
  readonly bytes: number;
  /** Dispatches that do next to nothing. */
  readonly dispatches: number;
}

/** One plan that was tried. */
export interface Candidate {
  readonly plan: ProductPlan;
  /** 10⁹ operations a second that were needed; null where it was not timed. */
  readonly gflops: number | null;
  /** Why it was not timed; empty where it was. */
  readonly note: string;
}

/** The plan that an engine's products follow, and why. */
export interface Tuning {
  readonly plan: ProductPlan;
  /** `measured` now, `stored` by an earlier search on the same adapter, driver and engine, or `fixed`: not searched for. */
  readonly from: "measured" | "stored" | "fixed";
  readonly candidates: readonly Candidate[];
  readonly rates: Rates;
  /** Time that the search took. */
  readonly seconds: number;
}

/** No candidate is made after this long: what compiles slowly is at a loss anyway. */
const MAKING_MS = 400;
/** No round of timings is begun after this long, beyond the second. */
const BUDGET_MS = 550;
/** The clock counts whole milliseconds: a timing takes at least this many. */
const TIMING_MS = 16;
/** What an adapter that nobody measured is taken for: a small GPU. */
const FIXED_RATES: Rates = { flops: 2e11, bytes: 2e10, dispatches: 1e5 };

/** Products of the search: small integers, so that every order of summing gives the same exact result. */
const value = (index: number): number => ((index * 2654435761) >>> 28) - 8;

const free = async (): Promise<void> => {};

/** Whether an adapter is the processor's: few lanes, much memory for each, and barriers that cost. */
export const isSoftware = ({ device }: Gpu): boolean =>
  device.adapterInfo?.isFallbackAdapter ?? false;

/** Plans that an adapter may run, those tried first that such adapters were best with. */
export function productCandidates(gpu: Gpu): ProductPlan[] {
  const software = isSoftware(gpu);
  const plan = (name: ProductClass, sizes: ProductPlan["sizes"] = {}): ProductPlan => ({
    ...{ class: name, sizes },
    groups: software ? 4 : 256,
  });
  // A lane adds up 16 values for each lane that it hears of: a GPU has registers for 64, software has memory.
  const own = Math.min(software ? 8 : 4, gpu.subgroupLanes);
  return [
    ...Object.entries(gpu.host.classes ?? {}).flatMap(([name, { plans }]) =>
      plans!(gpu.device).map((sizes) => plan(name, sizes)),
    ),
    // Software adapters run a barrier by leaving the shader and entering it again.
    ...(software ? [] : [plan("productStaged"), plan("productStagedWide")]),
    ...(own < 4 ? [] : [1, 2, 4]).map((times) =>
      plan("productBroadcast", {
        LANES: times * (software ? gpu.subgroupLanes : 8),
        SUBGROUP: own,
      }),
    ),
    ...[16, 8, 32].map((LANES) => plan("productRegisters", { LANES })),
  ];
}

const tunings = new WeakMap<Gpu, Promise<Tuning>>();

/**
 * The plan that an engine's products follow. The first call searches for it, unless the engine was opened with
 * `search: false` or a search on the same adapter, driver and engine was stored: each class that the adapter can run
 * multiplies two matrices, and the fastest of those that are right is taken.
 *
 * ```ts
 * const { plan, rates } = await tuned(gpu);
 * console.log(plan.class, (rates.flops / 1e9).toFixed(1), "Gflop/s");
 * ```
 *
 * **Cost** at most about a second, once an adapter where a store is lent.
 */
export function tuned(gpu: Gpu): Promise<Tuning> {
  const known = tunings.get(gpu);
  if (known) return known;
  const made = gpu.host.search === false ? Promise.resolve(fixed()) : search(gpu);
  tunings.set(gpu, made);
  made.then(
    (tuning) => {
      rates.set(gpu, tuning.rates);
      if (tuning.from !== "fixed") gpu.queue.expect(tuning.rates.flops / 1000);
    },
    // A failure is not kept: whoever asks next may be luckier.
    () => tunings.delete(gpu),
  );
  return made;
}

const rates = new WeakMap<object, Rates>();

/** The rates that an engine's search found, or those of a small GPU where there was none yet. */
export const knownRates = (gpu: object): Rates => rates.get(gpu) ?? FIXED_RATES;

const fixed = (): Tuning => ({
  plan: FIXED_PLAN,
  from: "fixed",
  candidates: [],
  rates: FIXED_RATES,
  seconds: 0,
});

async function search(gpu: Gpu): Promise<Tuning> {
  const key = storeKey(gpu);
  const stored = readTuning(gpu, gpu.host.store?.getItem(key) ?? null);
  if (stored) {
    setProductPlan(gpu, stored.plan);
    return stored;
  }
  const before = productPlan(gpu);
  const began = Date.now();
  try {
    const { plan, candidates, flops } = await fastest(gpu, began);
    setProductPlan(gpu, plan);
    const found = { flops, ...(await passRates(gpu)) };
    const seconds = (Date.now() - began) / 1000;
    const tuning: Tuning = { plan, from: "measured", candidates, rates: found, seconds };
    try {
      gpu.host.store?.setItem(key, JSON.stringify(tuning));
    } catch {
      // A store that is full or locked only costs the next search.
    }
    return tuning;
  } catch (error) {
    setProductPlan(gpu, before);
    throw error;
  }
}

/** Makes and checks one candidate after another, then times those that are right in turns. */
async function fastest(gpu: Gpu, began: number) {
  const entries: { plan: ProductPlan; took: number; note: string }[] = [];
  let problem: Problem | null = null;
  let times = 0;
  try {
    for (const plan of productCandidates(gpu)) {
      const entry = { plan, took: Infinity, note: "" };
      entries.push(entry);
      if (times > 0 && Date.now() - began > MAKING_MS) {
        entry.note = "no time left to make it";
        continue;
      }
      setProductPlan(gpu, plan);
      try {
        if (times === 0) {
          // A larger product where a smaller one is done in no time.
          for (const n of [256, 512, 2048]) {
            problem?.destroy();
            problem = problemOf(gpu, Math.min(n, 512), n);
            await finish(gpu, problem.run, 1);
            if ((await finish(gpu, problem.run, 4)) > 4 * 4) break;
          }
          times = await enough(gpu, problem!.run);
        }
        // Another scale for each, so that none is taken for right by what the one before left there.
        const scale = 2 ** -entries.length;
        const { check } = productClasses(gpu)[plan.class];
        entry.note = (await isRight(gpu, problem!, scale))
          ? ((await check?.(gpu, (buffers) => storeProduct(gpu, { buffers }, free))) ?? "")
          : "its result is wrong";
      } catch (error) {
        if (!(error instanceof GpuError && error.code === "shader")) throw error;
        entry.note = error.message;
      }
    }
    const right = entries.filter(({ note }) => note === "");
    for (let round = 0; round < 2 || (round < 5 && Date.now() - began < BUDGET_MS); round++)
      for (const entry of right) {
        setProductPlan(gpu, entry.plan);
        const { took } = entry;
        const expected = took < Infinity ? took : TIMING_MS;
        const now = await finish(gpu, problem!.run, times, expected);
        entry.took = Math.min(took, Math.max(1, now));
      }
  } finally {
    problem?.destroy();
  }
  const flops = problem ? times * problem.depth * problem.n ** 2 : 0;
  const candidates = entries.map(({ plan, took, note }) => ({
    plan,
    gflops: took < Infinity ? flops / took / 1e6 : null,
    note,
  }));
  const best = entries.reduce((a, b) => (b.took < a.took ? b : a));
  if (!(best.took < Infinity)) return { plan: FIXED_PLAN, candidates, flops: FIXED_RATES.flops };
  return { plan: best.plan, candidates, flops: (1000 * flops) / best.took };
}

/** J Jᵀ of a matrix [depth, n] of small integers. */
interface Problem {
  readonly depth: number;
  readonly n: number;
  readonly out: Matrix;
  readonly run: (scale?: number) => Promise<void>;
  destroy(): void;
}

function problemOf(gpu: Gpu, depth: number, n: number): Problem {
  const values = Float32Array.from({ length: depth * n }, (_, index) => value(index));
  const left = gpu.upload("search operand", depth, n, values);
  const out = gpu.matrix("search result", n, n);
  const call = { buffers: { left, right: left, out }, triangle: true };
  return {
    ...{ depth, n, out },
    run: (scale = 1) => storeProduct(gpu, { ...call, scale }, free),
    destroy: () => [left, out].forEach((matrix) => matrix.destroy()),
  };
}

/** Whether a result has the exact values at its corners and edges, and at places between. */
async function isRight(gpu: Gpu, { depth, n, run, out }: Problem, scale: number): Promise<boolean> {
  await run(scale);
  for (const i of [0, 7, 8, 63, 64, 127, 128, n / 2 + 1, n - 1]) {
    const row = await gpu.read(out, undefined, i, 1);
    for (const j of [0, 3, 4, 31, 32, 63, 64, n / 2, i].filter((column) => column <= i)) {
      let exact = 0;
      for (let k = 0; k < depth; k++) exact += value(k * n + i) * value(k * n + j);
      if (row[j] !== scale * exact) return false;
    }
  }
  return true;
}

/**
 * Milliseconds from the first of `times` runs to the end of the last. Most of what is expected is slept through where
 * the host can: asking a software adapter whether it is done takes one of its cores.
 */
async function finish(
  gpu: Gpu,
  run: () => Promise<void> | void,
  times: number,
  expected = 0,
): Promise<number> {
  const since = Date.now();
  for (let i = 0; i < times; i++) await run();
  gpu.queue.submit();
  const rest = 0.8 * expected - (Date.now() - since);
  if (rest >= 2) await gpu.host.pause?.(rest);
  await gpu.settle(gpu.device.queue.onSubmittedWorkDone());
  return Date.now() - since;
}

/** How many runs take long enough to be timed. */
async function enough(gpu: Gpu, run: () => Promise<void> | void): Promise<number> {
  let took = await finish(gpu, run, 1);
  for (let times = 2; ; times *= 2) {
    took = await finish(gpu, run, times, 2 * took);
    if (took >= TIMING_MS) return times;
  }
}

/** How often a second `run` can be done: the best of three timings. */
async function perSecond(gpu: Gpu, run: () => Promise<void> | void): Promise<number> {
  const times = await enough(gpu, run);
  let took = Infinity;
  for (let i = 0; i < 3; i++)
    took = Math.min(took, await finish(gpu, run, times, took < Infinity ? took : TIMING_MS));
  return (1000 * times) / Math.max(took, 1);
}

/** How fast a pass over a matrix reads, and how many dispatches a second there can be. */
async function passRates(gpu: Gpu): Promise<Omit<Rates, "flops">> {
  const per = async (rows: number, columns: number) => {
    using matrix = gpu.matrix("search pass", rows, columns);
    using check = new FiniteCheck(gpu, 1);
    return (await perSecond(gpu, () => check.look(matrix, 0))) * matrix.bytes;
  };
  const bytes = await per(1024, 2048);
  return { bytes, dispatches: (await per(1, 1)) / 1024 };
}

/** What a stored search belongs to: the adapter with its driver, the host, and the shaders themselves. */
function storeKey(gpu: Gpu): string {
  const { vendor, architecture, device, description } = gpu.device.adapterInfo ?? {};
  const parts = [vendor, architecture, device, description, gpu.subgroupLanes, gpu.host.runtime];
  const code = Object.values(productClasses(gpu)).map(({ wgsl }) => wgsl);
  return `webgpu-ntk ${fingerprint(code.join())} ${parts.join(" ")}`;
}

/** FNV-1a, 32 bits. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** What a store gave back, where it is a search whose plan this adapter can run; else null. */
function readTuning(gpu: Gpu, text: string | null): Tuning | null {
  if (text === null) return null;
  try {
    const found = JSON.parse(text) as Tuning;
    const plan = productCandidates(gpu).find(
      (candidate) => JSON.stringify(candidate) === JSON.stringify(found.plan),
    );
    const { flops, bytes, dispatches } = found.rates;
    const rates = { flops, bytes, dispatches };
    if (!plan || !Object.values(rates).every((rate) => rate > 0 && rate < Infinity)) return null;
    return { plan, from: "stored", candidates: found.candidates, rates, seconds: found.seconds };
  } catch {
    return null;
  }
}
