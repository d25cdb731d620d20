import { expect, test } from "vitest";
import {
  tridiagonalEigen,
  tridiagonalVectors,
  type Tridiagonal,
} from "../../src/stages/4-tridiagonal.ts";
import { eigenvalues, uniforms } from "../reference/eigen.ts";
import { assertWithin } from "../reference/compare.ts";

const EPSILON = 2 ** -52;

function dense({ diagonal, beside }: Tridiagonal): Float64Array {
  const m = diagonal.length;
  const full = new Float64Array(m * m);
  diagonal.forEach((value, i) => (full[i * m + i] = value));
  for (let i = 0; i + 1 < m; i++) full[i * m + i + 1] = full[(i + 1) * m + i] = beside[i];
  return full;
}

const made = (m: number, diagonal: (i: number) => number, beside: (i: number) => number) => ({
  diagonal: Float64Array.from({ length: m }, (_, i) => diagonal(i)),
  beside: Float64Array.from({ length: m }, (_, i) => beside(i)),
});
const random = (m: number, seed: number): Tridiagonal => {
  const draw = uniforms(seed);
  return made(
    m,
    () => 2 * draw() - 1,
    () => draw(),
  );
};
const cases: [string, Tridiagonal][] = [
  ...[1, 2, 3, 16, 65, 128].map((m): [string, Tridiagonal] => [
    `random of order ${m}`,
    random(m, m),
  ]),
  [
    "the identity",
    made(
      20,
      () => 1,
      () => 0,
    ),
  ],
  [
    "zero",
    made(
      7,
      () => 0,
      () => 0,
    ),
  ],
  [
    "split into blocks",
    made(
      60,
      (i) => Math.sin(i),
      (i) => (i % 7 === 6 ? 0 : 1),
    ),
  ],
  [
    "graded over 24 decades",
    made(
      25,
      (i) => 10 ** -i,
      (i) => 10 ** -i / 3,
    ),
  ],
  [
    "Wilkinson's, with pairs closer than rounding",
    made(
      21,
      (i) => Math.abs(i - 10),
      () => 1,
    ),
  ],
];

test.each(cases)(
  "tridiagonalEigen: %s has the eigenvalues that the dense reference finds",
  (_, t) => {
    const m = t.diagonal.length;
    const norm = Math.max(...t.diagonal.map(Math.abs)) + 2 * Math.max(0, ...t.beside.map(Math.abs));
    const { values } = tridiagonalEigen(t);
    assertWithin(values, eigenvalues(dense(t), m), 8 * m * EPSILON * norm, "eigenvalues");
  },
);

test("tridiagonalEigen: the second difference of order 100 has eigenvalues 2 + 2 cos(kπ / 101)", () => {
  const { values } = tridiagonalEigen(
    made(
      100,
      () => 2,
      () => -1,
    ),
  );
  const exact = values.map((__, k) => 2 + 2 * Math.cos(((k + 1) * Math.PI) / 101));
  assertWithin(values, exact, 100 * EPSILON * 4, "eigenvalues");
});

test.each(cases)("tridiagonalVectors: those of %s solve it and are orthonormal", (_, t) => {
  const m = t.diagonal.length;
  const full = dense(t);
  const norm = Math.max(...t.diagonal.map(Math.abs)) + 2 * Math.max(0, ...t.beside.map(Math.abs));
  const { values, last } = tridiagonalEigen(t);
  const v = tridiagonalVectors(t, values);
  const bound = 64 * m * EPSILON;
  for (let k = 0; k < m; k++) {
    for (let i = 0; i < m; i++) {
      let image = 0;
      for (let j = 0; j < m; j++) image += full[i * m + j] * v[k * m + j];
      expect(Math.abs(image - values[k] * v[k * m + i])).toBeLessThanOrEqual(bound * norm);
    }
    for (let other = 0; other <= k; other++) {
      let dot = 0;
      for (let i = 0; i < m; i++) dot += v[k * m + i] * v[other * m + i];
      expect(Math.abs(dot - (other === k ? 1 : 0))).toBeLessThanOrEqual(bound);
    }
  }
  expect(Math.abs(last.reduce((sum, value) => sum + value * value, 0) - 1)).toBeLessThanOrEqual(
    bound,
  );
});

test("tridiagonalEigen: the last components are those of the unit eigenvectors where values are apart", () => {
  const t = random(40, 5);
  const { values, last } = tridiagonalEigen(t);
  const v = tridiagonalVectors(t, values);
  let gap = Infinity;
  for (let k = 1; k < 40; k++) gap = Math.min(gap, values[k - 1] - values[k]);
  const bound = (64 * 40 * EPSILON * 4) / gap;
  for (let k = 0; k < 40; k++)
    expect(Math.abs(Math.abs(last[k]) - Math.abs(v[k * 40 + 39]))).toBeLessThanOrEqual(bound);
});
