import { norm64 } from "../stages/0-double.ts";
import { normals64 } from "../stages/0-normal.ts";
import { singular, type Singular } from "./singular.ts";

/** A matrix J [rows, columns] that is known by what it and its transpose make of vectors. */
export interface LinearMap {
  readonly rows: number;
  readonly columns: number;
  /** z [columns] ↦ J z [rows]. */
  times(vector: Float32Array<ArrayBuffer>): Promise<Float32Array | Float64Array>;
  /** x [rows] ↦ Jᵀ x [columns]. */
  transposed(vector: Float32Array<ArrayBuffer>): Promise<Float32Array | Float64Array>;
}

/** Which singular values are wanted, and what may be spent on them. */
export interface BidiagonalOptions {
  readonly top: number;
  readonly bottom: number;
  /** Vectors of either side that are kept at once. */
  readonly basis: number;
  /** Steps at the most: a step is one product with J and one with Jᵀ. */
  readonly steps: number;
  /** Told before every step. */
  readonly onStep?: (step: number) => void;
}

/** Approximate singular triplets J z ≈ σ x, Jᵀ x ≈ σ z, largest first: of each end the wanted ones, at least one. */
export interface Triplets {
  readonly values: Float64Array;
  /** x [rows], in f64. */
  readonly left: readonly Float64Array[];
  /** z [columns], in f64. */
  readonly right: readonly Float64Array[];
  /** ‖J z − σ x‖ as the iteration expects it, without its rounding. */
  readonly residuals: Float64Array;
  /** Whether each of them is small enough, or σ itself as small as rounding. */
  readonly done: readonly boolean[];
  readonly steps: number;
  readonly restarts: number;
  /** Most vectors of both bases that were held at once. */
  readonly held: number;
}

/** What rounding leaves of a residual, and of an upper σ that is known, as a share of the largest singular value. */
const FLOOR = 2 ** -22;
/** A lower σ is known where its residual is at most this share of it. */
export const RELATIVE = 2 ** -10;
/** A direction as short as this, beside the largest, is rounding. */
const NOTHING = 2 ** -23;

/**
 * Singular triplets at both ends of a matrix that is known by its products alone, by Golub & Kahan's bidiagonalization
 * with thick restarts: σ² are the eigenvalues of J Jᵀ, which is never formed, so that rounding in f32 moves σ, and not
 * σ², by a share of the largest.
 *
 *   Jᵀ U = V R        J V = U Rᵀ + β u eᵀ        R upper triangular; R = P S Qᵀ:  x = U q,  z = V p,  ‖J z − σ x‖ = β |p_m|
 *
 * Every vector is made orthogonal to all before it, twice, in f64. A full basis keeps the Ritz vectors of both ends and
 * goes on from u. Once the wanted ones are known, a new random direction joins them for as many steps as that took, or a
 * basis, as one start sees only one vector of a multiple eigenvalue.
 *
 * **Cost** a step: the two products, and 8 · (rows + columns) · basis flops on the CPU; 4 · (rows + columns) · basis bytes.
 * **From** Golub & Kahan 1965; Wu & Simon 2000; Baglama & Reichel 2005.
 */
