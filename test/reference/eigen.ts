/**
 * Eigenvalues of symmetric matrices in f64, a count that does not depend on them, and matrices
 * whose spectra are known.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { gramOfJacobian } from "./gram.ts";

export interface Eigen {
  /** Descending. */
  values: Float64Array;
  /** [n, n]; row r is the eigenvector of values[r], of norm 1. */
  vectors: Float64Array;
}

/**
 * Eigenvalues and eigenvectors of the symmetric `a` [n, n] (the mean of its two triangles, where
 * they differ).
 *
 * **Error** of a value: a small multiple of n · 2⁻⁵³ ‖A‖₂ (Householder reduction, implicit QL).
 */
export function eigen(a: ArrayLike<number>, n: number): Eigen {
  checkSquare("eigen", a, n);
  const matrix = new Matrix(n, n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) matrix.set(i, j, 0.5 * (a[i * n + j] + a[j * n + i]));
  const evd = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const order = evd.realEigenvalues
    .map((value, index) => ({ value, index }))
    .sort((x, y) => y.value - x.value);
  const vectors = new Float64Array(n * n);
  order.forEach(({ index }, r) => {
    for (let i = 0; i < n; i++) vectors[r * n + i] = evd.eigenvectorMatrix.get(i, index);
  });
  return { values: Float64Array.from(order, ({ value }) => value), vectors };
}

/** The eigenvalues of the symmetric `a` [n, n], descending. */
export function eigenvalues(a: ArrayLike<number>, n: number): Float64Array {
  return eigen(a, n).values;
}

export interface Inertia {
  below: number;
  at: number;
  above: number;
}

/**
 * How many eigenvalues of the symmetric `a` [n, n] lie below, at and above `sigma`.
 *
 * A − σI = P L D Lᵀ Pᵀ with the blocks of D of order 1 and 2 chosen by complete pivoting; by
 * Sylvester's law D has as many negative, zero and positive eigenvalues as A − σI. "At" means
 * pivots that are exactly 0.
 *
 * **Error** exact for a matrix within about n² · 2⁻⁵² ‖A − σI‖ of A − σI: keep σ that far from
 * eigenvalues.
 *
 * **Cost** n³/3 multiplications and n³/6 comparisons.
 *
 * **From** Bunch and Parlett 1971.
 */
export function inertia(a: ArrayLike<number>, n: number, sigma: number): Inertia {
  checkSquare("inertia", a, n);
  const alpha = (1 + Math.sqrt(17)) / 8;
  const m: Float64Array[] = [];
  for (let i = 0; i < n; i++) {
    m.push(
      Float64Array.from({ length: n }, (_, j) => {
        return 0.5 * (a[i * n + j] + a[j * n + i]) - (i === j ? sigma : 0);
      }),
    );
  }
  const swap = (i: number, j: number) => {
    if (i === j) return;
    [m[i], m[j]] = [m[j], m[i]];
    for (const row of m) [row[i], row[j]] = [row[j], row[i]];
  };
  const count: Inertia = { below: 0, at: 0, above: 0 };
  let first = 0;
  while (first < n) {
    // The largest entries on and off the diagonal of what is left.
    let on = first;
    let [row, column] = [first, first];
    let off = 0;
    for (let i = first; i < n; i++) {
      if (Math.abs(m[i][i]) > Math.abs(m[on][on])) on = i;
      for (let j = first; j < i; j++) {
        if (Math.abs(m[i][j]) > off) {
          off = Math.abs(m[i][j]);
          [row, column] = [i, j];
        }
      }
    }
    if (off === 0 && m[on][on] === 0) {
      count.at += n - first;
      break;
    }
    if (Math.abs(m[on][on]) >= alpha * off) {
      swap(first, on);
      const pivot = m[first][first];
      if (pivot < 0) count.below++;
      else count.above++;
      for (let i = first + 1; i < n; i++) {
        const factor = m[i][first] / pivot;
        if (factor === 0) continue;
        for (let j = first + 1; j <= i; j++) m[j][i] = m[i][j] -= factor * m[j][first];
      }
      first += 1;
    } else {
      // The block [[p, q], [q, r]] has |p|, |r| < α|q|, so its determinant is negative: one
      // eigenvalue on either side.
      swap(first, column);
      swap(first + 1, row);
      const second = first + 1;
      const [p, q, r] = [m[first][first], m[second][first], m[second][second]];
      const determinant = p * r - q * q;
      count.below++;
      count.above++;
      for (let i = first + 2; i < n; i++) {
        const [x, y] = [m[i][first], m[i][second]];
        const factor1 = (r * x - q * y) / determinant;
        const factor2 = (p * y - q * x) / determinant;
        for (let j = first + 2; j <= i; j++) {
          m[j][i] = m[i][j] -= factor1 * m[j][first] + factor2 * m[j][second];
        }
      }
      first += 2;
    }
  }
  return count;
}

/**
 * Uniform numbers in (0, 1) with 32 bits each, the same for the same seed (Steele, Lea and Flood's
 * SplitMix, cut to 32 bits).
 */
