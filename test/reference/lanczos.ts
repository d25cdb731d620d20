/**
 * What a Lanczos run has to satisfy in f64 on the stored f32 matrix.
 *
 * A [n, n] symmetric, `theta` [k] eigenvalues, `v` [k, n] eigenvectors as rows, `q` [m, n] the
 * Lanczos basis as rows, `alpha` [m] and `beta` [m] of T: beta[j] joins q_j and q_{j+1}, beta[m−1]
 * is the residual's. `norm` = ‖A‖₂. Each function returns a figure in the units in which its limit
 * is a plain number.
 */
import { U } from "./compare.ts";
import { eigenvalues, inertia } from "./eigen.ts";

/** ‖A‖₂ */
export function norm2(a: ArrayLike<number>, n: number): number {
  const values = eigenvalues(a, n);
  return Math.max(Math.abs(values[0]), Math.abs(values[n - 1]));
}

/** ‖A v_r − θ_r v_r‖₂ / ‖v_r‖₂ for each pair; NaN stays NaN, a zero vector gives NaN. */
export function residuals(
  a: ArrayLike<number>,
  n: number,
  theta: ArrayLike<number>,
  v: ArrayLike<number>,
): Float64Array {
  return Float64Array.from({ length: theta.length }, (_, r) => {
    let residual = 0;
    let size = 0;
    for (let i = 0; i < n; i++) {
      let sum = -theta[r] * v[r * n + i];
      for (let j = 0; j < n; j++) sum += a[i * n + j] * v[r * n + j];
      residual += sum * sum;
      size += v[r * n + i] ** 2;
    }
    return Math.sqrt(residual / size);
  });
}

/** 1: the largest ‖A v − θ v‖/(‖A‖ ‖v‖) ÷ max(tol, 8 √n u). **Limit** 1. */
export function backwardError(
  a: ArrayLike<number>,
  n: number,
  theta: ArrayLike<number>,
  v: ArrayLike<number>,
  norm: number,
  tol = 0,
): number {
  return over(largest(residuals(a, n, theta, v)), norm * Math.max(tol, 8 * Math.sqrt(n) * U));
}

/** 2: ‖I − V Vᵀ‖_F / (k u) for k rows of length n. **Limit** 10. */
export function orthogonality(v: ArrayLike<number>, n: number): number {
  const k = v.length / n;
  let sum = 0;
  for (let r = 0; r < k; r++) {
    for (let s = 0; s < k; s++) {
      let product = r === s ? -1 : 0;
      for (let i = 0; i < n; i++) product += v[r * n + i] * v[s * n + i];
      sum += product * product;
    }
  }
  return Math.sqrt(sum) / (k * U);
}

/**
 * 3: ‖A Q − Q T − β_m q_{m+1} e_mᵀ‖_F / (‖A‖ u √m). **Limit** 16.
 *
 * `q`: m + 1 rows; or m rows when the last β is 0 or its direction was not kept: the last column is
 * then left out.
 */
export function recurrence(
  a: ArrayLike<number>,
  n: number,
  q: ArrayLike<number>,
  alpha: ArrayLike<number>,
  beta: ArrayLike<number>,
  norm: number,
): number {
  const m = alpha.length;
  const columns = q.length / n > m || beta[m - 1] === 0 ? m : m - 1;
  let total = 0;
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < n; i++) {
      let sum = -alpha[c] * q[c * n + i];
      for (let j = 0; j < n; j++) sum += a[i * n + j] * q[c * n + j];
      if (c > 0) sum -= beta[c - 1] * q[(c - 1) * n + i];
      if (beta[c] !== 0) sum -= beta[c] * q[(c + 1) * n + i];
      total += sum * sum;
    }
  }
  return over(Math.sqrt(total), norm * U * Math.sqrt(m));
}

/**
 * 4: the largest |θ_r − λ_r| ÷ (bound), bound = ρ_r + 4 √n u ‖A‖, or ρ_r²/gap_r + 4 √n u ‖A‖ where
 * gap_r > 2 ρ_r. **Limit** 1.
 *
 * `lambda`: all eigenvalues of A; λ_r is the nearest to θ_r and gap_r the distance from θ_r to the
 * next one.
 */
