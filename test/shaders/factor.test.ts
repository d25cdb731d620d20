/** The parts of the blocked factorization: what a product leaves, a corner's factor, substitution, the way back. */
import { expect } from "vitest";
import {
  PRODUCT_CLASSES,
  productPlan,
  setProductPlan,
  type ProductPlan,
} from "../../src/stages/0-product.ts";
import { BLOCK, factor, reverse, schur, substitute } from "../../src/stages/4-factor.ts";
import { assertWithin, gamma, OMEGA, UW } from "../reference/compare.ts";
import { sums } from "../reference/product.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, padded, report, sample } from "./guarded.ts";
import { around } from "./sizes.ts";

const free = async () => {};

/** Upper triangular [n, n] with a diagonal that dominates by little: entries of one size, rows that matter. */
function triangle(n: number, seed: number): Float32Array<ArrayBuffer> {
  const values = sample("normal", n * n, seed);
  return values.map((value, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    if (i > j) return 0;
    return i === j ? 1 + Math.abs(value) : value / Math.sqrt(n);
  });
}

gpuTest("factor: a corner's factor, its pivots, and nothing else, at every size", async (gpu) => {
  let worst = 0;
  for (const rows of around([4, 8, 16, 32, 64], [61]).filter((size) => size <= BLOCK))
    for (const first of [0, 16, 48]) {
      const n = first + rows + (rows === BLOCK ? 37 : 0);
      const u = triangle(rows, rows);
      const { sum } = sums(u, u, rows, rows, rows);
      const given = Float32Array.from({ length: rows * n }, (_, at) => {
        const [i, j] = [Math.floor(at / n), (at % n) - first];
        // Below the diagonal lies what nobody may read.
        if (j < i) return 1e30;
        return j < rows ? sum[i * rows + j] : 3;
      });
      using block = gpu.upload("block", rows, n, given);
      using corner = new Guarded(gpu, "corner", BLOCK, BLOCK);
      using upper = new Guarded(gpu, "upper", n, n);
      using pivots = new Guarded(gpu, "pivots", 1, n);
      factor(gpu, {
        dims: { n, first, rows },
        buffers: { block, corner: corner.matrix, upper: upper.matrix, pivots: pivots.matrix },
        groups: [1],
        flops: 1,
      });
      const end = first + padded(rows);
      const mine = (i: number, j: number) => i >= first && i < end && j >= first && j < end;
      const whole = await upper.read(mine);
      const found = await corner.read();
      const own = await pivots.read((i, j) => i === 0 && mine(first, j));
      const label = `rows ${rows} from ${first}`;
      const kept = new Float32Array(rows * rows);
      for (let i = 0; i < BLOCK; i++)
        for (let j = 0; j < BLOCK; j++) {
          const value = found[i * BLOCK + j];
          if (i < rows && j < rows) {
            kept[i * rows + j] = value;
            expect(whole[(first + i) * n + first + j], label).toBe(value);
          } else expect(value, label).toBe(0);
          if (i > j) expect(value, label).toBe(0);
        }
      const back = sums(kept, kept, rows, rows, rows);
      const above = (values: Float64Array) =>
        values.filter((_, at) => at % rows >= Math.floor(at / rows));
      const exact = Float64Array.from(sum, (_, at) =>
        Math.fround(given[Math.floor(at / rows) * n + first + (at % rows)]),
      );
      const bound = back.size.map((size) => gamma(rows + 8, UW) * size + OMEGA * rows);
      worst = Math.max(
        worst,
        assertWithin(above(back.sum), above(exact), above(bound), label).worst,
      );
      for (let i = 0; i < rows; i++) {
        const square = kept[i * rows + i] ** 2;
        assertWithin([own[first + i]], [square], gamma(6, UW) * square, `${label}: pivot ${i}`);
      }
    }
  report("factor", gpu, worst);
});

