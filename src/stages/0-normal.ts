import { InputError } from "../errors.ts";

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/**
 * Threefry-2x32 with 20 rounds: for each 64-bit key a bijection of the 64-bit counters.
 *
 * @param key0 first word of the key, 32 bits; likewise the other three
 * @returns the two output words, each in [0, 2³²)
 *
 * **From** Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  const key2 = key0 ^ key1 ^ 0x1bd11bda;
  let x = (counter0 + key0) | 0;
  let y = (counter1 + key1) | 0;
  for (let block = 1; block <= 5; block++) {
    const first = block & 1 ? 0 : 4;
    for (let i = first; i < first + 4; i++) {
      x = (x + y) | 0;
      y = ((y << ROTATIONS[i]) | (y >>> (32 - ROTATIONS[i]))) ^ x;
    }
    // The three key words take turns, and the block's number breaks the symmetry.
    const turn = block % 3;
    x = (x + (turn === 0 ? key0 : turn === 1 ? key1 : key2)) | 0;
    y = (y + (turn === 2 ? key0 : turn === 0 ? key1 : key2) + block) | 0;
  }
  return [x >>> 0, y >>> 0];
}

/**
 * Word `t` of the stream of `seed`: w₀ xor w₁ of Threefry under key [0, seed] at counter
 * [⌊t / 2³²⌋, t mod 2³²], as JAX counts with `jax_threefry_partitionable=True`.
 *
 * @param seed integer, 0 ≤ seed < 2³²
 * @param t integer, 0 ≤ t < 2⁵³
 * @returns an integer in [0, 2³²)
 *
 * @throws InputError for any other seed or t
 */
export function bits(seed: number, t: number): number {
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new InputError(
      `bits: seed is ${seed}, but must be an integer from 0 to 4294967295. Choose another.`,
    );
  if (!(Number.isSafeInteger(t) && t >= 0))
    throw new InputError(
      `bits: t is ${t}, but must be an integer from 0 to 2⁵³ − 1. Stay in the stream.`,
    );
  const [w0, w1] = threefry2x32(0, seed, Math.floor(t / 2 ** 32), t | 0);
  return (w0 ^ w1) >>> 0;
}

/**
 * The standard normal quantile at the middle of one of 2³² equal cells of (0, 1):
 *
 *   Φ⁻¹((word + ½) / 2³²)
 *
 * By + − × ÷ √ alone, so that every engine gives the same bits. Exactly odd: the mirror word
 * 2³² − 1 − word gives the negative.
 *
 * @param word integer in [0, 2³²)
 *
 * **Error** at most 1e-15 · |Φ⁻¹|.
 * **From** Wichura 1988, algorithm AS 241 (PPND16), without its far tail: here √(−ln p) < 4.79.
 */
export function normalQuantile(word: number): number {
  const q = (word - 2147483647.5) / 4294967296; // p − ½, exact
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * polynomial(CENTRE_OVER, r)) / polynomial(CENTRE_UNDER, r);
  }
  // The nearer tail holds tail / 2³³ with an odd integer `tail`.
  const tail = 2 * (q < 0 ? word : 4294967295 - word) + 1;
  const r = Math.sqrt(minusLog(tail)) - 1.6;
  const size = polynomial(TAIL_OVER, r) / polynomial(TAIL_UNDER, r);
  return q < 0 ? -size : size;
}

/**
 * Values `offset` … `offset + count − 1` of the normal stream of `seed`, in f64.
 *
 * @returns [count]
 *
 * **Error** that of {@link normalQuantile}. **Cost** about 0.1 µs a value.
 * @throws InputError when seed, count or offset is no integer in range
 */
export function normals64(seed: number, count: number, offset = 0): Float64Array {
  if (!(Number.isSafeInteger(count) && count >= 0 && count <= 2 ** 32))
    throw new InputError(
      `normals: count is ${count}, but must be an integer from 0 to 2³². Draw in parts.`,
    );
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) values[i] = normalQuantile(bits(seed, offset + i));
  return values;
}

/**
 * Values `offset` … `offset + count − 1` of the normal stream of `seed`, rounded once to f32.
 *
 * @returns [count]
 * @throws InputError when seed, count or offset is no integer in range
 *
 * @example normals(0, 2) // Float32Array [1.6226428, 2.025265]
 */
export function normals(seed: number, count: number, offset = 0): Float32Array {
  return new Float32Array(normals64(seed, count, offset));
}

const LN2 = 0.6931471805599453;

/**
 * −ln(tail / 2³³) of an integer in [1, 2³²): exponents first, by counting zeros, so that nothing large
 * cancels; the rest by ln m = 2 artanh s = 2 Σ s²ᵏ⁺¹ / (2k + 1) with s = (m − 1)/(m + 1), |s| < 0.172.
 */
function minusLog(tail: number): number {
  let exponent = 31 - Math.clz32(tail);
  let m = tail / ((1 << exponent) >>> 0);
  if (m > Math.SQRT2) {
    m /= 2;
    exponent++;
  }
  const s = (m - 1) / (m + 1);
  return (33 - exponent) * LN2 - 2 * s * polynomial(ARTANH, s * s);
}

/** Σ coefficients[k] · xᵏ by Horner's rule. */
function polynomial(coefficients: readonly number[], x: number): number {
  let sum = coefficients[coefficients.length - 1];
  for (let k = coefficients.length - 2; k >= 0; k--) sum = sum * x + coefficients[k];
  return sum;
}

const ARTANH = Array.from({ length: 12 }, (_, k) => 1 / (2 * k + 1));

const CENTRE_OVER = [
  3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
  45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
];
const CENTRE_UNDER = [
  1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
  39307.89580009271061, 28729.085735721942674, 5226.495278852854561,
];
const TAIL_OVER = [
  1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
  1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833,
  7.7454501427834140764e-4,
];
const TAIL_UNDER = [
  1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
  0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
];
