/**
 * H = J Jᵀ in f64 by both routes, on one set and between two, with the rounding bound carried through the network.
 */
import { gamma, UW } from "./compare.ts";
import { layersOf, type Activations, type ReferenceNetwork, type Signals } from "./network.ts";

/** One set of samples after its forward and backward pass. */
export interface Pass {
  activations: Activations;
  signals: Signals;
}

/**
 * H [rows1, rows2] = J₁ J₂ᵀ; `jac1` [rows1, params], `jac2` [rows2, params], `jac1` itself by
 * default.
 */
export function gramOfJacobian(
  jac1: ArrayLike<number>,
  params: number,
  jac2: ArrayLike<number> = jac1,
): Float64Array {
  const one = Float64Array.from(jac1);
  const two = jac2 === jac1 ? one : Float64Array.from(jac2);
  return products(one, two, params);
}

/**
 * H [n1·O, n2·O] = Σ_l (c_l² A_l A_lᵀ + β²) ∘ (G_l G_lᵀ), index i·O + a, without J.
 *
 * `two`: the other set, `one` itself by default.
 */
export function gramLayerwise(net: ReferenceNetwork, one: Pass, two: Pass = one): Float64Array {
  return sumOverLayers(net, one, two, (values) => values);
}

/**
 * |engine's H − H|, entry by entry, whichever route it takes.
 *
 *   Σ_l [(c²(|A|+dA)(|A|+dA)ᵀ + β²) ∘ ((|G|+dG)(|G|+dG)ᵀ) − the same without dA, dG] + γ_k(u) Σ_p |J_ip J_jp|
 *
 * `k`: the longest chain of roundings executed after A and G are stored, with the roundings of c,
 * β, of J's entries or of c², β² and the products by them, of the products of the sum, and of
 * adding blocks, layers and panels.
 */
export function gramBound(
  net: ReferenceNetwork,
  k: number,
  one: Pass,
  two: Pass = one,
  u: number = UW,
): Float64Array {
  const size = (values: Float64Array) => values.map(Math.abs);
  const upper = (values: Float64Array, bounds: Float64Array) =>
    values.map((value, i) => Math.abs(value) + bounds[i]);
  const sizes = sumOverLayers(net, one, two, size);
  const uppers = sumOverLayers(net, one, two, upper);
  const rounding = gamma(k, u);
  return sizes.map((value, i) => uppers[i] - value + rounding * value);
}

/**
 * max_ij |actual − exact|_ij / √(H_ii H_jj); NaN or a wrong length gives Infinity. Good in f32: ≤
 * 2e-7; > 1e-6 is a defect.
 */
export function quality(
  actual: ArrayLike<number>,
  exact: ArrayLike<number>,
  diagonal1: ArrayLike<number>,
  diagonal2: ArrayLike<number> = diagonal1,
): number {
  const columns = diagonal2.length;
  if (actual.length !== exact.length || exact.length !== diagonal1.length * columns) {
    return Infinity;
  }
  let worst = 0;
  for (let i = 0; i < diagonal1.length; i++) {
    for (let j = 0; j < columns; j++) {
      const error = Math.abs(actual[i * columns + j] - exact[i * columns + j]);
      const ratio = error === 0 ? 0 : error / Math.sqrt(diagonal1[i] * diagonal2[j]);
      if (!(ratio <= worst)) worst = Number.isNaN(ratio) ? Infinity : ratio;
    }
  }
  return worst;
}

/** The diagonal of a square matrix [rows, rows]. */
export function diagonal(matrix: ArrayLike<number>): Float64Array {
  const rows = Math.round(Math.sqrt(matrix.length));
  return Float64Array.from({ length: rows }, (_, i) => matrix[i * rows + i]);
}

