import { expect, test } from "vitest";
import { ACTIVATIONS, activationError } from "../../src/stages/0-activation.ts";
import {
  add,
  FIXED_PLAN,
  PRODUCT_CLASSES,
  productClasses,
  productPlan,
  setProductPlan,
  storeProduct,
  type ProductPlan,
} from "../../src/stages/0-product.ts";
import { activate } from "../../src/stages/1-forward.ts";
import { mask } from "../../src/stages/2-backward.ts";
import { hadamard } from "../../src/stages/3-gram.ts";
import { hadamardPair } from "../../src/stages/3-pair.ts";
import { schur } from "../../src/stages/4-factor.ts";
import { bias, tangent } from "../../src/stages/2-tangent.ts";
import { textureClass } from "../../src/stages/0-textures.ts";
import { openGpu as openCore } from "../../src/index.ts";
import type { Part } from "../../src/gpu/options.ts";
import type { Gpu } from "../../src/node.ts";
import { findAdapter } from "../../src/node/adapters.ts";
import { breathe } from "../../src/node/breathe.ts";
import { phi, phiPrime } from "../reference/activations.ts";
import { assertWithin, gamma, U, UW } from "../reference/compare.ts";
import { sums } from "../reference/product.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, KINDS, padded, report, sample, type Kind } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

/** Edges: a step of the loop and a block of sums; a row tile and the padding; vec4s, padding, lanes · 4, the pitch. */
const SHAPES = shapes(
  { depth: 19, rows: 11, columns: 21 },
  {
    depth: around([16, 64], [37, 257, 1023, 1024, 1025]),
    rows: around([8, 16], [29]),
    columns: around([4, 16, 64, 256], [61, 241]),
  },
  20,
);
const free = async () => {};
const f = Math.fround;

interface Problem {
  readonly depth: number;
  readonly rows: number;
  readonly columns: number;
  readonly kind: Kind;
  readonly index: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** Σ left · right and Σ |left · right| in f64. */
  readonly sum: Float64Array;
  readonly size: Float64Array;
  readonly label: string;
}

function problem(
  { depth, rows, columns }: { depth: number; rows: number; columns: number },
  kind: Kind,
  index: number,
): Problem {
  const left = sample(kind, depth * rows, 2 * index + 1);
  const right = sample(kind, depth * columns, 2 * index + 2);
  const { sum, size } = sums(left, right, depth, rows, columns);
  const label = `${kind} depth ${depth}, rows ${rows}, columns ${columns}`;
  return { depth, rows, columns, kind, index, left, right, sum, size, label };
}

const problems = SHAPES.flatMap((shape, index) => KINDS.map((kind) => problem(shape, kind, index)));

/** The shapes again with several outputs a sample: rows and columns are multiples of them. */
const severalOutputs = [2, 3, 5].flatMap((outputs) =>
  [1, 3, 8, 13, 17, 32].flatMap((samples, index) =>
    KINDS.map((kind) => ({
      outputs,
      ...problem(
        { depth: 10 + 9 * index, rows: 3 * outputs, columns: samples * outputs },
        kind,
        99,
      ),
    })),
  ),
);
const withOutputs = [...problems.map((each) => ({ outputs: 1, ...each })), ...severalOutputs];

/** Roundings of a sum, as the headers of the product count them. */
const chain = (depth: number): number =>
  1 + Math.min(depth, 64) + Math.min(Math.ceil(depth / 64), 16) + Math.ceil(depth / 1024);

const upload = (gpu: Gpu, { depth, rows, columns, left, right }: Problem) => ({
  left: gpu.upload("left", depth, rows, left),
  right: gpu.upload("right", depth, columns, right),
});

/** Every class that this adapter can run, in more than one size where there is one. */
const PLANS: readonly ProductPlan[] = [
  { class: "productRegisters", sizes: { LANES: 16 }, groups: 1 },
  { class: "productRegisters", sizes: { LANES: 8 }, groups: 1 },
  { class: "productBroadcast", sizes: { LANES: 4, SUBGROUP: 4 }, groups: 1 },
  { class: "productBroadcast", sizes: { LANES: 16, SUBGROUP: 4 }, groups: 1 },
  { class: "productBroadcast", sizes: { LANES: 8, SUBGROUP: 8 }, groups: 1 },
  { class: "productBroadcast", sizes: { LANES: 16, SUBGROUP: 8 }, groups: 1 },
  { class: "productStaged", sizes: {}, groups: 1 },
  { class: "productStagedWide", sizes: {}, groups: 1 },
];
/** What only some hosts lend; its sizes are the device's. */
const MATRIX: ProductPlan = { class: "productMatrix", sizes: {}, groups: 1 };
const MATRIX_F32: ProductPlan = { class: "productMatrixF32", sizes: {}, groups: 1 };
const TEXTURES: ProductPlan = { class: "productTextures", sizes: {}, groups: 1 };
const named = ({ class: name, sizes }: ProductPlan): string =>
  [name, ...Object.entries(sizes).map(([size, value]) => `${size} ${value}`)].join(", ");
