/** Predictions and ensembles against dense algebra in f64, of kernels known only up to an error; alignment. */
import { describe, expect, test } from "vitest";
import { alignment, ensemble, predict, type Moment } from "../../src/theory.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigen } from "../reference/eigen.ts";
import { sample } from "../shaders/guarded.ts";

/** A B of [rows, inner] and [inner, columns]. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, inner: number): Float64Array {
  const [rows, columns] = [a.length / inner, b.length / inner];
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[i * inner + k] * b[k * columns + j];
    return sum;
  });
}
/** Aᵀ of [rows, columns]. */
const turned = (a: ArrayLike<number>, columns: number): Float64Array => {
  const rows = a.length / columns;
  return Float64Array.from(a, (_, at) => a[(at % rows) * columns + Math.floor(at / rows)]);
};
/** f(A) = V f(Λ) Vᵀ. */
function ofMatrix(a: Float64Array, n: number, f: (lambda: number) => number): Float64Array {
  const { values, vectors } = eigen(a, n);
  const scaled = vectors.map((x, at) => x * f(values[Math.floor(at / n)]));
  return product(turned(vectors, n), scaled, n);
}
const gramOf = (rows: ArrayLike<number>, width: number, others = rows) =>
  product(rows, turned(others, width), width);

describe("an ensemble", () => {
  // Three points besides five: rows of random features, one of the two kernels each.
  const [n, m, width] = [5, 3, 9];
  const features = (seed: number) => {
    const all = Float64Array.from(sample("normal", (n + m) * width, seed), (x) => x / 3);
    const [train, other] = [all.slice(0, n * width), all.slice(n * width)];
    return {
      ...{ gram: gramOf(train, width), cross: gramOf(other, width, train) },
      test: gramOf(other, width),
    };
  };
  const [ntk, nngp] = [features(1), features(2)];
  const targets = [1, -2, 0.5, 3, -1];

  for (const [name, moment, gain] of [
    ["t = 0.7", { time: 0.7 }, (x: number) => (1 - Math.exp(-0.7 * x)) / x],
    ["t = ∞", { time: Infinity }, (x: number) => 1 / x],
    [
      "nine steps of 0.15",
      { rate: 0.15, steps: 9 },
      (x: number) =>
        Array.from({ length: 9 }, (_, j) => 0.15 * (1 - 0.15 * x) ** j).reduce((a, b) => a + b),
    ],
  ] as [string, Moment, (x: number) => number][])
    gpuTest(
      `${name}: mean and covariance of three points trained on five others are those of dense algebra`,
      async (gpu) => {
        const a = product(ntk.cross, ofMatrix(ntk.gram, n, gain), n);
        const mean = product(a, targets, n);
        const inside = product(product(a, nngp.gram, n), turned(a, n), n);
        const across = product(a, turned(nngp.cross, n), n);
        const covariance = nngp.test.map(
          (value, at) => value + inside[at] - across[at] - turned(across, m)[at],
        );
        const found = await ensemble(gpu, ntk, nngp, targets, moment);
        const size = Math.max(...inside.map(Math.abs), ...nngp.test);
        assertWithin(found.mean, mean, 1e-11 * size * 10, "mean");
        assertWithin(found.covariance, covariance, 1e-11 * size, "covariance");
        // Not the prior, and not the same at all points.
        expect(Math.abs(found.covariance[1] - nngp.test[1])).toBeGreaterThan(1e-2);
        expect(Math.abs(across[1] - across[3])).toBeGreaterThan(1e-3);
        // What one network would predict is the mean of all.
        const one = await predict(gpu, { ...ntk, targets }, moment);
        assertWithin(one.mean, found.mean, 1e-11 * size * 10, "a network's");
        const left = ofMatrix(ntk.gram, n, (x) => 1 - x * gain(x));
        const residual = product(left, targets, n).map((value) => -value);
        assertWithin(one.residual, residual, 1e-11 * 10, "residual");
      },
    );
});

