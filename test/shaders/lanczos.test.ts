import type { Gpu } from "../../src/node.ts";
import { collapse, gather, multiply, project, scale, subtract } from "../../src/stages/4-step.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, KINDS, padded, random, report, sample, type Kind } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

/** Edges of n: vec4s, padding, lanes · 4 and blocks of 64, chunks of 256 and the pitch; of the basis: lanes, padding. */
const N = around([4, 16, 64, 256], [61, 241]);
const VECTORS = around([16, 64], [2, 37, 255, 256, 257]);

interface Case {
  readonly n: number;
  /** At least 2: steps have a vector before and one after. */
  readonly vectors: number;
  readonly step: number;
  readonly blocks: number;
  readonly lanes: number;
  readonly parts: number;
  readonly chunks: number;
  readonly kind: Kind;
  readonly index: number;
  readonly label: string;
}

const next = random(11);
const cases = casesOf(shapes({ n: 21, vectors: 5 }, { n: N, vectors: VECTORS }, 20));
/** Of a product with the matrix: more than one strip of 1024 columns too. */
const products = [
  ...casesOf([1023, 1024, 1025, 1087, 2049].map((n) => ({ n, vectors: 2 }))),
  ...cases,
];

function casesOf(all: readonly { n: number; vectors: number }[]): Case[] {
  return all
    .flatMap(({ n, vectors }) => KINDS.map((kind) => ({ n, vectors: Math.max(2, vectors), kind })))
    .map((each, index) => {
      const { n, vectors } = each;
      // The last step, the first, or any.
      const step = [vectors - 2, 0, Math.floor(next() * (vectors - 1))][index % 3];
      const [blocks, chunks] = [Math.ceil(n / 64), Math.ceil(n / 256)];
      const lanes = [8, 16, 32][(index >> 1) % 3];
      const parts = blocks + lanes * Math.ceil(n / 1024);
      const label = JSON.stringify({ ...each, step, lanes });
      return { ...each, step, blocks, lanes, parts, chunks, index, label };
    });
}

/** Runs every case; `body` returns error ÷ bound. */
async function worstOf(
  gpu: Gpu,
  name: string,
  body: (each: Case) => Promise<number>,
  over = cases,
) {
  let worst = 0;
  for (const each of over) worst = Math.max(worst, await body(each));
  report(name, gpu, worst);
}

/** Σ and Σ |·| of the terms `term(i, k)`, k from `from` to before `to(i)`. */
function sums(
  count: number,
  terms: (i: number) => [number, number],
  term: (i: number, k: number) => number,
) {
  const sum = new Float64Array(count);
  const size = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [from, to] = terms(i);
    for (let k = from; k < to; k++) {
      sum[i] += term(i, k);
      size[i] += Math.abs(term(i, k));
    }
  }
  return { sum, size };
}

/** Whether `multiply` leaves a sum at [row, i] of its parts, and `gather` reads it. */
const isPart = ({ blocks, lanes, parts }: Case, row: number, i: number): boolean =>
  row < blocks ? i < 64 * (row + 1) : row < parts && i >= 1024 * Math.floor((row - blocks) / lanes);

gpuTest("multiply: a block's or a lane's share of matrix times vector is within γ(36)", (gpu) =>
  worstOf(
    gpu,
    "multiply",
    async (each) => {
      const { n, vectors, step, blocks, lanes, parts, kind, index, label } = each;
      const entries = sample(kind, n * n, 2 * index);
      for (let i = 0; i < n; i++)
        for (let j = i + 1; j < n; j++)
          // Above the tiles of the diagonal nothing is read.
          entries[i * n + j] = i >> 6 === j >> 6 ? entries[j * n + i] : 1e30;
      const rows = sample(kind, vectors * n, 2 * index + 1);
      using matrix = gpu.upload("matrix", n, n, entries);
      using basis = gpu.upload("basis", vectors, n, rows);
      using partial = new Guarded(gpu, "partial", parts, n);
      multiply(gpu, {
        dims: { n, vectors, blocks, parts, step },
        buffers: { matrix, basis, partial: partial.matrix },
        groups: [Math.ceil(n / 1024), blocks],
        flops: 1,
        sizes: { LANES: lanes },
      });
      const sum = new Float64Array(parts * n);
      const size = new Float64Array(parts * n);
      const add = (at: number, term: number) => {
        sum[at] += term;
        size[at] += Math.abs(term);
      };
      for (let i = 0; i < n; i++)
        for (let j = 0; j < Math.min(n, 64 * ((i >> 6) + 1)); j++) {
          const entry = entries[i * n + j];
          add((i >> 6) * n + j, entry * rows[step * n + i]);
          const beside = blocks + lanes * (j >> 10) + ((j >> 2) % lanes);
          if (j >> 6 < i >> 6) add(beside * n + i, entry * rows[step * n + j]);
        }
      const found = await partial.read((row, i) => isPart(each, row, i));
      const values = found.map((value, at) =>
        isPart(each, Math.floor(at / n), at % n) ? value : 0,
      );
      const bound = size.map((value) => gamma(36, UW) * value);
      return assertWithin(values, sum, bound, label).worst;
    },
    products,
  ),
);