/** The plan with the sizes that this adapter needs, or null where it cannot run it. */
function planOn(gpu: Gpu, plan: ProductPlan): ProductPlan | null {
  if (!((plan.sizes.SUBGROUP ?? 0) <= gpu.subgroupLanes)) return null;
  const info = productClasses(gpu)[plan.class];
  if (!info) return null;
  // Slow where textures are, but right.
  if (plan === TEXTURES && gpu.subgroupLanes >= 4)
    return { ...plan, sizes: { LANES: 8, SUBGROUP: Math.min(8, gpu.subgroupLanes) } };
  const [sizes] = info.plans?.(gpu.device) ?? [plan.sizes];
  return sizes ? { ...plan, sizes } : null;
}

/** An engine whose products copy their operands, all of them or those that are worth it. */
async function copying(worth = { work: 1, narrow: 1 }): Promise<Gpu> {
  const { adapter, hold } = await findAdapter();
  const classes = { productTextures: textureClass(worth) };
  return openCore({ adapter, hold, breathe, search: false, classes });
}

/** A test for every class; what the adapter cannot run is left out, and one class at least must run. */
function classTest(name: string, body: (gpu: Gpu, plan: ProductPlan) => Promise<void>): void {
  for (const each of [...PLANS, MATRIX, MATRIX_F32, TEXTURES])
    gpuTest(`${named(each)}, ${name}`, async (shared) => {
      using own = each === TEXTURES ? await copying() : null;
      const gpu = own ?? shared;
      const plan = planOn(gpu, each);
      if (!plan) return;
      const before = productPlan(gpu);
      setProductPlan(gpu, plan);
      try {
        await body(gpu, plan);
      } finally {
        setProductPlan(gpu, before);
      }
    });
}

test("every class has a test", () => {
  expect(new Set(PLANS.map((plan) => plan.class))).toEqual(new Set(Object.keys(PRODUCT_CLASSES)));
});

classTest("store: scale · sum + shift within the bound, padding zero", async (gpu, plan) => {
  let worst = 0;
  for (const p of problems) {
    const [scale, shift] = p.index % 2 === 0 ? [1, 0] : [f(0.3), f(-0.7)];
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using out = new Guarded(gpu, "out", p.rows, p.columns);
    await storeProduct(gpu, { buffers: { left, right, out: out.matrix }, scale, shift }, free);
    const k = chain(p.depth) + (scale === 1 && shift === 0 ? 0 : 2);
    const exact = p.sum.map((sum) => scale * sum + shift);
    const bound = p.size.map((size) => gamma(k, UW) * (scale * size + Math.abs(shift)));
    worst = Math.max(worst, assertWithin(await out.read(), exact, bound, p.label).worst);
  }
  report(`${named(plan)}, store`, gpu, worst);
});

classTest("add: out + scale · sum within the bound, padding zero", async (gpu, plan) => {
  let worst = 0;
  for (const p of problems) {
    const scale = p.index % 2 === 0 ? 0.25 : f(1 / 3);
    const before = sample(p.kind, p.rows * p.columns, 7);
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using out = new Guarded(gpu, "out", p.rows, p.columns, before);
    await add(gpu, { buffers: { left, right, out: out.matrix }, scale }, free);
    const k = chain(p.depth) + (scale === 0.25 ? 1 : 2);
    const exact = p.sum.map((sum, at) => before[at] + scale * sum);
    const bound = p.size.map((size, at) => gamma(k, UW) * (Math.abs(before[at]) + scale * size));
    worst = Math.max(worst, assertWithin(await out.read(), exact, bound, p.label).worst);
  }
  report(`${named(plan)}, add`, gpu, worst);
});

/** What deflation may have taken out of `columns` columns: Q of 10 bits and a small Y, [columns, 8]. */
function takenOut(columns: number, kind: Kind, seed: number) {
  const values = sample(kind, 8 * columns, seed).map((value, at) =>
    at % 8 < 4 ? Math.max(-1023, Math.min(1023, Math.round(300 * value))) / 256 : value / 512,
  );
  /** (Qᵀ Q)[i, j], (Qᵀ Y + Yᵀ Q)[i, j] and the size of the latter. */
  const at = (i: number, j: number) => {
    let [top, rest, size] = [0, 0, 0];
    for (let s = 0; s < 4; s++) {
      const [qi, qj] = [values[8 * i + s], values[8 * j + s]];
      const [yi, yj] = [values[8 * i + 4 + s], values[8 * j + 4 + s]];
      top += qi * qj;
      rest += qi * yj + yi * qj;
      size += Math.abs(qi * yj) + Math.abs(yi * qj);
    }
    return { top, rest, size };
  };
  return { values, at };
}

