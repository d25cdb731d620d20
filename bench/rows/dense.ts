import type { Gpu } from "../../src/index.ts";
import { rowProducts } from "../../src/stages/0-double.ts";
import { denseEigen, denseValues, solverBound } from "../../src/stages/4-dense.ts";
import { cholesky } from "../../src/theory.ts";
import { normals, withSpectrum, type KnownSpectrum } from "../../test/reference/eigen.ts";
import { uniform } from "../random.ts";
import type { Prepared, Row } from "../run.ts";
import { quotient, worse } from "./verify.ts";

/** u of f64. */
const U64 = 2 ** -53;
const gamma64 = (k: number): number => (k * U64) / (1 - k * U64);

const product = productRow(512, 512);

/** What the host computes in f64, beside the rate of its own products. */
export const denseRows: readonly Row[] = [
  product,
  ...[512, 2048].map(eigenRow),
  ...[512, 2048].map(valuesRow),
  choleskyRow(1024),
];

/** Full, with eigenvalues 1 / i: positive definite, and as steep as a kernel's. Exact in f32, for others. */
const steep = (n: number): KnownSpectrum =>
  withSpectrum(
    "1/i",
    Float64Array.from({ length: n }, (_, i) => 1 / (i + 1)),
    n,
  );

/** A row of one symmetric matrix, which is made once. */
function row(
  name: string,
  n: number,
  flops: number,
  kind: "eigh" | "cholesky" | null,
  solve: (
    gpu: Gpu,
    gram: Float64Array,
  ) => Pick<Prepared, "run"> & {
    check: (known: KnownSpectrum) => Promise<number>;
  },
): Row {
  return {
    ...{ name, size: { n }, flops, bytes: 16 * n * n, traffic: "host", against: product },
    work: kind ? () => ({ kind, n, a: steep(n).a }) : undefined,
    make(gpu) {
      const known = steep(n);
      const { run, check } = solve(gpu, Float64Array.from(known.a));
      return { run, check: () => check(known), destroy: () => {} };
    },
  };
}

/** The host's own matrix product: what the others do most of the time. */
function productRow(n: number, k: number): Row {
  return {
    name: "f64 product",
    size: { n, k },
    flops: 2 * n * n * k,
    bytes: 8 * (2 * n * k + n * n),
    traffic: "host",
    make() {
      const left = Float64Array.from(uniform(n * k, 1));
      const right = Float64Array.from(uniform(n * k, 2));
      const out = new Float64Array(n * n);
      const run = () => rowProducts(left, 0, n, right, n, k, out);
      return {
        run,
        destroy: () => {},
        async check() {
          out.fill(NaN);
          run();
          let worst = 0;
          for (let i = 0; i < n; i++)
            for (let j = 0; j < n; j++) {
              let [sum, size] = [0, 0];
              for (let p = 0; p < k; p++) {
                const term = left[i * k + p] * right[j * k + p];
                sum += term;
                size += Math.abs(term);
              }
              worst = worse(worst, quotient(out[i * n + j] - sum, gamma64(2 * k) * size));
            }
          return worst;
        },
      };
    },
  };
}

/** [n, n] times a vector. */
function times(matrix: Float64Array, vector: Float64Array): Float64Array {
  const n = vector.length;
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[i] += matrix[i * n + j] * vector[j];
  return out;
}

/** A vector times [rows, n]. */
function timesRows(vector: Float64Array, rows: Float64Array): Float64Array {
  const n = rows.length / vector.length;
  const out = new Float64Array(n);
  vector.forEach((factor, r) => {
    for (let j = 0; j < n; j++) out[j] += factor * rows[r * n + j];
  });
  return out;
}

const norm = (v: Float64Array): number => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
const apart = (x: Float64Array, y: Float64Array): number => norm(x.map((value, i) => value - y[i]));

/**
 * The largest error ÷ bound of eigenvalues and eigenvectors, by combinations of all of them with random factors s:
 * ‖A Vᵀs − Vᵀ(λ ∘ s)‖ against what LAPACK asks of its solvers, ‖V Vᵀs − s‖ against as many units in the last place of
 * 1; and the eigenvalues themselves.
 *
 * @param vectors one a row
 */