export function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return (((bits ^ (bits >>> 15)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** Normal numbers by Box and Muller's formula; each exact in f32. */
export function normals(seed: number, count: number): Float32Array {
  const uniform = uniforms(seed);
  return Float32Array.from({ length: count }, () => {
    return Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  });
}

export interface KnownSpectrum {
  name: string;
  n: number;
  /** [n, n], symmetric to the bit. */
  a: Float32Array;
  /** Descending. */
  values: Float64Array;
  /**
   * |eigenvalue of a − values|, each: what the rounding of a to f32 and the reference's own
   * arithmetic may move (Weyl).
   */
  error: number;
}

/** Q diag(values) Qᵀ rounded to f32, Q a product of 16 reflections at random vectors. */
export function withSpectrum(
  name: string,
  spectrum: ArrayLike<number>,
  seed: number,
): KnownSpectrum {
  const n = spectrum.length;
  const values = Float64Array.from(spectrum).sort().reverse();
  const exact = new Float64Array(n * n);
  for (let i = 0; i < n; i++) exact[i * n + i] = values[i];
  const reflections = 16;
  const random = normals(seed, reflections * n);
  for (let r = 0; r < reflections; r++) {
    // A ← (I − 2vvᵀ) A (I − 2vvᵀ) = A − v wᵀ − w vᵀ with w = 2(Av − (vᵀAv) v)
    const v = Float64Array.from(random.subarray(r * n, (r + 1) * n));
    const norm = Math.hypot(...v);
    for (let i = 0; i < n; i++) v[i] /= norm;
    const w = new Float64Array(n);
    let vAv = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) w[i] += exact[i * n + j] * v[j];
      vAv += v[i] * w[i];
    }
    for (let i = 0; i < n; i++) w[i] = 2 * (w[i] - vAv * v[i]);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) exact[i * n + j] -= v[i] * w[j] + w[i] * v[j];
  }
  const a = new Float32Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = exact[i * n + j];
  const moved = Math.sqrt(exact.reduce((sum, value, i) => sum + (value - a[i]) ** 2, 0));
  const largest = Math.max(...values.map(Math.abs));
  return { name, n, a, values, error: moved + 64 * reflections * n * 2 ** -53 * largest };
}

/**
 * X Xᵀ rounded to f32, with the spectrum of the rounded matrix as `eigen` gives it; X [n, inner].
 */
function gramMatrix(name: string, x: ArrayLike<number>, inner: number): KnownSpectrum {
  const a = Float32Array.from(gramOfJacobian(x, inner));
  const n = x.length / inner;
  const values = eigenvalues(a, n);
  return { name, n, a, values, error: n * n * 2 ** -52 * Math.max(values[0], 0) };
}

/**
 * Matrices of order n ≥ 8 for the eigenvalue solvers: the Gram matrix of random data, λ_i = 1/i²,
 * three clusters of width 1e-9, rank n/4 (integers, so that the rank is exact), the identity, zero,
 * and a Gram matrix with every row there twice.
 */
export function knownSpectra(n: number, seed: number): KnownSpectrum[] {
  const quarter = Math.floor(n / 4);
  const clusters = Float64Array.from({ length: n }, (_, i) => {
    const centre = i < quarter ? 1 : i < 2 * quarter ? 0.5 : 1e-3;
    return centre + (1e-9 * i) / n;
  });
  const uniform = uniforms(seed + 3);
  const integers = Float64Array.from({ length: n * quarter }, () => Math.floor(9 * uniform()) - 4);
  const lowRank = gramMatrix("rank n/4", integers, quarter);
  lowRank.values.fill(0, quarter);
  const half = Math.ceil(n / 2);
  const data = normals(seed + 4, half * 2 * n);
  const twice = new Float32Array(n * 2 * n);
  for (let i = 0; i < n; i++) {
    const row = Math.floor(i / 2) * 2 * n;
    twice.set(data.subarray(row, row + 2 * n), i * 2 * n);
  }
  const duplicates = gramMatrix("duplicate rows", twice, 2 * n);
  duplicates.values.fill(0, half);
  const identity = new Float32Array(n * n);
  for (let i = 0; i < n; i++) identity[i * n + i] = 1;
  return [
    gramMatrix("Gram of random data", normals(seed, n * 2 * n), 2 * n),
    withSpectrum(
      "1/i²",
      Float64Array.from({ length: n }, (_, i) => 1 / (i + 1) ** 2),
      seed + 1,
    ),
    withSpectrum("clustered", clusters, seed + 2),
    lowRank,
    { name: "identity", n, a: identity, values: new Float64Array(n).fill(1), error: 0 },
    { name: "zero", n, a: new Float32Array(n * n), values: new Float64Array(n), error: 0 },
    duplicates,
  ];
}

function checkSquare(name: string, a: ArrayLike<number>, n: number): void {
  if (a.length !== n * n) {
    throw new RangeError(`${name}: ${a.length} values, but must be ${n} × ${n} = ${n * n}.`);
  }
}