/** A matrix's product with itself, and what was taken out of it before. */
function square(gpu: Gpu, depth: number, columns: number, kind: Kind, index: number) {
  const values = sample(kind, depth * columns, 2 * index + 1);
  const p = sums(values, values, depth, columns, columns);
  const taken = takenOut(columns, kind, index + 50);
  const left = gpu.upload("left", depth, columns, values);
  const leading = gpu.upload("leading", columns, 8, taken.values);
  const parts = p.sum.map((_, at) => taken.at(Math.floor(at / columns), at % columns).top);
  const rest = p.sum.map((sum, at) => sum + taken.at(Math.floor(at / columns), at % columns).rest);
  // The sum's roundings, then nine of what is added to it.
  const bound = p.size.map(
    (size, at) =>
      gamma(chain(depth) + 9, UW) * size +
      gamma(9, UW) * taken.at(Math.floor(at / columns), at % columns).size,
  );
  const destroy = () => [left, leading].forEach((matrix) => matrix.destroy());
  return {
    label: `${kind} depth ${depth}, columns ${columns}`,
    buffers: { left, right: left, leading },
    top: parts,
    rest,
    bound,
    destroy,
  };
}

classTest("hadamardPair: what a layer adds, to 29 bits beyond its sums", async (gpu, plan) => {
  let worst = 0;
  for (const outputs of [1, 2, 3, 5])
    for (const [index, samples] of [1, 3, 8, 13, 17, 32].entries()) {
      const kind = KINDS[index % 2];
      const columns = samples * outputs;
      const depth = 10 + 9 * index;
      const own = square(gpu, depth, columns, kind, index);
      const [scale, shift] = [0.1, 0.3];
      const seenTaken = takenOut(samples, kind, 77);
      const seenValues = sample(kind, samples * samples, 31);
      using leadingSeen = gpu.upload("leadingSeen", samples, 8, seenTaken.values);
      using seen = gpu.upload("seen", samples, samples, seenValues);
      const before = sample(kind, columns * columns, 7);
      const lower = before.map((value) => f(value * 2 ** -26));
      using high = new Guarded(gpu, "high", columns, columns, before);
      using low = new Guarded(gpu, "low", columns, columns, lower);
      const planes = { high: high.matrix, low: low.matrix };
      const buffers = { ...own.buffers, leadingSeen, seen, ...planes };
      await hadamardPair(gpu, { buffers, outputs, scale, shift }, free);
      const [h, l] = [await high.read(), await low.read()];
      const pair = Float64Array.from(h, (value, at) => value + l[at]);
      const seenAt = (at: number) => {
        const [i, j] = [Math.floor(at / columns), at % columns].map((r) => Math.floor(r / outputs));
        return { ...seenTaken.at(i, j), stored: seenValues[i * samples + j] };
      };
      const exact = own.top.map((top, at) => {
        const { top: first, rest, stored } = seenAt(at);
        const factor = scale * (first + rest + stored) + shift;
        return before[at] + lower[at] + factor * (top + own.rest[at]);
      });
      const bound = own.bound.map((each, at) => {
        const seen = seenAt(at);
        const factor = scale * (Math.abs(seen.top) + seen.size + Math.abs(seen.stored)) + shift;
        const seenError = scale * gamma(9, UW) * (seen.size + Math.abs(seen.stored));
        const size = Math.abs(own.top[at]) + Math.abs(own.rest[at]) + each;
        return (
          factor * each + (seenError + 2 ** -28 * factor) * size + 2 ** -45 * Math.abs(before[at])
        );
      });
      const label = `${own.label}, outputs ${outputs}`;
      worst = Math.max(worst, assertWithin(pair, exact, bound, label).worst);
      own.destroy();
    }
  report(`${named(plan)}, hadamardPair`, gpu, worst);
});

classTest("hadamard: out + factor · scale · sum within the bound", async (gpu, plan) => {
  let worst = 0;
  for (const p of withOutputs) {
    const { rows, columns, outputs } = p;
    const scale = f(1 / 3);
    const samples = columns / outputs;
    const before = sample(p.kind, rows * columns, 7);
    const factors = sample(p.kind, (rows / outputs) * samples, 8);
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using factor = gpu.upload("factor", rows / outputs, samples, factors);
    using out = new Guarded(gpu, "out", rows, columns, before);
    const buffers = { left, right, factor, out: out.matrix };
    await hadamard(gpu, { buffers, outputs, scale }, free);
    const at = (i: number, j: number) =>
      Math.floor(i / outputs) * samples + Math.floor(j / outputs);
    const weight = p.sum.map(
      (_, place) => scale * factors[at(Math.floor(place / columns), place % columns)],
    );
    const k = chain(p.depth) + 3;
    const exact = p.sum.map((sum, place) => before[place] + weight[place] * sum);
    const bound = p.size.map(
      (size, place) => gamma(k, UW) * (Math.abs(before[place]) + Math.abs(weight[place]) * size),
    );
    const label = `${p.label}, outputs ${outputs}`;
    worst = Math.max(worst, assertWithin(await out.read(), exact, bound, label).worst);
  }
  report(`${named(plan)}, hadamard`, gpu, worst);
});