describe("a kernel that is known up to an error", () => {
  const n = 5;
  const { vectors } = eigen(gramOf(sample("normal", n * n, 5), n), n);
  const axis = (k: number) => vectors.subarray(k * n, (k + 1) * n);
  const outer = (lambdas: readonly number[]): Float64Array => {
    const out = new Float64Array(n * n);
    lambdas.forEach((lambda, k) => {
      const v = axis(k);
      out.forEach((_, at) => (out[at] += lambda * v[Math.floor(at / n)] * v[at % n]));
    });
    return out;
  };
  const [noise, error] = [1e-9, 1e-8];
  const low = outer([3, 1]);
  const noisy = outer([3, 1, noise, -noise]);
  const targets = [1, -2, 0.5, 3, -1];
  /** Of the projection to both axes. */
  const kept = product(outer([1, 1]), targets, n);
  const missed = kept.map((value, i) => value - targets[i]);

  gpuTest(
    "says nothing of what lies below it: at every late time as the kernel of low rank",
    async (gpu) => {
      for (const time of [1e9, 1e12, Infinity]) {
        const found = await predict(gpu, { gram: noisy, cross: low, targets, error }, { time });
        expect(found.rank, `t = ${time}`).toBe(2);
        assertWithin(found.mean, kept, 1e-7, `t = ${time}: mean`);
        assertWithin(found.residual, missed, 1e-7, `t = ${time}: residual`);
        // The rows of training points themselves have the noise too.
        const own = { gram: noisy, cross: noisy, targets, error };
        assertWithin((await predict(gpu, own, { time })).mean, kept, 1e-7, `t = ${time}: its own`);
      }
      const steps = await predict(
        ...([gpu, { gram: noisy, cross: low, targets, error }, { rate: 0.3, steps: 1e9 }] as const),
      );
      assertWithin(steps.residual, missed, 1e-7, "steps: residual");
    },
  );

  gpuTest(
    "along what a kernel does not see nothing is learnt, whatever stands in the other block",
    async (gpu) => {
      const cross = Float64Array.from(sample("normal", 3 * n, 6));
      for (const [moment, gain] of [
        [{ time: 0.5 }, (x: number) => (x > 1e-9 ? (1 - Math.exp(-0.5 * x)) / x : 0)],
        [{ rate: 0.2, steps: 3 }, (x: number) => (x > 1e-9 ? (1 - (1 - 0.2 * x) ** 3) / x : 0)],
      ] as [Moment, (x: number) => number][]) {
        const exactly = product(product(cross, ofMatrix(low, n, gain), n), targets, n);
        for (const gram of [low, noisy]) {
          const { mean } = await predict(gpu, { gram, cross, targets, error }, moment);
          assertWithin(mean, exactly, 1e-7, "mean");
        }
      }
    },
  );

  gpuTest(
    "without an error all of it counts: the least eigenvalue above 0 is learnt, too",
    async (gpu) => {
      const all = outer([3, 1, 1e-3, 1e-4, 1e-5]);
      const at = (given: number) =>
        predict(gpu, { gram: all, cross: all, targets, error: given }, { time: Infinity });
      const whole = await at(0);
      expect(whole.rank).toBe(5);
      assertWithin(whole.mean, targets, 1e-8, "all");
      expect((await at(5e-5)).rank).toBe(4);
      const part = await at(1e-2);
      expect(part.rank).toBe(2);
      assertWithin(part.mean, kept, 1e-8, "both that are above");
    },
  );
});

describe("alignment", () => {
  /** C A C with C = 1 − 1/n between rows of the same output. */
  const centre = (order: number, outputs: number) =>
    Float64Array.from({ length: order * order }, (_, at) => {
      const [i, j] = [Math.floor(at / order), at % order];
      return (i === j ? 1 : 0) - (i % outputs === j % outputs ? outputs / order : 0);
    });
  const aligned = (h: Float64Array, y: ArrayLike<number>) => {
    const squares = Array.from(y).reduce((sum, value) => sum + value ** 2, 0);
    return product(y, product(h, y, y.length), y.length)[0] / (Math.hypot(...h) * squares);
  };
  const known = gramOf(Float64Array.from(sample("normal", 6 * 4, 8)), 4);

  test("is null where nothing is left of targets or kernel", () => {
    const none = new Float64Array(6);
    expect([alignment(known, none, 1), alignment(known, none, 1, true)]).toEqual([null, null]);
    for (const outputs of [1, 2, 3]) {
      const constant = Float64Array.from(none, (_, at) => 0.1 + (at % outputs));
      expect(alignment(known, constant, outputs, true)).toBeNull();
      assertWithin([alignment(known, constant, outputs)!], [aligned(known, constant)], 1e-14, "y");
    }
    expect(alignment(new Float64Array(36), [1, 2, 3, 4, 5, 6], 1)).toBeNull();
    expect(alignment(new Float64Array(36).fill(0.7), [1, 2, 3, 4, 5, 6], 1, true)).toBeNull();
    // One sample, of one output and of six.
    expect(alignment(Float64Array.of(2), [0.3], 1, true)).toBeNull();
    expect(alignment(known, [1, 2, 3, 4, 5, 6], 6, true)).toBeNull();
    assertWithin([alignment(Float64Array.of(2), [0.3], 1)!], [1], 1e-14, "one sample");
  });

  test("centred, sees a small kernel on a large constant one, to 1e-6 of itself", () => {
    const y = [1, -1, 2, 0.5, 0.25, -3];
    for (const outputs of [1, 2]) {
      const large = known.map((value) => 1e4 + 1e-3 * value);
      const c = centre(6, outputs);
      const exactly = aligned(product(product(c, known, 6), c, 6), product(c, y, 6));
      expect(Math.abs(exactly)).toBeGreaterThan(0.05);
      expect(Math.abs(aligned(known, y) / exactly - 1)).toBeGreaterThan(1e-3);
      assertWithin(
        ...([[alignment(large, y, outputs, true)!], [exactly]] as const),
        ...([1e-6 * Math.abs(exactly), `${outputs} outputs`] as const),
      );
    }
  });
});