export function checkEigen(
  { a, n, values: right, error }: KnownSpectrum,
  { values, vectors }: { readonly values: Float64Array; readonly vectors: Float64Array },
): number {
  const count = vectors.length / n;
  const gram = Float64Array.from(a);
  const off = solverBound(right);
  let worst = checkValues({ a, n, values: right, error }, values);
  for (let c = 0; c < 3; c++) {
    const s = Float64Array.from(normals(c + 1, count));
    const y = timesRows(s, vectors);
    const scaled = timesRows(
      s.map((value, i) => value * values[i]),
      vectors,
    );
    // Of the check's own sums: their terms are no larger than these norms.
    const own = gamma64(2 * n) * norm(gram) * norm(y);
    worst = worse(worst, quotient(apart(times(gram, y), scaled), off * norm(s) + own));
    const unit = 120 * n * U64 * norm(s);
    worst = worse(worst, quotient(apart(times(vectors, y), s), unit));
  }
  return worst;
}

/**
 * Eigenvalues alone, in order: against those that the matrix was made with, which f32 moved; and Σ λ and Σ λ² against
 * what they are, to f64's precision.
 */
export function checkValues(
  { a, n, values: right, error }: Pick<KnownSpectrum, "a" | "n" | "values" | "error">,
  values: Float64Array,
): number {
  if (values.length !== n) return Infinity;
  const off = solverBound(right);
  let [worst, trace, squares] = [0, 0, 0];
  values.forEach((value, i) => {
    worst = worse(worst, quotient(value - right[i], off + error));
    trace += value;
    squares += value * value;
  });
  for (let i = 0; i < n; i++) trace -= a[i * (n + 1)];
  for (let at = 0; at < a.length; at++) squares -= a[at] * a[at];
  // Backward stable: a matrix within `off` of A has these eigenvalues exactly.
  worst = worse(worst, quotient(trace, Math.sqrt(n) * off));
  return worse(worst, quotient(squares, 2.1 * off * Math.sqrt(n) * right[0]));
}

function eigenRow(n: number): Row {
  return row(
    "eigen with vectors",
    n,
    (14 * n ** 3) / 3,
    n === 512 ? "eigh" : null,
    (gpu, gram) => ({
      run: async () => void (await denseEigen(gpu, gram, n)),
      check: async (known) => checkEigen(known, await denseEigen(gpu, gram, n)),
    }),
  );
}

function valuesRow(n: number): Row {
  return row("eigenvalues", n, (4 * n ** 3) / 3, null, (gpu, gram) => ({
    run: async () => void (await denseValues(gpu, gram, n)),
    check: async (known) => checkValues(known, (await denseValues(gpu, gram, n)).values),
  }));
}

const trace = (matrix: Float64Array, n: number): number => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += matrix[i * (n + 1)];
  return sum;
};

/** log det of a positive definite matrix by Cholesky's factorization in plain loops. */
function logDetOf(matrix: Float64Array, n: number): number {
  const lower = new Float64Array(n * n);
  let logDet = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= lower[i * n + k] * lower[j * n + k];
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / lower[j * (n + 1)];
      if (i === j) logDet += Math.log(sum);
    }
  return logDet;
}

/** Its factor is judged by log det, and by what it solves. */
function choleskyRow(n: number): Row {
  return row("cholesky", n, n ** 3 / 3, "cholesky", (gpu, gram) => ({
    run: async () => void (await cholesky(gpu, { gram, order: n })),
    async check({ values }) {
      const least = values[n - 1];
      const factor = await cholesky(gpu, { gram, order: n });
      if (!factor.definite) return Infinity;
      const right = Float64Array.from(normals(n, n));
      const { values: x } = await factor.solve(right);
      const backward = apart(times(gram, x), right) / (norm(gram) * norm(x) + norm(right));
      // Each factor is that of a matrix within γ tr A of A.
      const moved = (2 * gamma64(2 * n) * trace(gram, n)) / (0.99 * least);
      return worse(
        quotient(backward, 2 * gamma64(n + 3)),
        quotient(factor.logDet - logDetOf(gram, n), n * moved + n * 32 * U64),
      );
    },
  }));
}