const TANH = { ACTIVATION: ACTIVATIONS.indexOf("tanh"), SLOPE: 0.01 };

classTest("activate: z and φ(z) within their bounds, padding zero", async (gpu, plan) => {
  let worst = 0;
  for (const p of problems) {
    const { rows, columns } = p;
    const scale = f(1 / Math.sqrt(p.depth));
    const shift = f(0.1);
    const biases = sample(p.kind, rows, 9);
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using bias = gpu.upload("bias", 1, rows, biases);
    using z = new Guarded(gpu, "z", rows, columns);
    using a = new Guarded(gpu, "a", rows, columns);
    const buffers = { left, right, bias, z: z.matrix, a: a.matrix };
    await activate(gpu, { buffers, scale, shift, sizes: TANH }, free);
    const shifted = p.sum.map((_, at) => shift * biases[Math.floor(at / columns)]);
    const k = chain(p.depth) + 3;
    const exact = p.sum.map((sum, at) => scale * sum + shifted[at]);
    const bound = p.size.map((size, at) => gamma(k, UW) * (scale * size + Math.abs(shifted[at])));
    const computed = await z.read();
    worst = Math.max(worst, assertWithin(computed, exact, bound, p.label).worst);
    const tanh = Float64Array.from(computed, (value) => phi("tanh", 0, value));
    const allowed = Float64Array.from(computed, (value) => activationError("tanh", 0, value).value);
    assertWithin(await a.read(), tanh, allowed, `${p.label}: φ`);
  }
  report(`${named(plan)}, activate`, gpu, worst);
});

classTest("mask: scale · sum · φ′(z) within the bound, padding zero", async (gpu, plan) => {
  let worst = 0;
  for (const p of withOutputs) {
    const { rows, columns, outputs } = p;
    const scale = f(1 / Math.sqrt(p.depth));
    const samples = columns / outputs;
    const inputs = sample("normal", rows * samples, 10);
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using z = gpu.upload("z", rows, samples, inputs);
    using out = new Guarded(gpu, "out", rows, columns);
    const buffers = { left, right, z, out: out.matrix };
    await mask(gpu, { buffers, outputs, scale, sizes: TANH }, free);
    const at = (place: number) =>
      inputs[Math.floor(place / columns) * samples + Math.floor((place % columns) / outputs)];
    const slope = p.sum.map((_, place) => phiPrime("tanh", 0, at(place)));
    const error = p.sum.map((_, place) => activationError("tanh", 0, at(place)).derivative);
    const k = chain(p.depth) + 2;
    const exact = p.sum.map((sum, place) => scale * sum * slope[place]);
    const bound = p.size.map(
      (size, place) =>
        scale * (gamma(k, UW) * size * (slope[place] + error[place])) +
        scale * Math.abs(p.sum[place]) * error[place],
    );
    const label = `${p.label}, outputs ${outputs}`;
    worst = Math.max(worst, assertWithin(await out.read(), exact, bound, label).worst);
  }
  report(`${named(plan)}, mask`, gpu, worst);
});

classTest("bias: scale · sum + shift · bias within the bound, padding zero", async (gpu) => {
  for (const p of problems) {
    const { rows, columns } = p;
    const [scale, shift] = [f(1 / Math.sqrt(p.depth)), f(0.1)];
    const biases = sample(p.kind, rows, 9);
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using each = gpu.upload("bias", 1, rows, biases);
    using out = new Guarded(gpu, "out", rows, columns);
    await bias(gpu, { buffers: { left, right, bias: each, out: out.matrix }, scale, shift }, free);
    const shifted = p.sum.map((_, at) => shift * biases[Math.floor(at / columns)]);
    const exact = p.sum.map((sum, at) => scale * sum + shifted[at]);
    const bound = p.size.map(
      (size, at) => gamma(chain(p.depth) + 3, UW) * (scale * size + Math.abs(shifted[at])),
    );
    assertWithin(await out.read(), exact, bound, p.label);
  }
});