export async function bidiagonalEnds(
  map: LinearMap,
  { top, bottom, steps, onStep, ...options }: BidiagonalOptions,
): Promise<Triplets> {
  const { rows: least, columns } = map;
  if (least > columns) {
    // Begun on the shorter side: on the longer one, what J takes to 0 would come in by rounding.
    const { left, right, ...rest } = await bidiagonalEnds(turnedOver(map), {
      ...{ top, bottom, steps, onStep },
      ...options,
    });
    return { ...rest, left: right, right: left };
  }
  const basis = Math.min(least, options.basis);
  const space = new Space(map);
  let restarts = 0;
  let look = Math.min(basis, FIRST_LOOK);
  /** The wanted values when the check began that is under way. */
  let checked: Float64Array | null = null;
  let checkedAt = basis;
  space.renew();
  for (let step = 1; ; step++) {
    onStep?.(step);
    await space.extend();
    const { size } = space;
    const whole = size === least;
    const full = size === (checked ? checkedAt : basis);
    const ended = whole || step >= steps;
    if (!ended && !full && (checked || size < look)) {
      space.proceed();
      continue;
    }
    look = Math.min(basis, Math.ceil(1.3 * size));
    const small = space.small();
    const residuals = space.residuals(small);
    const largest = small.values[0];
    const limits = small.values.map((value, place) =>
      place < top || place === 0 ? FLOOR * largest : lowerLimit(value, largest),
    );
    // Of what is as small as rounding nothing more can be learnt.
    const isLost = (place: number) =>
      place >= Math.max(top, 1) && small.values[place] + residuals[place] <= FLOOR * largest;
    const isDone = (place: number) => whole || residuals[place] <= limits[place] || isLost(place);
    const places = ends(size, Math.max(top, 1), bottom);
    const wanted = Float64Array.from(places, (place) => small.values[place]);
    const done =
      places.length >= Math.min(least, Math.max(top, 1) + bottom) && places.every(isDone);
    const same = checked?.every(
      (value, i) => Math.abs(value - wanted[i]) <= 2 * Math.max(limits[places[i]], FLOOR * largest),
    );
    if (ended || (done && same)) {
      const chosen = ends(size, Math.max(top, 1), Math.max(bottom, 1));
      return {
        values: Float64Array.from(chosen, (place) => small.values[place]),
        left: chosen.map((place) => combined(space.left, small.right[place])),
        right: chosen.map((place) => combined(space.right, small.left[place])),
        residuals: Float64Array.from(chosen, (place) => residuals[place]),
        done: chosen.map(isDone),
        steps: step,
        restarts,
        held: space.held,
      };
    }
    if (done) {
      checked = wanted;
      checkedAt = Math.min(basis, places.length + step);
      space.keep(small, places, residuals);
      space.renew();
    } else {
      checked = null;
      if (size === basis) {
        const spare = Math.floor((basis - places.length) / 2);
        const above = bottom === 0 ? spare : Math.floor(spare * ABOVE);
        space.keep(small, ends(size, Math.max(top, 1) + above, bottom + spare - above), null);
      }
      space.proceed();
    }
    if (size === basis || done) restarts += 1;
  }
}

/** Jᵀ in place of J. */
const turnedOver = ({ rows, columns, times, transposed }: LinearMap): LinearMap => ({
  ...{ rows: columns, columns: rows },
  ...{ times: transposed, transposed: times },
});

/** Steps before the first look at R. */
const FIRST_LOOK = 16;
/** Share of the Ritz vectors kept beyond the wanted ones that is at the upper end, where bottom values are wanted. */
const ABOVE = 0.6;

/** What ‖J z − σ x‖ of a known lower σ is at the most: a share of σ, and 2⁻²² of λ_max in σ². */
const lowerLimit = (value: number, largest: number): number =>
  Math.min(RELATIVE * value, value > 0 ? (FLOOR * largest * largest) / (2 * value) : Infinity);

/** Places of both ends among `count` values. */
const ends = (count: number, top: number, bottom: number): number[] =>
  Array.from({ length: count }, (_, i) => i).filter(
    (place) => place < top || place >= count - bottom,
  );

/** Both bases, R, and the direction that is left over. */
class Space {
  readonly left: Float32Array<ArrayBuffer>[] = [];
  readonly right: Float32Array<ArrayBuffer>[] = [];
  /** Columns of R: what Jᵀ u_j has along v_0 … v_j. */
  #r: Float64Array[] = [];
  /** Residuals of kept vectors along directions that were given up. */
  #loose: number[] = [];
  #rest: Float64Array = new Float64Array(0);
  #beta = 0;
  /** A size of J: the longest column of R. */
  #largest = 0;
  #seed = 0;
  #held = 0;
  readonly #map: LinearMap;

  constructor(map: LinearMap) {
    this.#map = map;
  }

  get size(): number {
    return this.right.length;
  }

  get held(): number {
    return this.#held;
  }

