/** Division of a tridiagonal matrix, and the dense solver that stands on it: residuals, orthogonality, values. */
import { describe, expect, test } from "vitest";
import { denseEigen } from "../../src/stages/4-dense.ts";
import { dividedEigen } from "../../src/stages/4-divide.ts";
import { tridiagonalEigen, type Tridiagonal } from "../../src/stages/4-tridiagonal.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { normals, uniforms } from "../reference/eigen.ts";

const U64 = 2 ** -53;
const ORDERS = [1, 2, 3, 31, 32, 33, 64, 65, 127, 200, 256];
const turn = async () => {};

type Entry = (i: number, m: number) => number;
const made = (m: number, diagonal: Entry, beside: Entry): Tridiagonal => ({
  diagonal: Float64Array.from({ length: m }, (_, i) => diagonal(i, m)),
  beside: Float64Array.from({ length: m - 1 }, (_, i) => beside(i, m)),
});
const draw = uniforms(11);
const wilkinson = (glue: number): [Entry, Entry] => [
  (i) => Math.abs((i % 21) - 10),
  (i) => (i % 21 === 20 ? glue : 1),
];
const grade: Entry = (i, m) => 10 ** ((-24 * i) / m);
const KINDS: Record<string, [Entry, Entry]> = {
  random: [() => 2 * draw() - 1, () => draw() - 0.5],
  zero: [() => 0, () => 0],
  "the identity": [() => 1, () => 0],
  diagonal: [() => draw(), () => 0],
  "zero on the diagonal": [() => 0, () => 1],
  "the second difference": [() => 2, () => -1],
  "Wilkinson's": [(i, m) => Math.abs(i - (m - 1) / 2), () => 1],
  "Wilkinson's of order 21, glued": wilkinson(1e-8),
  "Wilkinson's of order 21, hardly glued": wilkinson(1e-14),
  "one cluster": [() => 1 + 1e-10 * draw(), () => 1e-11 * draw()],
  "a cluster closer than rounding": [() => 1 + 1e-14 * draw(), () => 1e-15 * draw()],
  "blocks of order 2, all alike": [() => 1, (i) => (i % 2 ? 0 : 2)],
  "three values over and over": [(i) => i % 3, (i) => (i % 50 === 49 ? 1 : 0)],
  "rank a third": [(i, m) => (i < m / 3 ? 2 : 0), (i, m) => (i + 1 < m / 3 ? draw() : 0)],
  "graded over 24 decades": [grade, (i, m) => grade(i, m) / 3],
  "graded upward": [(i, m) => grade(m - i, m), (i, m) => grade(m - i, m) / 3],
  "a half 90 decades below": [
    (i, m) => draw() * (2 * i < m ? 1 : 1e-90),
    (i, m) => draw() * (2 * i < m ? 1 : 1e-90),
  ],
  "entries of all sizes": [() => 10 ** (-20 * draw()), () => 10 ** (-20 * draw())],
  "Clement's": [() => 0, (i, m) => Math.sqrt((i + 1) * (m - 1 - i))],
  "Laguerre's": [(i) => 2 * i + 1, (i) => i + 1],
};

/** Largest ‖A v − λ v‖, and ‖V Vᵀ − 1‖_F. */
function judged(
  times: (v: Float64Array, row: number) => number,
  values: Float64Array,
  vectors: Float64Array,
): { residual: number; off: number } {
  const n = values.length;
  expect(vectors).toHaveLength(n * n);
  let residual = 0;
  let off = 0;
  for (let i = 0; i < n; i++) {
    const v = vectors.subarray(i * n, (i + 1) * n);
    residual = Math.max(
      residual,
      Math.hypot(...v.map((entry, row) => times(v, row) - values[i] * entry)),
    );
    for (let j = 0; j <= i; j++) {
      let dot = i === j ? -1 : 0;
      for (let k = 0; k < n; k++) dot += v[k] * vectors[j * n + k];
      off += (i === j ? 1 : 2) * dot * dot;
    }
  }
  return { residual, off: Math.sqrt(off) };
}

const isDescending = (values: Float64Array): boolean =>
  values.every((value, i) => i === 0 || value <= values[i - 1]);