classTest("tangent: φ′(z) · (before + scale · sum) within the bound, padding zero", async (gpu) => {
  for (const p of problems) {
    const { rows, columns } = p;
    const scale = f(1 / Math.sqrt(p.depth));
    const [inputs, earlier] = [10, 11].map((seed) => sample("normal", rows * columns, seed));
    const operands = upload(gpu, p);
    using left = operands.left;
    using right = operands.right;
    using z = gpu.upload("z", rows, columns, inputs);
    using before = gpu.upload("before", rows, columns, earlier);
    using out = new Guarded(gpu, "out", rows, columns);
    const buffers = { left, right, z, before, out: out.matrix };
    await tangent(gpu, { buffers, scale, sizes: TANH }, free);
    const slope = inputs.map((value) => phiPrime("tanh", 0, value));
    const error = Float64Array.from(inputs, (z) => activationError("tanh", 0, z).derivative);
    const k = chain(p.depth) + 3;
    const exact = p.sum.map(
      (sum, at) => phiPrime("tanh", 0, inputs[at]) * (earlier[at] + scale * sum),
    );
    const bound = p.size.map(
      (size, at) =>
        gamma(k, UW) * (Math.abs(earlier[at]) + scale * size) * (slope[at] + error[at]) +
        Math.abs(earlier[at] + scale * p.sum[at]) * error[at],
    );
    assertWithin(await out.read(), exact, bound, p.label);
  }
});

/** The product with one tile a dispatch; returns how many there were. */
async function tileByTile(gpu: Gpu, body: (meter: () => Promise<void>) => Promise<void>) {
  let tiles = 0;
  Object.defineProperty(gpu.queue, "dispatchFlops", { value: 1, configurable: true });
  try {
    await body(async () => void (tiles += 1));
  } finally {
    Reflect.deleteProperty(gpu.queue, "dispatchFlops");
  }
  return tiles;
}

const tileOf = (gpu: Gpu, { class: name, sizes }: ProductPlan) =>
  productClasses(gpu)[name].tile(sizes);

classTest(
  "tile by tile: the bits that one dispatch gives, and as many tiles as cover it",
  async (gpu, plan) => {
    const [high, wide] = tileOf(gpu, plan);
    const { lay } = productClasses(gpu)[plan.class];
    for (const shape of [
      { depth: 200, rows: 53, columns: 53 },
      { depth: 65, rows: 64, columns: 64 },
      { depth: 30, rows: 140, columns: 140 },
      { depth: 1100, rows: 20, columns: 20 },
    ]) {
      const p = problem(shape, "normal", 3);
      const { rows, columns } = p;
      const across = Math.ceil(padded(rows) / wide);
      const { left, right } = upload(gpu, p);
      const ones = new Float32Array(rows * columns).fill(1);
      using factor = gpu.upload("factor", rows, columns, sample("normal", rows * columns, 4));
      using z = gpu.upload("z", rows, columns, sample("normal", rows * columns, 5));
      using bias = gpu.upload("bias", 1, rows, sample("normal", rows, 6));
      for (const triangle of [false, true]) {
        const tiles = triangle
          ? ((across * (across + 1)) / 2) * (wide / high)
          : Math.ceil(padded(rows) / high) * across;
        // Operands laid out are multiplied slab by slab; the sums of slabs then take one dispatch.
        const slabs = lay ? Math.ceil(shape.depth / 1024) : 1;
        const dispatches = slabs > 1 ? slabs * tiles + 1 : tiles;
        const run = async (single: boolean) => {
          using out = new Guarded(gpu, "out", rows, columns, ones);
          using more = new Guarded(gpu, "out", rows, columns, ones);
          using a = new Guarded(gpu, "a", rows, columns, ones);
          const sizes = TANH;
          const [to, other] = [out.matrix, more.matrix];
          type Meter = () => Promise<void>;
          const calls: ((meter: Meter) => Promise<void>)[] = [
            (m) => storeProduct(gpu, { buffers: { left, right, out: to }, triangle }, m),
            (m) => add(gpu, { buffers: { left, right, out: to }, triangle }, m),
            (m) => hadamard(gpu, { buffers: { left, right, factor, out: to }, triangle }, m),
            (m) => mask(gpu, { buffers: { left, right, z, out: other }, sizes, triangle }, m),
            (m) =>
              activate(
                gpu,
                { buffers: { left, right, bias, z: other, a: a.matrix }, sizes, triangle },
                m,
              ),
          ];
          const bits: Uint32Array[] = [];
          for (const call of calls) {
            if (single) expect(await tileByTile(gpu, call)).toBe(dispatches);
            else await call(free);
            bits.push(await out.bits(all(triangle, wide)), await more.bits(all(triangle, wide)));
          }
          bits.push(await a.bits(all(triangle, wide)));
          return bits;
        };
        const whole = await run(false);
        expect(await run(true), "tile by tile").toEqual(whole);
        expect(await run(false), "a second run").toEqual(whole);
      }
      left.destroy();
      right.destroy();
    }
  },
);

