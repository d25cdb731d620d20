import { expect } from "vitest";
import { ACTIVATIONS, activationError } from "../../src/stages/0-activation.ts";
import { storeProduct } from "../../src/stages/0-product.ts";
import { activate } from "../../src/stages/1-forward.ts";
import { mask } from "../../src/stages/2-backward.ts";
import { add, hadamard } from "../../src/stages/3-gram.ts";
import type { Gpu } from "../../src/node.ts";
import { phi, phiPrime } from "../reference/activations.ts";
import { assertWithin, gamma, U, UW } from "../reference/compare.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, KINDS, report, sample, type Kind } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

/** Edges: a step of the loop and a block of sums; a row tile and the padding; vec4s, padding, lanes · 4, the pitch. */
const SHAPES = shapes(
  { depth: 19, rows: 11, columns: 21 },
  {
    depth: around([16, 64], [37, 257]),
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
  const sum = new Float64Array(rows * columns);
  const size = new Float64Array(rows * columns);
  for (let k = 0; k < depth; k++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const term = left[k * rows + i] * right[k * columns + j];
        sum[i * columns + j] += term;
        size[i * columns + j] += Math.abs(term);
      }
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

/** Roundings of a sum, as the header of product.wgsl counts them. */
const chain = (depth: number): number => Math.min(depth, 64) + Math.ceil(depth / 64) + 1;

const upload = (gpu: Gpu, { depth, rows, columns, left, right }: Problem) => ({
  left: gpu.upload("left", depth, rows, left),
  right: gpu.upload("right", depth, columns, right),
});

gpuTest("product, store: scale · sum + shift within the bound, padding zero", async (gpu) => {
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
  report("product store", gpu, worst);
});

gpuTest("product, add: out + scale · sum within the bound, padding zero", async (gpu) => {
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
  report("product add", gpu, worst);
});

gpuTest("product, hadamard: out + factor · scale · sum within the bound", async (gpu) => {
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
  report("product hadamard", gpu, worst);
});

const TANH = { ACTIVATION: ACTIVATIONS.indexOf("tanh"), SLOPE: 0.01 };

gpuTest("product, activate: z and φ(z) within their bounds, padding zero", async (gpu) => {
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
  report("product activate", gpu, worst);
});

gpuTest("product, mask: scale · sum · φ′(z) within the bound, padding zero", async (gpu) => {
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
  report("product mask", gpu, worst);
});

/** The product with dispatches of one strip of 16 rows each; returns how many there were. */
async function inStrips(gpu: Gpu, body: (meter: () => Promise<void>) => Promise<void>) {
  let strips = 0;
  Object.defineProperty(gpu.queue, "dispatchFlops", { value: 1, configurable: true });
  try {
    await body(async () => void (strips += 1));
  } finally {
    Reflect.deleteProperty(gpu.queue, "dispatchFlops");
  }
  return strips;
}

gpuTest("product: strips of 16 rows give the bits that one dispatch gives", async (gpu) => {
  for (const shape of [
    { depth: 200, rows: 53, columns: 53 },
    { depth: 65, rows: 64, columns: 64 },
  ]) {
    const p = problem(shape, "normal", 3);
    const { rows, columns } = p;
    const { left, right } = upload(gpu, p);
    const ones = new Float32Array(rows * columns).fill(1);
    using factor = gpu.upload("factor", rows, columns, sample("normal", rows * columns, 4));
    using z = gpu.upload("z", rows, columns, sample("normal", rows * columns, 5));
    using bias = gpu.upload("bias", 1, rows, sample("normal", rows, 6));
    for (const triangle of [false, true]) {
      const run = async (strips: number) => {
        using out = new Guarded(gpu, "out", rows, columns, ones);
        using more = new Guarded(gpu, "out", rows, columns, ones);
        const calls: ((meter: () => Promise<void>) => Promise<void>)[] = [
          (m) => storeProduct(gpu, { buffers: { left, right, out: out.matrix }, triangle }, m),
          (m) => add(gpu, { buffers: { left, right, out: out.matrix }, triangle }, m),
          (m) => hadamard(gpu, { buffers: { left, right, factor, out: out.matrix }, triangle }, m),
          (m) =>
            mask(gpu, { buffers: { left, right, z, out: more.matrix }, sizes: TANH, triangle }, m),
        ];
        const bits: Uint32Array[] = [];
        for (const call of calls) {
          if (strips > 1) expect(await inStrips(gpu, call)).toBe(strips);
          else await call(free);
          bits.push(await out.bits(), await more.bits());
        }
        using a = new Guarded(gpu, "a", rows, columns, ones);
        const buffers = { left, right, bias, z: more.matrix, a: a.matrix };
        const call = (m: () => Promise<void>) =>
          activate(gpu, { buffers, sizes: TANH, triangle }, m);
        if (strips > 1) expect(await inStrips(gpu, call)).toBe(strips);
        else await call(free);
        bits.push(await more.bits(), await a.bits());
        return bits;
      };
      const whole = await run(1);
      expect(await run(Math.ceil(rows / 16)), "in strips").toEqual(whole);
      expect(await run(1), "a second run").toEqual(whole);
    }
    left.destroy();
    right.destroy();
  }
});

gpuTest("product: triangle computes every entry with j ≤ i, and no group above", async (gpu) => {
  for (const n of [1, 8, 16, 63, 64, 65, 72, 129, 150, 257]) {
    const p = problem({ depth: 20, rows: n, columns: n }, "normal", n);
    const { left, right } = upload(gpu, p);
    using full = new Guarded(gpu, "full", n, n);
    using lower = new Guarded(gpu, "lower", n, n);
    await storeProduct(gpu, { buffers: { left, right, out: full.matrix } }, free);
    const triangle = { buffers: { left, right, out: lower.matrix }, triangle: true };
    await storeProduct(gpu, triangle, free);
    const all = await full.read();
    const group = (row: number, column: number) =>
      64 * Math.floor(column / 64) <= 8 * Math.floor(row / 8) + 7;
    const some = await lower.read(group);
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++)
        if (!(all[i * n + j] === some[i * n + j]))
          throw new Error(`n ${n}: [${i}, ${j}] is ${some[i * n + j]}, in full ${all[i * n + j]}`);
    left.destroy();
    right.destroy();
  }
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
