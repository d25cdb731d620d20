import { expect } from "vitest";
import { pitch } from "../../src/gpu/matrix.ts";
import { finite } from "../../src/stages/0-finite.ts";
import { kinks } from "../../src/stages/1-kinks.ts";
import { mirror } from "../../src/stages/3-gram.ts";
import { turn } from "../../src/stages/2-tangent.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, random, sample } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

const MIRROR_SIZES = around([4, 16, 64, 256], [61, 241]);

gpuTest("mirror: both triangles hold the lower one's bits", async (gpu) => {
  for (const n of MIRROR_SIZES) {
    const lower = sample("normal", n * n, n).map((value, at) =>
      at % n > Math.floor(at / n) ? NaN : value,
    );
    using matrix = new Guarded(gpu, "matrix", n, n, lower);
    mirror(gpu, {
      dims: { n },
      buffers: { matrix: matrix.matrix },
      groups: [Math.ceil(n / 256), 4 * Math.ceil(n / 16)],
      flops: 1,
    });
    const bits = await matrix.bits((row, column) => column > row && column < n && row < n);
    const from = new Uint32Array(lower.buffer);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++)
        if (bits[i * n + j] !== from[Math.max(i, j) * n + Math.min(i, j)])
          throw new Error(`n ${n}: [${i}, ${j}] does not hold the bits of the lower triangle`);
  }
});

/** NaN of both kinds and signs, both infinities. */
const NOT_FINITE = [0x7fc0_0000, 0x7f80_0001, 0xffff_ffff, 0x7f80_0000, 0xff80_0000];
/** Finite numbers that might be taken for others: the largest, subnormal, −0. */
const FINITE = [0x7f7f_ffff, 0xff7f_ffff, 0x0000_0001, 0x807f_ffff, 0x8000_0000, 0, 0x4120_0000];

const FINITE_SHAPES = shapes(
  { rows: 7, columns: 21 },
  {
    // 256 rows of 64 columns are what one workgroup looks at.
    rows: around([16, 64, 256], [61]),
    columns: around([4, 16, 64, 256], [61, 241]),
  },
  20,
);

gpuTest("turn: every value on its side, padding zero", async (gpu) => {
  for (const { rows, columns } of FINITE_SHAPES) {
    const values = sample("normal", rows * columns, rows);
    using matrix = gpu.upload("matrix", rows, columns, values);
    using out = new Guarded(gpu, "out", columns, rows);
    turn(gpu, {
      dims: { rows, columns },
      buffers: { matrix, out: out.matrix },
      groups: [Math.ceil(columns / 64), 4 * Math.ceil(rows / 16)],
      flops: 1,
    });
    const got = await out.read();
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++)
        if (!Object.is(got[j * rows + i], values[i * columns + j]))
          throw new Error(`${rows} × ${columns}: [${i}, ${j}] is ${got[j * rows + i]}`);
  }
});

gpuTest(
  "finite: counts NaN and infinity, finds the first place and the largest rest",
  async (gpu) => {
    const next = random(5);
    const born = [0, 0, 0];
    for (const { rows, columns } of FINITE_SHAPES) {
      const size = rows * columns;
      const some = Array.from({ length: 5 }, () => Math.floor(next() * size));
      for (const bad of [[], [0], [size - 1], some, Array.from({ length: size }, (_, at) => at)]) {
        const bits = new Uint32Array(sample("normal", size, size).buffer);
        for (let i = 0; i < 5; i++) bits[Math.floor(next() * size)] = FINITE[(i + size) % 7];
        bad.forEach((at, i) => (bits[at] = NOT_FINITE[i % 5]));
        using matrix = new Guarded(gpu, "matrix", rows, columns, new Float32Array(bits.buffer));
        const start = new Uint32Array([...born, ...born, ...born]);
        using found = new Guarded(gpu, "found", 3, 3, new Float32Array(start.buffer));
        finite(gpu, {
          dims: { rows, columns, slots: 3, slot: 1 },
          buffers: { matrix: matrix.matrix, found: found.matrix },
          groups: [Math.ceil(matrix.matrix.bytes / 16 / 64 / 64)],
          flops: 1,
        });
        const isBad = bits.map((value) => ((value & 0x7f800000) === 0x7f800000 ? 1 : 0));
        const first = isBad.indexOf(1);
        const place = Math.floor(first / columns) * pitch(columns) + (first % columns);
        const largest = bits.reduce(
          (most, value, at) => (isBad[at] ? most : Math.max(most, value & 0x7fffffff)),
          0,
        );
        const count = isBad.reduce((sum, one) => sum + one, 0);
        const got = await found.bits((row, column) => row === 1 && column < 3);
        expect(Array.from(got), `${rows} × ${columns}, ${bad.length} not finite`).toEqual([
          ...born,
          ...[count, first < 0 ? 0 : 0xffffffff - place, largest],
          ...born,
        ]);
      }
    }
  },
);

gpuTest(
  "kinks: lists every z within reach of 0, none else, and counts what has no place",
  async (gpu) => {
    for (const [index, { rows, columns }] of FINITE_SHAPES.entries()) {
      const near = Math.fround(0.05);
      const values = sample("normal", rows * columns, index);
      // On the border, beside it, and 0 itself.
      [near, -near, Math.fround(near * (1 + 2 ** -23)), 0, -0, 1e-30].forEach((value, i) => {
        values[(7 * i) % values.length] = value;
      });
      const expected = Array.from(values.keys())
        .filter((at) => Math.abs(values[at]) <= near)
        .map((at) => 2 * at + Number(values[at] > 0));
      using z = new Guarded(gpu, "z", rows, columns, values);
      const groups = Math.ceil(z.matrix.bytes / 16 / 64);
      const across = index % 2 === 0 ? groups : Math.ceil(groups / 3);
      for (const capacity of [1, Math.max(1, expected.length), expected.length + 17]) {
        using found = new Guarded(gpu, "found", 1, capacity, new Float32Array(capacity));
        kinks(gpu, {
          dims: { rows, columns, slots: 1, capacity, slot: 0, near },
          buffers: { z: z.matrix, found: found.matrix },
          groups: [across, Math.ceil(groups / across)],
          flops: 1,
        });
        const [count, ...list] = await found.bits((row, column) => row === 0 && column < capacity);
        const label = `${rows} × ${columns}, capacity ${capacity}`;
        expect(count, label).toBe(expected.length);
        const listed = list.slice(0, Math.min(count, capacity - 1));
        expect(new Set(listed).size, label).toBe(listed.length);
        if (capacity > count)
          expect(
            listed.sort((a, b) => a - b),
            label,
          ).toEqual(expected);
        else
          expect(
            listed.filter((at) => !expected.includes(at)),
            label,
          ).toEqual([]);
        expect(
          list.slice(listed.length).every((at) => at === 0),
          label,
        ).toBe(true);
      }
    }
  },
);