/** Which places a product writes: in a triangle, the squares of `wide` that touch it. */
const all =
  (triangle: boolean, wide: number) =>
  (row: number, column: number): boolean =>
    !triangle || Math.floor(column / wide) <= Math.floor(row / wide);

classTest("triangle: every entry with j ≤ i, and no square above", async (gpu, plan) => {
  const [, wide] = tileOf(gpu, plan);
  for (const n of [1, 8, 16, 63, 64, 65, 72, 129, 150, 257]) {
    const p = problem({ depth: 20, rows: n, columns: n }, "normal", n);
    const { left, right } = upload(gpu, p);
    using full = new Guarded(gpu, "full", n, n);
    using lower = new Guarded(gpu, "lower", n, n);
    await storeProduct(gpu, { buffers: { left, right, out: full.matrix } }, free);
    const triangle = { buffers: { left, right, out: lower.matrix }, triangle: true };
    await storeProduct(gpu, triangle, free);
    const every = await full.read();
    const some = await lower.read(all(true, wide));
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++)
        if (!(every[i * n + j] === some[i * n + j]))
          throw new Error(
            `n ${n}: [${i}, ${j}] is ${some[i * n + j]}, in full ${every[i * n + j]}`,
          );
    left.destroy();
    right.destroy();
  }
});

classTest("part: a rectangle of the result has the bits of the whole", async (gpu) => {
  const p = problem({ depth: 130, rows: 150, columns: 200 }, "normal", 11);
  const { left, right } = upload(gpu, p);
  using whole = new Guarded(gpu, "whole", p.rows, p.columns);
  await storeProduct(gpu, { buffers: { left, right, out: whole.matrix } }, free);
  const every = await whole.bits();
  for (const part of [
    { row: 0, column: 0, rows: 16, columns: 16 },
    { row: 16, column: 48, rows: 65, columns: 80 },
    { row: 144, column: 192, rows: 6, columns: 8 },
    { row: 64, column: 128, rows: 86, columns: 72 },
  ]) {
    using out = new Guarded(gpu, "part", part.rows, part.columns);
    await storeProduct(gpu, { buffers: { left, right, out: out.matrix }, part }, free);
    const bits = await out.bits();
    for (let i = 0; i < part.rows; i++)
      for (let j = 0; j < part.columns; j++)
        expect(bits[i * part.columns + j]).toBe(
          every[(part.row + i) * p.columns + part.column + j],
        );
  }
  left.destroy();
  right.destroy();
});

classTest("slabs: split or not, the same bits, within the bound, twice", async (gpu) => {
  for (const { depth, rows, columns } of [
    { depth: 1024, rows: 17, columns: 33 },
    { depth: 1025, rows: 17, columns: 33 },
    { depth: 2048, rows: 8, columns: 65 },
    { depth: 3000, rows: 40, columns: 40 },
    { depth: 5000, rows: 5, columns: 5 },
  ])
    for (const kind of KINDS) {
      const p = problem({ depth, rows, columns }, kind, depth);
      const { left, right } = upload(gpu, p);
      const before = sample(kind, rows * columns, 7);
      // A matrix of the whole result's shape, of which an epilogue reads a part.
      using matrix = gpu.upload("matrix", rows, columns, before);
      const part = { row: 0, column: 16, rows, columns: columns - 16 };
      const run = async (split: boolean) => {
        using stored = new Guarded(gpu, "stored", rows, columns);
        using added = new Guarded(gpu, "added", rows, columns, before);
        using less = new Guarded(gpu, "less", rows, columns, before);
        await storeProduct(gpu, { buffers: { left, right, out: stored.matrix }, split }, free);
        await add(gpu, { buffers: { left, right, out: added.matrix }, split }, free);
        if (columns > 16)
          await schur(
            gpu,
            { buffers: { left, right, matrix, out: less.matrix }, part, shift: 0, split },
            free,
          );
        const bound = p.size.map((size) => gamma(chain(depth), UW) * size);
        assertWithin(await stored.read(), p.sum, bound, `${p.label}, split ${split}`);
        return [await stored.bits(), await added.bits(), await less.bits(() => true)];
      };
      const whole = await run(false);
      expect(await run(true), "split").toEqual(whole);
      expect(await run(true), "split once more").toEqual(whole);
      left.destroy();
      right.destroy();
    }
});