describe("dividedEigen", () => {
  test.each(Object.entries(KINDS))(
    "%s of each order has the values that QL finds, and orthonormal vectors",
    async (kind, [diagonal, beside]) => {
      for (const m of ORDERS) {
        const t = made(m, diagonal, beside);
        const { values, vectors } = await dividedEigen(t, turn);
        const right = tridiagonalEigen(t).values;
        const size = Math.max(Math.abs(right[0]), Math.abs(right[m - 1]));
        const label = `${kind}, order ${m}`;
        assertWithin(values, right, 2 * m * U64 * size, label);
        expect(isDescending(values), label).toBe(true);
        const { residual, off } = judged(
          (v, i) =>
            (i > 0 ? t.beside[i - 1] * v[i - 1] : 0) +
            t.diagonal[i] * v[i] +
            (i + 1 < m ? t.beside[i] * v[i + 1] : 0),
          values,
          vectors,
        );
        assertWithin([residual], [0], 4 * m * U64 * size, `${label}: residual`);
        assertWithin([off], [0], 16 * m * U64, `${label}: orthogonality`);
      }
    },
  );

  test("the second difference of order n has eigenvalues 2 + 2 cos(kπ / (n + 1))", async () => {
    for (const m of ORDERS) {
      const { values } = await dividedEigen(made(m, ...KINDS["the second difference"]), turn);
      const exact = values.map((_, k) => 2 + 2 * Math.cos(((k + 1) * Math.PI) / (m + 1)));
      assertWithin(values, exact, (m + 8) * U64 * 4, `order ${m}`);
    }
  });

  test("a power of two scales the values and leaves the vectors, to the bit", async () => {
    const t = made(100, ...KINDS.random);
    const { values, vectors } = await dividedEigen(t, turn);
    for (const power of [2 ** 990, 2 ** -600]) {
      const scaled = await dividedEigen(
        {
          diagonal: t.diagonal.map((value) => value * power),
          beside: t.beside.map((value) => value * power),
        },
        turn,
      );
      expect(scaled.values).toEqual(values.map((value) => value * power));
      expect(scaled.vectors).toEqual(vectors);
    }
  });

  test("what is no number ends, and is not taken for one", async () => {
    for (const at of [0, 63, 64, 99])
      for (const part of ["diagonal", "beside"] as const) {
        const t = made(101, ...KINDS.random);
        t[part][at] = NaN;
        const { values } = await dividedEigen(t, turn);
        expect(values.some(Number.isNaN)).toBe(true);
      }
  });
});

describe("denseEigen", () => {
  const kinds: Record<string, (n: number, x: Float64Array) => (i: number, j: number) => number> = {
    indefinite: (n, x) => (i, j) => x[i * n + j],
    "rank 3": (n, x) => (i, j) => x[i] * x[j] + x[n + i] * x[n + j] + x[2 * n + i] * x[2 * n + j],
    "the identity and rank 1": (_, x) => (i, j) => (i === j ? 1 : 0) + x[i] * x[j],
    "smooth, of falling values": (n) => (i, j) => Math.exp(-(((4 * (i - j)) / n) ** 2)),
    "rows in threes": (_, x) => (i, j) => x[Math.floor(i / 3)] * x[Math.floor(j / 3)],
    diagonal: (_, x) => (i, j) => (i === j ? Math.round(x[i]) : 0),
    "in part diagonal": (n, x) => (i, j) => (i === j || (i > 20 && i < 40) ? x[i * n + j] : 0),
    zero: () => () => 0,
    ones: () => () => 1,
  };
  for (const [kind, make] of Object.entries(kinds))
    gpuTest(`${kind}: residuals and orthogonality, around the edges of a block`, async (gpu) => {
      for (const n of [...ORDERS, 34, 35, 36, 97]) {
        const entry = make(n, Float64Array.from(normals(n, n * n + 3 * n)));
        const a = Float64Array.from({ length: n * n }, (_, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          return entry(Math.max(i, j), Math.min(i, j));
        });
        const { values, vectors } = await denseEigen(gpu, a, n);
        const size = Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
        expect(isDescending(values)).toBe(true);
        const { residual, off } = judged(
          (v, i) => {
            let sum = 0;
            for (let k = 0; k < n; k++) sum += a[i * n + k] * v[k];
            return sum;
          },
          values,
          vectors,
        );
        assertWithin([residual], [0], 4 * n * U64 * size, `order ${n}: residual`);
        assertWithin([off], [0], 16 * n * U64, `order ${n}: orthogonality`);
        const trace = a.reduce((sum, value, at) => sum + (at % (n + 1) === 0 ? value : 0), 0);
        const sum = values.reduce((total, value) => total + value, 0);
        assertWithin([sum], [trace], 4 * n * n * U64 * size, `order ${n}: trace`);
      }
    });
});