gpuTest("gather: the next vector is the sum of its parts, within γ(64 + ⌈parts / 64⌉)", (gpu) =>
  worstOf(
    gpu,
    "gather",
    async (each) => {
      const { n, vectors, step, blocks, lanes, parts, kind, index, label } = each;
      const shares = sample(kind, parts * n, index);
      for (let at = 0; at < shares.length; at++)
        if (!isPart(each, Math.floor(at / n), at % n)) shares[at] = 1e30;
      const power = [1, 0.5, 2 ** -20][index % 3];
      using partial = gpu.upload("partial", parts, n, shares);
      using basis = new Guarded(gpu, "basis", vectors, n);
      gather(gpu, {
        dims: { n, vectors, blocks, parts, lanes, step, scale: power },
        buffers: { partial, basis: basis.matrix },
        groups: [Math.ceil(padded(n) / 4 / 16)],
        flops: 1,
      });
      const { sum, size } = sums(
        n,
        () => [0, parts],
        (i, b) => (isPart(each, b, i) ? power * shares[b * n + i] : 0),
      );
      const bound = size.map((value) => gamma(64 + Math.ceil(parts / 64), UW) * value);
      const values = await basis.read((row) => row === step + 1);
      const row = values.subarray((step + 1) * n, (step + 2) * n);
      return assertWithin(row, sum, bound, label).worst;
    },
    products,
  ),
);

gpuTest("project: a chunk's share of an inner product is within γ(67)", (gpu) =>
  worstOf(gpu, "project", async ({ n, vectors, step, chunks, kind, index, label }) => {
    const rows = sample(kind, vectors * n, index);
    // Against all before, against itself, or against some.
    const [first, last] = [
      [0, step],
      [step + 1, step + 1],
      [Math.floor(step / 2), step + 1],
    ][index % 3];
    using basis = gpu.upload("basis", vectors, n, rows);
    using dots = new Guarded(gpu, "dots", chunks, vectors);
    project(gpu, {
      dims: { n, vectors, chunks, step, first, last },
      buffers: { basis, dots: dots.matrix },
      groups: [Math.ceil((last - first + 1) / 64), chunks],
      flops: 1,
    });
    const count = last - first + 1;
    const { sum, size } = sums(
      chunks * count,
      (at) => {
        const start = 256 * Math.floor(at / count);
        return [start, Math.min(n, start + 256)];
      },
      (at, i) => rows[(first + (at % count)) * n + i] * rows[(step + 1) * n + i],
    );
    const written = (row: number, column: number) =>
      row < chunks && column >= first && column <= last;
    const all = await dots.read(written);
    const values = sum.map((_, at) => all[Math.floor(at / count) * vectors + first + (at % count)]);
    const bound = size.map((value) => gamma(67, UW) * value);
    return assertWithin(values, sum, bound, label).worst;
  }),
);