gpuTest("every class of the product gives the same bits", async () => {
  using gpu = await copying();
  // The second's copies are made slab by slab; the third's take two layers of a texture, and a panel lies across. The
  // last have more columns of tiles than come in a group, and a group that is not full.
  for (const { triangle = false, ...shape } of [
    { depth: 777, rows: 70, columns: 131 },
    { depth: 16_500, rows: 150, columns: 90 },
    { depth: 700, rows: 20, columns: 12_100 },
    { depth: 70, rows: 330, columns: 200 },
    { depth: 70, rows: 330, columns: 330, triangle: true },
  ]) {
    const p = problem(shape, "normal", 12);
    const { left, right } = upload(gpu, p);
    const bits = new Map<string, Uint32Array>();
    const textures = planOn(gpu, TEXTURES);
    const wide = textures && { ...textures, sizes: { ...textures.sizes, LANES: 16 } };
    for (const plan of [...PLANS.map((each) => planOn(gpu, each)), textures, wide]) {
      if (!plan) continue;
      setProductPlan(gpu, plan);
      using out = new Guarded(gpu, "out", p.rows, p.columns);
      await storeProduct(gpu, { buffers: { left, right, out: out.matrix }, triangle }, free);
      const [, wide] = tileOf(gpu, plan);
      const written = await out.bits(all(triangle, wide));
      const above = (at: number) => at % p.columns > Math.floor(at / p.columns);
      bits.set(named(plan), triangle ? written.map((each, at) => (above(at) ? 0 : each)) : written);
    }
    const [first] = bits.values();
    for (const [name, each] of bits) expect(each, name).toEqual(first);
    left.destroy();
    right.destroy();
  }
});

gpuTest(
  "productTextures: copies what is large enough, to textures that are used again",
  async () => {
    using gpu = await copying({ work: 64 ** 3, narrow: 64 });
    const plan = planOn(gpu, TEXTURES);
    if (!plan) return;
    let made = 0;
    const create = gpu.device.createTexture.bind(gpu.device);
    gpu.device.createTexture = (descriptor) => {
      made += 1;
      return create(descriptor);
    };
    const run = async (shape: { depth: number; rows: number; columns: number }, same = false) => {
      const p = problem(shape, "normal", shape.rows);
      const { left, right } = upload(gpu, p);
      const bits: Uint32Array[] = [];
      for (const each of [plan, FIXED_PLAN]) {
        setProductPlan(gpu, each);
        using out = new Guarded(gpu, "out", p.rows, p.columns);
        const buffers = { left, right: same ? left : right, out: out.matrix };
        await storeProduct(gpu, { buffers }, free);
        bits.push(await out.bits());
      }
      expect(bits[0], `${shape.depth} × ${shape.rows} × ${shape.columns}`).toEqual(bits[1]);
      left.destroy();
      right.destroy();
      return made;
    };
    expect(await run({ depth: 63, rows: 64, columns: 64 })).toBe(0);
    expect(await run({ depth: 80, rows: 63, columns: 64 })).toBe(0);
    expect(await run({ depth: 80, rows: 64, columns: 63 })).toBe(0);
    expect(await run({ depth: 64, rows: 64, columns: 64 }, true)).toBe(1);
    expect(await run({ depth: 64, rows: 64, columns: 64 })).toBe(2);
    expect(await run({ depth: 128, rows: 70, columns: 300 })).toBe(4);
    expect(await run({ depth: 100, rows: 100, columns: 64 })).toBe(4);
    // Of deep operands a slab at a time, all into the same textures.
    expect(await run({ depth: 1024, rows: 100, columns: 150 })).toBe(6);
    expect(await run({ depth: 2100, rows: 100, columns: 150 })).toBe(6);
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
  },
);

gpuTest("productTextures: columns that both operands begin with are copied once", async () => {
  using gpu = await copying({ work: 0, narrow: 1 });
  const plan = planOn(gpu, TEXTURES);
  if (!plan) return;
  const p = problem({ depth: 70, rows: 300, columns: 1 }, "normal", 3);
  const { left: both } = upload(gpu, p);
  const buffers = { left: both, right: both };
  const bitsOf = async (each: ProductPlan, part: Part) => {
    setProductPlan(gpu, each);
    using out = new Guarded(gpu, "part", part.rows, part.columns);
    await storeProduct(gpu, { buffers: { ...buffers, out: out.matrix }, part }, free);
    return await out.bits();
  };
  const create = gpu.device.createTexture.bind(gpu.device);
  let made = 0;
  gpu.device.createTexture = (descriptor) => {
    made += 1;
    return create(descriptor);
  };
  for (const [part, textures] of [
    [{ row: 32, column: 32, rows: 40, columns: 268 }, 1],
    [{ row: 32, column: 32, rows: 268, columns: 40 }, 1],
    [{ row: 16, column: 32, rows: 40, columns: 268 }, 2],
  ] as const) {
    expect(await bitsOf(plan, part)).toEqual(await bitsOf(FIXED_PLAN, part));
    expect(made, JSON.stringify(part)).toBe(textures);
  }
});