  /** A new random direction joins the left basis. */
  renew(): void {
    const random = normals64(this.#seed++, this.#map.rows);
    orthogonalize(random, this.left);
    this.left.push(scaled(random, 1 / norm64(random)));
  }

  /** Jᵀ u joins the right basis, and J v leaves a rest. */
  async extend(): Promise<void> {
    const { rows, columns } = this.#map;
    const image = Float64Array.from(await this.#map.transposed(this.left[this.left.length - 1]));
    const whole = norm64(image);
    const column = orthogonalize(image, this.right);
    let alpha = norm64(image);
    this.#largest = Math.max(this.#largest, whole);
    if (!(alpha > NOTHING * this.#largest)) {
      // Nothing new: the column ends with 0, and any new direction will do.
      alpha = 0;
      image.set(normals64(2 ** 31 + this.#seed++, columns));
      orthogonalize(image, this.right);
    }
    this.right.push(scaled(image, 1 / (alpha || norm64(image))));
    this.#held = Math.max(this.#held, this.left.length + this.right.length);
    this.#r.push(Float64Array.of(...column, alpha));
    this.#loose.push(0);
    this.#rest = Float64Array.from(await this.#map.times(this.right[this.right.length - 1]));
    orthogonalize(this.#rest, this.left);
    this.#beta = this.left.length === rows ? 0 : norm64(this.#rest);
  }

  /** The rest joins the left basis. */
  proceed(): void {
    if (this.#beta > NOTHING * this.#largest) {
      this.left.push(scaled(this.#rest, 1 / this.#beta));
      return;
    }
    const last = this.size - 1;
    this.#loose[last] = Math.hypot(this.#loose[last], this.#beta);
    this.renew();
  }

  small(): Singular {
    const m = this.size;
    return singular(
      this.#r.map((column) => {
        const padded = new Float64Array(m);
        padded.set(column);
        return padded;
      }),
    );
  }

  /** ‖J z − σ x‖ of each. */
  residuals({ left }: Singular): Float64Array {
    return Float64Array.from(left, (p) =>
      Math.hypot(this.#beta * p[this.size - 1], this.#looseOf(p)),
    );
  }

  #looseOf(p: Float64Array): number {
    return norm64(p.map((value, k) => value * this.#loose[k]));
  }

  /** Only the Ritz vectors in these places remain; with `given` also the rest goes, and those are what it leaves. */
  keep(small: Singular, places: readonly number[], given: Float64Array | null): void {
    this.#loose = places.map((place) => given?.[place] ?? this.#looseOf(small.left[place]));
    combine(
      this.left,
      places.map((place) => small.right[place]),
    );
    combine(
      this.right,
      places.map((place) => small.left[place]),
    );
    this.#r = places.map((place, k) => {
      const column = new Float64Array(k + 1);
      column[k] = small.values[place];
      return column;
    });
  }
}

const scaled = (vector: Float64Array, factor: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(vector, (value) => value * factor);

/** Takes the components along orthonormal vectors out, twice, four at a time, and says what they were. */
function orthogonalize(vector: Float64Array, basis: readonly Float32Array[]): Float64Array {
  const n = vector.length;
  const along = new Float64Array(basis.length);
  for (let round = 0; round < 2; round++)
    for (let k = 0; k < basis.length; k += 4) {
      const given = Math.min(4, basis.length - k);
      // Past the end the last vector stands in, with nothing along it.
      const [q0, q1, q2, q3] = [0, 1, 2, 3].map((at) => basis[k + Math.min(at, given - 1)]);
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let i = 0; i < n; i++) {
        const value = vector[i];
        s0 += q0[i] * value;
        s1 += q1[i] * value;
        s2 += q2[i] * value;
        s3 += q3[i] * value;
      }
      if (given < 2) s1 = 0;
      if (given < 3) s2 = 0;
      if (given < 4) s3 = 0;
      for (let i = 0; i < n; i++) vector[i] -= s0 * q0[i] + s1 * q1[i] + (s2 * q2[i] + s3 * q3[i]);
      [s0, s1, s2, s3].slice(0, given).forEach((sum, at) => (along[k + at] += sum));
    }
  return along;
}

/** Σ_k weights_k basis_k in f64. */
function combined(basis: readonly Float32Array[], weights: Float64Array): Float64Array {
  const out = new Float64Array(basis[0].length);
  for (let k = 0; k < weights.length; k++)
    for (let i = 0; i < out.length; i++) out[i] += weights[k] * basis[k][i];
  return out;
}

/** Entries that are combined at once, so that no second basis is needed. */
const STRIP = 512;

/** The basis becomes as many combinations of its vectors as there are lists of weights, in place. */
function combine(basis: Float32Array<ArrayBuffer>[], weights: readonly Float64Array[]): void {
  const n = basis[0].length;
  for (let from = 0; from < n; from += STRIP) {
    const strips = basis.map((vector) => vector.subarray(from, from + STRIP));
    weights.map((list) => combined(strips, list)).forEach((strip, k) => basis[k].set(strip, from));
  }
  basis.length = weights.length;
}
