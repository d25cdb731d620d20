import { expect, test } from "vitest";
import { InputError } from "../../src/errors.ts";
import {
  bits,
  normalQuantile,
  normals,
  normals64,
  threefry2x32,
} from "../../src/stages/0-normal.ts";

test("threefry2x32 gives the known answers of its authors", () => {
  expect(threefry2x32(0, 0, 0, 0)).toEqual([0x6b200159, 0x99ba4efe]);
  const ones = 0xffffffff;
  expect(threefry2x32(ones, ones, ones, ones)).toEqual([0x1cb996fc, 0xbb002be7]);
  expect(threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3)).toEqual([
    0xc4923a9c, 0x483df7a0,
  ]);
});

test("bits counts as JAX, and its counter runs on beyond 2³²", () => {
  expect(bits(0, 0)).toBe(4070199207);
  const [w0, w1] = threefry2x32(0, 77, 3, 5);
  expect(bits(77, 3 * 2 ** 32 + 5)).toBe((w0 ^ w1) >>> 0);
});

test("normals: seed 0 starts with the contract's bits", () => {
  expect([...new Uint32Array(normals(0, 4).buffer)]).toEqual([
    0x3fcfb2c2, 0x40019df1, 0xbede0017, 0xbda10229,
  ]);
});

test("normals: an offset continues the stream, and f32 is f64 rounded once", () => {
  const stream = normals64(4294967295, 100);
  expect(normals64(4294967295, 60, 40)).toEqual(stream.subarray(40));
  expect(normals(4294967295, 100)).toEqual(Float32Array.from(stream));
  expect(normals(0, 0)).toEqual(new Float32Array(0));
});

test.each([
  [-1, 1, 0],
  [0.5, 1, 0],
  [NaN, 1, 0],
  [2 ** 32, 1, 0],
  [0, -1, 0],
  [0, 1.5, 0],
  [0, 2 ** 32 + 1, 0],
  [0, 1, -1],
  [0, 2, 2 ** 53 - 1],
])("normals: seed %d, count %d, offset %d is refused", (seed, count, offset) => {
  expect(() => normals(seed, count, offset)).toThrow(InputError);
});

// Independent of the code under test: Φ by its power series in 320-bit integers.
const FRACTION = 320n;
const ONE = 1n << FRACTION;
const times = (a: bigint, b: bigint) => (a * b) >> FRACTION;

/** Σ of terms, each made from the one before, until nothing is left. */
function series(first: bigint, next: (term: bigint, k: bigint) => bigint): bigint {
  let sum = 0n;
  for (let term = first, k = 1n; term !== 0n; term = next(term, k++)) sum += term;
  return sum;
}

/** π = 16 arctan(1/5) − 4 arctan(1/239), Machin 1706. */
function pi(): bigint {
  const arctanOfInverse = (n: bigint) => {
    let sum = 0n;
    for (let power = ONE / n, k = 1n; power !== 0n; power /= -n * n, k += 2n) sum += power / k;
    return sum;
  };
  return 16n * arctanOfInverse(5n) - 4n * arctanOfInverse(239n);
}

function squareRoot(value: bigint): bigint {
  let root = ONE * 4n;
  for (let last = 0n; last !== root; root = (root + (value << FRACTION) / root) / 2n) {
    if (last - root === 1n || root - last === 1n) break;
    last = root;
  }
  return root;
}

/** An f64 with |x| ≥ 2⁻²⁶⁰ as fixed point, exact: its 53 bits all lie above 2⁻³²⁰. */
function fixed(x: number): bigint {
  let shift = 0n;
  while (!Number.isSafeInteger(x)) {
    x *= 2;
    shift++;
  }
  return (BigInt(x) << FRACTION) >> shift;
}

const INVERSE_ROOT_2PI = (ONE * ONE) / squareRoot(2n * pi());

/** Relative error of `x` as Φ⁻¹((word + ½) / 2³²): one Newton step, (Φ(x) − p) / (φ(x) · x). */
function relativeError(x: number, word: number): number {
  const z = fixed(x);
  const half = times(z, z) / 2n;
  const exponential = (ONE * ONE) / series(ONE, (term, k) => times(term, half) / k);
  const density = times(INVERSE_ROOT_2PI, exponential);
  // Φ(x) = ½ + φ(x) Σ x²ᵏ⁺¹ / (1 · 3 · 5 · … · (2k + 1))
  const odd = series(z, (term, k) => (times(term, half) * 2n) / (2n * k + 1n));
  const phi = ONE / 2n + times(density, odd);
  const p = (BigInt(2 * word + 1) << FRACTION) >> 33n;
  return Number(((phi - p) << 64n) / times(density, z)) / 2 ** 64;
}

test("normalQuantile is right to 1e-15 at both ends, around the middle, at its seam and at random", () => {
  const last = 2 ** 32 - 1;
  const seam = Math.floor(0.075 * 2 ** 32);
  const words = [0, 1, 2, 3, last, last - 1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1];
  for (let i = 0; i < 100; i++)
    words.push(seam - 50 + i, last - seam - 50 + i, bits(1, i), bits(2, i) >>> (i % 32));
  for (const word of words)
    expect(Math.abs(relativeError(normalQuantile(word), word))).toBeLessThanOrEqual(1e-15);
});

test("normalQuantile is exactly odd and grows with its word", () => {
  for (let i = 0; i < 1000; i++) {
    const word = bits(3, i);
    expect(normalQuantile(2 ** 32 - 1 - word)).toBe(-normalQuantile(word));
    expect(normalQuantile(word + 1)).toBeGreaterThan(normalQuantile(word));
  }
});

test("normals: 2¹⁶ values have the moments of a standard normal within five deviations", () => {
  const n = 2 ** 16;
  const values = normals64(12345, n);
  const moment = (k: number) => values.reduce((sum, v) => sum + v ** k, 0) / n;
  // Var of the mean of vᵏ: 1, 2, 15, 96 over n.
  expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
});