test("productTextures: for processors whose subgroups have eight lanes, and nobody else", () => {
  const sizes = (isFallbackAdapter: boolean, subgroupMinSize: number, ...features: string[]) => {
    const adapterInfo = { isFallbackAdapter, subgroupMinSize };
    const device = { features: new Set(features), adapterInfo } as unknown as GPUDevice;
    return textureClass().plans!(device);
  };
  expect(sizes(true, 8, "subgroups")).toEqual([{ LANES: 8, SUBGROUP: 8 }]);
  expect(sizes(true, 8)).toEqual([]);
  expect(sizes(true, 4, "subgroups")).toEqual([]);
  expect(sizes(true, 16, "subgroups")).toEqual([]);
  expect(sizes(false, 8, "subgroups")).toEqual([]);
});

gpuTest("productTextures: two products under way at once keep their copies apart", async () => {
  using gpu = await copying();
  const plan = planOn(gpu, TEXTURES);
  if (!plan) return;
  const shape = { depth: 130, rows: 100, columns: 90 };
  const both = [1, 2].map((index) => problem(shape, "normal", index));
  const bits: Uint32Array[][] = [];
  for (const each of [FIXED_PLAN, plan]) {
    setProductPlan(gpu, each);
    const outs = both.map(() => new Guarded(gpu, "out", shape.rows, shape.columns));
    const operands = both.map((p) => upload(gpu, p));
    await tileByTile(gpu, (meter) =>
      Promise.all(
        operands.map((pair, at) =>
          storeProduct(gpu, { buffers: { ...pair, out: outs[at].matrix } }, meter),
        ),
      ).then(() => {}),
    );
    bits.push(await Promise.all(outs.map((out) => out.bits())));
    outs.forEach((out) => out.matrix.destroy());
    operands.flatMap(Object.values).forEach((matrix) => matrix.destroy());
  }
  expect(bits[1]).toEqual(bits[0]);
});

for (const depth of [256, 4096])
  for (const kind of KINDS)
    gpuTest(
      `product: ${kind} sums of ${depth} are as good as two levels of blocks make them`,
      async (gpu) => {
        const p = problem({ depth, rows: 24, columns: 64 }, kind, depth);
        const { left, right } = upload(gpu, p);
        using out = new Guarded(gpu, "out", p.rows, p.columns);
        await storeProduct(gpu, { buffers: { left, right, out: out.matrix } }, free);
        const rho = 2 * (Math.sqrt(64) + Math.sqrt(depth / 64)) + 4;
        const bound = p.size.map((size) => rho * U * size);
        const { worst } = assertWithin(await out.read(), p.sum, bound, p.label);
        report(`product quality ${kind} ${depth}: ρ ${(rho * worst).toFixed(2)} of`, gpu, rho);
        left.destroy();
        right.destroy();
      },
    );

gpuTest(
  "productMatrix: other bits than the rest, but theirs where pieces do not hold a value",
  async (gpu) => {
    const plan = planOn(gpu, MATRIX);
    if (!plan) return;
    const before = productPlan(gpu);
    const shape = { depth: 300, rows: 70, columns: 131 };
    const wide = (values: Float32Array): Float32Array =>
      values.map((value, index) => value * 2 ** ((index % 5) * 16 - 32));
    try {
      setProductPlan(gpu, plan);
      const single = problem({ depth: 1, rows: 70, columns: 131 }, "normal", 6);
      const operands = upload(gpu, single);
      {
        using left = operands.left;
        using right = operands.right;
        using out = new Guarded(gpu, "out", single.rows, single.columns);
        await storeProduct(gpu, { buffers: { left, right, out: out.matrix } }, free);
        // Rounded once; what the pieces leave out is far less.
        const bound = single.size.map((size) => gamma(1.01, UW) * size);
        assertWithin(await out.read(), single.sum, bound, single.label);
      }
      for (const [kind, equal] of [
        ["normal", false],
        ["wide", true],
      ] as const) {
        const p = problem(shape, "normal", 5);
        const [a, b] = kind === "wide" ? [wide(p.left), wide(p.right)] : [p.left, p.right];
        using left = gpu.upload("left", p.depth, p.rows, a);
        using right = gpu.upload("right", p.depth, p.columns, b);
        const bits: Uint32Array[] = [];
        for (const each of [plan, FIXED_PLAN]) {
          setProductPlan(gpu, each);
          using out = new Guarded(gpu, "out", p.rows, p.columns);
          await storeProduct(gpu, { buffers: { left, right, out: out.matrix } }, free);
          bits.push(await out.bits());
        }
        expect(
          bits[0].every((value, at) => value === bits[1][at]),
          kind,
        ).toBe(equal);
      }
    } finally {
      setProductPlan(gpu, before);
    }
  },
);