/** [n1, n2]: the mean over a = b of H [n1·O, n2·O]. */
export function traceForm(
  gram: ArrayLike<number>,
  n1: number,
  n2: number,
  outputs: number,
): Float64Array {
  const trace = new Float64Array(n1 * n2);
  for (let i = 0; i < n1; i++) {
    for (let j = 0; j < n2; j++) {
      let sum = 0;
      for (let a = 0; a < outputs; a++) {
        sum += gram[((i * outputs + a) * n2 + j) * outputs + a];
      }
      trace[i * n2 + j] = sum / outputs;
    }
  }
  return trace;
}

/** [n1, n2, O, O] with H[i, j, a, b], from H [n1·O, n2·O] with index i·O + a. */
export function fourAxes(
  gram: ArrayLike<number>,
  n1: number,
  n2: number,
  outputs: number,
): Float64Array {
  const out = new Float64Array(gram.length);
  for (let i = 0; i < n1; i++)
    for (let j = 0; j < n2; j++)
      for (let a = 0; a < outputs; a++)
        for (let b = 0; b < outputs; b++)
          out[((i * n2 + j) * outputs + a) * outputs + b] =
            gram[((i * outputs + a) * n2 + j) * outputs + b];
  return out;
}

/** Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ), A and G first passed, with their bounds, through `form`. */
function sumOverLayers(
  net: ReferenceNetwork,
  one: Pass,
  two: Pass,
  form: (values: Float64Array, bounds: Float64Array) => Float64Array,
): Float64Array {
  const rows1 = one.signals.rows;
  const rows2 = two.signals.rows;
  const { n: n1 } = one.activations;
  const { n: n2 } = two.activations;
  const outputs = rows1 / n1;
  const sum = new Float64Array(rows1 * rows2);
  layersOf(net).forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
    const inputs = ({ activations: { a, da } }: Pass) => form(a[l], da[l]);
    const signals = ({ signals: { g, dg } }: Pass) => form(g[l], dg[l]);
    const [a1, g1] = [inputs(one), signals(one)];
    const [a2, g2] = two === one ? [a1, g1] : [inputs(two), signals(two)];
    const aa = products(a1, a2, fanIn);
    const gg = products(g1, g2, fanOut);
    for (let i = 0; i < rows1; i++) {
      for (let j = 0; j < rows2; j++) {
        const product = aa[Math.floor(i / outputs) * n2 + Math.floor(j / outputs)];
        sum[i * rows2 + j] += (scale * scale * product + (biasScale ?? 0) ** 2) * gg[i * rows2 + j];
      }
    }
  });
  return sum;
}

/**
 * A Bᵀ for A [rows1, inner], B [rows2, inner]; every entry summed in order, four columns side by
 * side; half of A Aᵀ mirrored.
 */
function products(a: Float64Array, b: Float64Array, inner: number): Float64Array {
  const rows1 = a.length / inner;
  const rows2 = b.length / inner;
  const out = new Float64Array(rows1 * rows2);
  const row = (matrix: Float64Array, r: number) => matrix.subarray(r * inner, (r + 1) * inner);
  for (let i = 0; i < rows1; i++) {
    const x = row(a, i);
    const columns = a === b ? i + 1 : rows2;
    let j = 0;
    for (; j + 3 < columns; j += 4) {
      const [y0, y1, y2, y3] = [row(b, j), row(b, j + 1), row(b, j + 2), row(b, j + 3)];
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let p = 0; p < inner; p++) {
        s0 += x[p] * y0[p];
        s1 += x[p] * y1[p];
        s2 += x[p] * y2[p];
        s3 += x[p] * y3[p];
      }
      out.set([s0, s1, s2, s3], i * rows2 + j);
    }
    for (; j < columns; j++) {
      const y = row(b, j);
      let sum = 0;
      for (let p = 0; p < inner; p++) sum += x[p] * y[p];
      out[i * rows2 + j] = sum;
    }
  }
  if (a === b) {
    for (let i = 0; i < rows1; i++)
      for (let j = i + 1; j < rows1; j++) out[i * rows1 + j] = out[j * rows1 + i];
  }
  return out;
}