export function eigenvalueError(
  n: number,
  theta: ArrayLike<number>,
  residual: ArrayLike<number>,
  lambda: ArrayLike<number>,
  norm: number,
): number {
  const floor = 4 * Math.sqrt(n) * U * norm;
  return largest(
    Array.from(theta, (value, r) => {
      const distances = Array.from(lambda, (exact) => Math.abs(value - exact)).sort(
        (x, y) => x - y,
      );
      const gap = distances[1] ?? Infinity;
      const rho = residual[r];
      const bound = (gap > 2 * rho ? Math.min(rho, (rho * rho) / gap) : rho) + floor;
      return over(distances[0], bound);
    }),
  );
}

/** 5: the largest | estimate_r − ρ_r | ÷ (8 √n u ‖A‖), estimate = |β_m s_mr|. **Limit** 1. */
export function estimateError(
  n: number,
  estimate: ArrayLike<number>,
  residual: ArrayLike<number>,
  norm: number,
): number {
  const errors = Array.from(residual, (rho, r) => Math.abs(estimate[r] - rho));
  return over(largest(errors), 8 * Math.sqrt(n) * U * norm);
}

/**
 * 6a: by how many the returned values in any window of width 10 n u ‖A‖ outnumber the eigenvalues
 * there. **Limit** 0.
 *
 * `lambda`: all eigenvalues of A; the window for them is wider by half its width on either side, as
 * both ends may round.
 */
export function ghosts(
  n: number,
  theta: ArrayLike<number>,
  lambda: ArrayLike<number>,
  norm: number,
): number {
  const width = 10 * n * U * norm;
  const within = (values: ArrayLike<number>, low: number, high: number) =>
    Array.from(values).filter((value) => value >= low && value <= high).length;
  return largest(
    Array.from(theta, (low) => {
      const returned = within(theta, low, low + width);
      return Math.max(0, returned - within(lambda, low - width / 2, low + 1.5 * width));
    }),
  );
}

/**
 * 6b: how many eigenvalues of A beyond the last returned one were left out, by inertia, without a
 * reference spectrum. **Limit** 0.
 *
 * `theta`: the leading ("top", descending) or trailing ("bottom", descending too: its first is the
 * innermost) values. Eigenvalues nearer than 10 n u ‖A‖ to the innermost value do not count. With
 * `ghosts` = 0 nothing was left out in between.
 */
export function omissions(
  a: ArrayLike<number>,
  n: number,
  theta: ArrayLike<number>,
  end: "top" | "bottom",
  norm: number,
): number {
  const slack = 10 * n * U * norm;
  const k = theta.length;
  const innermost = end === "top" ? theta[k - 1] : theta[0];
  if (Number.isNaN(innermost)) return NaN;
  const beyond =
    end === "top" ? inertia(a, n, innermost + slack).above : inertia(a, n, innermost - slack).below;
  return Math.max(0, beyond - (k - 1));
}

/**
 * 7: sin of the largest angle between the row spaces of V [k, n] and of `reference` [k', n], k ≤
 * k', rows orthonormal.
 */
export function sinAngle(v: ArrayLike<number>, reference: ArrayLike<number>, n: number): number {
  const k = v.length / n;
  const others = reference.length / n;
  const rest = Float64Array.from(v);
  for (let r = 0; r < k; r++) {
    for (let s = 0; s < others; s++) {
      let product = 0;
      for (let i = 0; i < n; i++) product += v[r * n + i] * reference[s * n + i];
      for (let i = 0; i < n; i++) rest[r * n + i] -= product * reference[s * n + i];
    }
  }
  const squares = new Float64Array(k * k);
  for (let r = 0; r < k; r++)
    for (let s = 0; s < k; s++)
      for (let i = 0; i < n; i++) squares[r * k + s] += rest[r * n + i] * rest[s * n + i];
  return Math.sqrt(Math.max(0, eigenvalues(squares, k)[0]));
}

/** The maximum, NaN if there is one. */
function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]);
  return most;
}

/** error ÷ limit, and 0 ÷ 0 = 0: for the zero matrix only exact values pass. */
function over(error: number, limit: number): number {
  return error === 0 ? 0 : error / limit;
}