gpuTest("collapse: inner products are the sums of their chunks, the last of them is α", (gpu) =>
  worstOf(gpu, "collapse", async ({ vectors, step, chunks, kind, index, label }) => {
    const shares = sample(kind, chunks * vectors, index);
    const before = sample(kind, 2 * vectors, index + 1);
    using dots = gpu.upload("dots", chunks, vectors, shares);
    let worst = 0;
    for (const round of [0, 1]) {
      using weights = new Guarded(gpu, "weights", 1, vectors);
      using tridiagonal = new Guarded(gpu, "tridiagonal", 2, vectors, before);
      collapse(gpu, {
        dims: { vectors, chunks, step, round },
        buffers: { dots, weights: weights.matrix, tridiagonal: tridiagonal.matrix },
        groups: [Math.ceil((step + 1) / 64)],
        flops: 1,
      });
      const { sum, size } = sums(
        step + 1,
        () => [0, chunks],
        (j, c) => shares[c * vectors + j],
      );
      const own = (await weights.read((row, j) => row === 0 && j <= step)).subarray(0, step + 1);
      const bound = size.map((value) => gamma(chunks, UW) * value);
      worst = Math.max(worst, assertWithin(own, sum, bound, label).worst);
      // α from the weight as it was rounded: that very one, or one addition more.
      const alpha = (await tridiagonal.read((row, j) => row === 0 && j === step))[step];
      const exact = own[step] + (round === 0 ? 0 : before[step]);
      const off = round === 0 ? 0 : UW * Math.abs(exact);
      worst = Math.max(worst, assertWithin([alpha], [exact], off, `${label}: α`).worst);
    }
    return worst;
  }),
);

gpuTest("subtract: the components along the basis are gone from the newest vector alone", (gpu) =>
  worstOf(gpu, "subtract", async ({ n, vectors, step, kind, index, label }) => {
    const rows = sample(kind, vectors * n, 2 * index);
    const factors = sample(kind, vectors, 2 * index + 1);
    using weights = gpu.upload("weights", 1, vectors, factors);
    using basis = new Guarded(gpu, "basis", vectors, n, rows);
    subtract(gpu, {
      dims: { n, vectors, step },
      buffers: { weights, basis: basis.matrix },
      groups: [Math.ceil(padded(n) / 4 / 16)],
      flops: 1,
    });
    const { sum, size } = sums(
      n,
      () => [0, step + 1],
      (i, j) => factors[j] * rows[j * n + i],
    );
    const exact = sum.map((value, i) => rows[(step + 1) * n + i] - value);
    const k = 64 + Math.ceil((step + 1) / 64);
    const bound = size.map((value, i) => {
      const off = gamma(k, UW) * value;
      return off + UW * (Math.abs(exact[i]) + off);
    });
    const values = await basis.read((row) => row === step + 1);
    return assertWithin(values.subarray((step + 1) * n, (step + 2) * n), exact, bound, label).worst;
  }),
);

gpuTest("scale: the newest vector is divided by β = √Σ dots, or is 0 where β is", (gpu) =>
  worstOf(gpu, "scale", async ({ n, vectors, step, chunks, kind, index, label }) => {
    const rows = sample(kind, vectors * n, 2 * index);
    const empty = index % 5 === 4;
    const squares = sample("uniform", chunks * vectors, 2 * index + 1).map((value) =>
      empty ? 0 : value * 100,
    );
    using dots = gpu.upload("dots", chunks, vectors, squares);
    using basis = new Guarded(gpu, "basis", vectors, n, rows);
    using tridiagonal = new Guarded(gpu, "tridiagonal", 2, vectors);
    scale(gpu, {
      dims: { n, vectors, chunks, step },
      buffers: { dots, basis: basis.matrix, tridiagonal: tridiagonal.matrix },
      groups: [Math.ceil(padded(n) / 4 / 64)],
      flops: 1,
    });
    let square = 0;
    for (let c = 0; c < chunks; c++) square += squares[c * vectors + step + 1];
    const beta = Math.sqrt(square);
    const t = await tridiagonal.read((row, column) => row === 1 && column === step);
    const betaBound = gamma(chunks / 2 + 5, UW) * beta;
    const { worst } = assertWithin([t[vectors + step]], [beta], betaBound, `${label}: β`);
    const exact = Float64Array.from(rows.subarray((step + 1) * n, (step + 2) * n), (value) =>
      empty ? 0 : value / beta,
    );
    const bound = exact.map((value) => gamma(chunks / 2 + 8, UW) * Math.abs(value));
    const all = await basis.read((row) => row === step + 1);
    const values = all.subarray((step + 1) * n, (step + 2) * n);
    return Math.max(worst, assertWithin(values, exact, bound, label).worst);
  }),
);