gpuTest("substitute: a triangular system, around the edges of its loops and lanes", async (gpu) => {
  let worst = 0;
  const cases = [
    ...around([8, 16, 64], [61])
      .filter((size) => size <= BLOCK)
      .map((rows) => ({ rows, columns: 21, first: 16, columnFrom: 0, corner: 4 })),
    ...around([4, 8, 16, 64, 256], [61]).map((columns) => ({
      ...{ rows: 13, columns, first: 0, columnFrom: 0, corner: 0 },
    })),
    { rows: BLOCK, columns: 131, first: 64, columnFrom: 80, corner: 64 },
  ];
  for (const { rows, columns, first, columnFrom, corner: at } of cases) {
    const [outRows, cornerRows, cornerColumns] = [first + rows + 3, at + padded(rows), at + rows];
    const u = triangle(rows, columns + rows);
    const values = sample("normal", rows * columns, rows);
    const cornerValues = new Float32Array(cornerRows * cornerColumns).fill(7);
    for (let i = 0; i < rows; i++)
      cornerValues.set(u.subarray(i * rows, (i + 1) * rows), (at + i) * cornerColumns + at);
    using corner = gpu.upload("corner", cornerRows, cornerColumns, cornerValues);
    using block = gpu.upload("block", rows, columns, values);
    using out = new Guarded(gpu, "out", outRows, columns);
    const { LANES } = substitute.table.sizes;
    substitute(gpu, {
      dims: {
        ...{ cornerRows, cornerColumns, cornerRow: at, cornerColumn: at, outRows },
        ...{ columns, first, columnFrom, rows },
      },
      buffers: { corner, block, out: out.matrix },
      groups: [Math.ceil((padded(columns) - columnFrom) / 8 / LANES)],
      flops: 1,
    });
    const label = `rows ${rows}, columns ${columns} from ${columnFrom}`;
    // The rows beyond the last are padding only where the matrix ends there.
    const all = await readRows(out, first, rows, columnFrom);
    const width = columns - columnFrom;
    const x = Float32Array.from(
      { length: rows * width },
      (_, i) => all[(first + Math.floor(i / width)) * columns + columnFrom + (i % width)],
    );
    const { sum, size } = sums(u, x, rows, rows, width);
    const exact = Float64Array.from(
      sum,
      (_, i) => values[Math.floor(i / width) * columns + columnFrom + (i % width)],
    );
    const bound = size.map((each) => gamma(rows + 4, UW) * each + OMEGA * rows);
    worst = Math.max(worst, assertWithin(sum, exact, bound, label).worst);
  }
  report("substitute", gpu, worst);
});

/** What stands in rows `first` … after a substitution, which writes the block's rows rounded up to 16. */
async function readRows(out: Guarded, first: number, rows: number, from: number) {
  const bits = await out.bits((i, j) => i >= first && i < first + padded(rows) && j >= from);
  return new Float32Array(bits.buffer);
}

gpuTest(
  "schur: a block of rows of A + shift without a product, by every class, and no column before it",
  async (gpu) => {
    const before = productPlan(gpu);
    const plans: ProductPlan[] = (
      ["productRegisters", "productStaged", "productStagedWide", "productBroadcast"] as const
    )
      .filter((name) => name !== "productBroadcast" || gpu.subgroupLanes >= 4)
      .map((name) => ({ class: name, sizes: PRODUCT_CLASSES[name].sizes, groups: 1 }));
    let worst = 0;
    try {
      for (const plan of plans)
        for (const [n, columns, depth, row, rows, column] of [
          [1, 1, 1, 0, 1, 0],
          [40, 40, 16, 16, 24, 16],
          [97, 97, 64, 64, 33, 64],
          [200, 200, 128, 128, 64, 128],
          [97, 5, 64, 64, 33, 0],
          [130, 259, 64, 64, 64, 0],
        ] as const) {
          setProductPlan(gpu, plan);
          const leftValues = sample("normal", depth * n, 3);
          const rightValues = sample("normal", depth * columns, 4);
          const a = sample("uniform", n * columns, 5);
          using left = gpu.upload("left", depth, n, leftValues);
          using right = gpu.upload("right", depth, columns, rightValues);
          using matrix = gpu.upload("matrix", n, columns, a);
          using out = new Guarded(gpu, "out", rows, columns);
          const part = { row, column, rows, columns: columns - column };
          const shift = 0.3;
          await schur(
            gpu,
            { buffers: { left, right, matrix, out: out.matrix }, part, shift, split: false },
            free,
          );
          const found = await out.read((_, j) => j >= column);
          const { sum, size } = sums(leftValues, rightValues, depth, n, columns);
          const label = `${plan.class} ${n} × ${columns} − ${depth}, row ${row}`;
          const chain =
            1 + Math.min(depth, 64) + Math.min(Math.ceil(depth / 64), 16) + Math.ceil(depth / 1024);
          const [got, exact, bound]: number[][] = [[], [], []];
          for (let i = 0; i < rows; i++)
            for (let j = column; j < columns; j++) {
              const at = (row + i) * columns + j;
              const given = a[at] + (row + i === j ? Math.fround(shift) : 0);
              got.push(found[i * columns + j]);
              exact.push(given - sum[at]);
              bound.push(gamma(2, UW) * Math.abs(given) + gamma(chain + 1, UW) * size[at] + OMEGA);
            }
          worst = Math.max(worst, assertWithin(got, exact, bound, label).worst);
        }
    } finally {
      setProductPlan(gpu, before);
    }
    report("schur", gpu, worst);
  },
);

gpuTest("reverse: both axes from their ends, to the bit", async (gpu) => {
  for (const [rows, columns] of [
    ...around([16, 64], [37]).map((size) => [size, 5]),
    ...around([4, 16, 64, 256], [61]).map((size) => [3, size]),
  ]) {
    const values = sample("normal", rows * columns, rows);
    using matrix = gpu.upload("matrix", rows, columns, values);
    using out = new Guarded(gpu, "out", rows, columns);
    reverse(gpu, {
      dims: { rows, columns },
      buffers: { matrix, out: out.matrix },
      groups: [Math.ceil(padded(columns) / 64), padded(rows)],
      flops: 1,
    });
    assertWithin(await out.read(), values.slice().reverse(), 0, `${rows} × ${columns}`);
  }
});
