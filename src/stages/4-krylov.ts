import { norm64 } from "./0-double.ts";
import type { Tridiagonal } from "./4-tridiagonal.ts";

/** What `hostLanczos` found: Qᵀ A Q = T. */
export interface Krylov {
  readonly tridiagonal: Tridiagonal;
  /** Unit vectors [n] orthogonal to each other, as many as T has rows. */
  readonly basis: readonly Float64Array[];
  /** Length of what is left after the last step: A Q = Q T + rest · q eᵀ; 0 where the space is exhausted. */
  readonly rest: number;
}

/** Σ x_i y_i. */
export function inner(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

/**
 * The Lanczos iteration in f64 on the CPU for a symmetric matrix that is known by what it makes of vectors; every new
 * vector is made orthogonal to all before it, twice. It ends early where the Krylov space is exhausted.
 *
 * @param times v [n] ↦ A v [n]; v is lent
 * @param start not 0
 * @param enough whether what there is will do; asked after every eighth step
 *
 * **Cost** `steps` products and 8 n · steps² flops.
 */
export async function hostLanczos(
  times: (vector: Float64Array) => Promise<Float64Array>,
  start: Float64Array,
  steps: number,
  enough: (tridiagonal: Tridiagonal, rest: number) => boolean = () => false,
): Promise<Krylov> {
  const basis: Float64Array[] = [];
  const diagonal: number[] = [];
  const beside: number[] = [];
  const soFar = (): Tridiagonal => ({
    diagonal: Float64Array.from(diagonal),
    beside: Float64Array.from(beside.slice(0, -1)),
  });
  let next = start;
  let length = norm64(next);
  let largest = 0;
  for (let step = 0; step < steps && length > 2 ** -20 * largest; step++) {
    const scale = length;
    const q = next.map((value) => value / scale);
    basis.push(q);
    next = (await times(q)).slice();
    diagonal.push(inner(q, next));
    for (let round = 0; round < 2; round++)
      for (const other of basis) {
        const along = inner(other, next);
        for (let i = 0; i < next.length; i++) next[i] -= along * other[i];
      }
    length = norm64(next);
    largest = Math.max(largest, Math.abs(diagonal[step]), length);
    beside.push(length);
    if (step % 8 === 7 && enough(soFar(), length)) break;
  }
  return { basis, tridiagonal: soFar(), rest: length > 2 ** -20 * largest ? length : 0 };
}
