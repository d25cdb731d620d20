/**
 * Arithmetic with twice the digits of f64: a number is the sum of two, the second half an ulp of the first at the most;
 * and with it eigenvalues to about 30 digits, for intervals that f64 cannot check.
 */

/** high + low. */
export type Wide = readonly [number, number];

const quickSum = (a: number, b: number): Wide => {
  const sum = a + b;
  return [sum, b - (sum - a)];
};

const twoSum = (a: number, b: number): Wide => {
  const sum = a + b;
  const part = sum - a;
  return [sum, a - (sum - part) + (b - part)];
};

const twoProduct = (a: number, b: number): Wide => {
  const [a1, a2] = halves(a);
  const [b1, b2] = halves(b);
  const product = a * b;
  return [product, a2 * b2 - (product - a1 * b1 - a2 * b1 - a1 * b2)];
};

/** Veltkamp's split into 26 and 27 bits. */
const halves = (a: number): Wide => {
  const c = 134217729 * a;
  const high = c - (c - a);
  return [high, a - high];
};

export const add = (a: Wide, b: Wide): Wide => {
  const [s, e] = twoSum(a[0], b[0]);
  const [t, f] = twoSum(a[1], b[1]);
  const [u, g] = quickSum(s, e + t);
  return quickSum(u, f + g);
};

export const negative = (a: Wide): Wide => [-a[0], -a[1]];

export const multiply = (a: Wide, b: Wide): Wide => {
  const [p, e] = twoProduct(a[0], b[0]);
  return quickSum(p, e + (a[0] * b[1] + a[1] * b[0]));
};

export const divide = (a: Wide, b: Wide): Wide => {
  const first = a[0] / b[0];
  const rest = add(a, negative(multiply(b, [first, 0])));
  const second = rest[0] / b[0];
  const last = add(rest, negative(multiply(b, [second, 0])));
  return add(quickSum(first, second), [last[0] / b[0], 0]);
};

export const root = (a: Wide): Wide => {
  if (a[0] <= 0) return [0, 0];
  const first = Math.sqrt(a[0]);
  const rest = add(a, negative(twoProduct(first, first)));
  return add([first, 0], [rest[0] / (2 * first), 0]);
};

/**
 * Eigenvalues of a symmetric f64 matrix [n, n], descending, by cyclic Jacobi rotations.
 *
 * **Error** about n² · 2⁻¹⁰⁰ ‖A‖. **Cost** some 10 sweeps of 100 n³ operations: small matrices only.
 */
export function wideEigenvalues(matrix: ArrayLike<number>, n: number): Wide[] {
  const a: Wide[][] = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (__, j): Wide => [matrix[i * n + j], 0]),
  );
  let size = 0;
  for (let at = 0; at < n * n; at++) size += matrix[at] ** 2;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) off += a[i][j][0] ** 2;
    if (off <= size * 2 ** -204) break;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (a[p][q][0] === 0) continue;
        const theta = divide(add(a[q][q], negative(a[p][p])), multiply([2, 0], a[p][q]));
        const length = root(add(multiply(theta, theta), [1, 0]));
        const t = divide([1, 0], theta[0] >= 0 ? add(theta, length) : add(theta, negative(length)));
        const c = divide([1, 0], root(add(multiply(t, t), [1, 0])));
        const s = multiply(t, c);
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[k][p], a[k][q]];
          a[k][p] = add(multiply(c, x), negative(multiply(s, y)));
          a[k][q] = add(multiply(s, x), multiply(c, y));
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [a[p][k], a[q][k]];
          a[p][k] = add(multiply(c, x), negative(multiply(s, y)));
          a[q][k] = add(multiply(s, x), multiply(c, y));
        }
      }
  }
  return a.map((row, i) => row[i]).sort((x, y) => y[0] - x[0] || y[1] - x[1]);
}

const wide = (a: number): Wide => [a, 0];

/** eˣ: the series at x / 2¹⁰, squared ten times. **Error** about 2⁻⁹⁰, relatively. */
export const exp = (x: Wide): Wide => {
  const small: Wide = [x[0] / 1024, x[1] / 1024];
  let term = wide(1);
  let sum = wide(1);
  for (let n = 1; n < 40 && term[0] !== 0; n++) {
    term = divide(multiply(term, small), wide(n));
    sum = add(sum, term);
  }
  for (let k = 0; k < 10; k++) sum = multiply(sum, sum);
  return sum;
};

/** log(1 + y) for y > 0 by Newton's method on exp. */
const log1p = (y: Wide): Wide => {
  const target = add(wide(1), y);
  let x = wide(Math.log1p(y[0]));
  for (let k = 0; k < 2; k++) x = add(x, add(multiply(target, exp(negative(x))), wide(-1)));
  return x;
};

/** sin(x), or cos(x), by their series: |x| up to about 10. */
const trigonometric = (x: Wide, cosine: boolean): Wide => {
  let term = cosine ? wide(1) : x;
  let sum = term;
  const square = multiply(x, x);
  for (let n = cosine ? 1 : 2; n < 120; n += 2) {
    term = negative(divide(multiply(term, square), wide(n * (n + 1))));
    sum = add(sum, term);
  }
  return sum;
};

/** √π, to as many digits. */
const ROOT_PI: Wide = [1.772453850905516, -7.666586499825799e-17];

/** erf(x) by its series of positive terms: |x| up to about 6, where 1 − erf loses the digits that erf has more of. */
const erf = (x: Wide): Wide => {
  let term = x;
  let sum = x;
  const square = multiply(x, x);
  for (let n = 1; n < 400 && Math.abs(term[0]) > 1e-34 * Math.abs(sum[0]); n++) {
    term = divide(multiply(term, multiply(wide(2), square)), wide(2 * n + 1));
    sum = add(sum, term);
  }
  return multiply(divide(wide(2), ROOT_PI), multiply(exp(negative(square)), sum));
};

const logistic = (z: Wide): Wide => divide(wide(1), add(wide(1), exp(negative(z))));

/** φ(z) and φ′(z) of the smooth activations, |z| up to about 6. */
export function wideActivation(name: string, at: number): { value: Wide; derivative: Wide } {
  const z = wide(at);
  const s = logistic(z);
  const rest = logistic(negative(z));
  switch (name) {
    case "tanh": {
      const [up, down] = [logistic([2 * at, 0]), logistic([-2 * at, 0])];
      return { value: add(up, negative(down)), derivative: multiply(wide(4), multiply(up, down)) };
    }
    case "sigmoid":
      return { value: s, derivative: multiply(s, rest) };
    case "silu":
      return {
        value: multiply(z, s),
        derivative: multiply(s, add(wide(1), multiply(z, rest))),
      };
    case "softplus":
      return {
        value: at > 0 ? add(z, log1p(exp(negative(z)))) : log1p(exp(z)),
        derivative: s,
      };
    case "sin":
      return { value: trigonometric(z, false), derivative: trigonometric(z, true) };
    case "erf": {
      const density = exp(negative(multiply(z, z)));
      return { value: erf(z), derivative: multiply(divide(wide(2), ROOT_PI), density) };
    }
    case "gelu": {
      const scaled = divide(z, root(wide(2)));
      const below = multiply(wide(0.5), add(wide(1), erf(scaled)));
      const density = divide(
        exp(negative(multiply(scaled, scaled))),
        multiply(root(wide(2)), ROOT_PI),
      );
      return { value: multiply(z, below), derivative: add(below, multiply(z, density)) };
    }
    default:
      throw new RangeError(`wideActivation: there is no ${name}.`);
  }
}
