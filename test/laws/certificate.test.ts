/** Bounds on the loss and the certificate, of tracked steps that are made up: every side is known. */
import { describe, expect, test } from "vitest";
import {
  certify,
  lossBounds,
  type Certificate,
  type Check,
  type Run,
  type TrackedStep,
} from "../../src/theory.ts";
import { assertWithin } from "../reference/compare.ts";

const RATE = 0.1;
const RUN: Run = { rate: RATE, loss: "mse", plain: true };
const SIZE = { n: 3, outputs: 2, layers: 3, width: 100 };

/** A tracked step; what is left out is that of a step at which every inequality holds with room. */
const made = (step: number, given: Partial<TrackedStep> = {}): TrackedStep => ({
  ...{ step, time: RATE * step, loss: 4.5, lossBound: 0, largestLoss: 4.5, outputBound: 0 },
  ...{
    residualNorm: 3 * 0.8 ** step,
    lambdaMin: 2,
    lambdaMinBound: 0,
    lambdaMax: 4,
    lambdaMaxBound: 0,
  },
  ...{ trace: 9, jacobianNorm: 2, sigmaMin: 1.4, largestGradient: 1.5 },
  ...{ gramDrift: 0, gramDriftBound: 0, limitDrift: null, limitDriftBound: null },
  ...{ parameterDrift: 0, layers: [], gradientNorm: 5, gradientBound: 2 },
  ...{ alignment: null, centredAlignment: null, velocity: 0, eigenvectorChange: 0 },
  ...{ residualAlong: new Float64Array(0), linearGap: 0, flowGap: 0 },
  ...given,
});
const find = ({ checks }: Certificate, name: string): Check =>
  checks.find((check) => check.name === name)!;
const near = (is: number | null, be: number, what: string) =>
  assertWithin([is ?? NaN], [be], 1e-13 * Math.abs(be), what);

/** Looks at steps 0, 1 and 3; λ = 2, K = 4. */
const WATCHED = [
  made(0, {
    ...{ lossBound: 0.01, outputBound: 0.02, lambdaMin: 2.25, lambdaMinBound: 0.25 },
    ...{ lambdaMaxBound: 0.5, gradientBound: 2.5, limitDrift: 0.3, limitDriftBound: 0.05 },
  }),
  made(1, {
    ...{ loss: 3.00125, lossBound: 0.005, outputBound: 0.03, residualNorm: 2.45 },
    ...{ lambdaMin: 1.9, lambdaMinBound: 0.1, lambdaMax: 4.4, lambdaMaxBound: 0.1 },
    ...{ jacobianNorm: 2.2, gramDrift: 0.05, gramDriftBound: 0.01, parameterDrift: 2 },
    ...{ gradientNorm: 4, gradientBound: 2, linearGap: 0.01 },
  }),
  made(3, {
    ...{ loss: 1.445, lossBound: 0.004, outputBound: 0.01, residualNorm: 1.7 },
    ...{ lambdaMin: 2.1, lambdaMinBound: 0.1, lambdaMax: 4.2, lambdaMaxBound: 0.1 },
    ...{ jacobianNorm: 2.05, gramDrift: 0.03, gramDriftBound: 0.02, parameterDrift: 1 },
    ...{ gradientNorm: 4, gradientBound: 1.9, linearGap: 0.06 },
  }),
];

describe("the certificate", () => {
  test("every inequality has the sides, the slack, the step and the verdict worked out by hand", () => {
    const certificate = certify(WATCHED, RUN, null, SIZE)!;
    near(certificate.lambda, 2, "λ is λ_min(H_0) from below");
    expect(certificate.lambdaOf).toBe("start");
    near(certificate.jacobianBound, 4, "K");
    near(certificate.radius, 12, "R′ = 2 · 4 / 2 · 3");
    expect(certificate.holds).toBe(true);
    near(certificate.time, 0.3, "T");
    const flow = 4.5 * Math.exp(-2 * 1.8 * 0.1 - 2 * 1.8 * 0.2);
    const way = Math.exp(-2 * 0.1);
    // ρ = 1 − 0.1 · 2: 0.1 · 1 · 0.06 · 2.45 at step 1, then two steps at the worse of both ends.
    const duhamel = 0.0147 * 0.8 ** 2 + 0.1 * (1 + 0.8) * 0.147;
    const expected: [string, boolean, number, number, number, number, boolean | null][] = [
      ["eigenvalue", true, 1, 1.9, 0.1, 1, true],
      ["Jacobian", true, 2.2, 4, 0.1 / 4.4, 1, true],
      ["drift of the kernel", true, 0.05, 0.25, 0.01, 1, true],
      ["eigenvalue, closed circle", true, 1.25, 1.9, 0.1, 1, true],
      ["residual", true, 2.45 ** 2, way * 9, 0.01 + way * 0.02, 1, true],
      ["way of the weights", true, 2, 12, 4 * 0.02, 1, true],
      ["Weyl", false, 2.2, 1.9, 0.25 + 0.01 + 0.1, 1, null],
      ["no critical point", false, 2, 4, 2 ** -20 * 2.2 * 2.45, 1, true],
      ["Grönwall", false, 1.445, flow, 0.004 + (flow / 4.5) * 0.01, 3, null],
      ["Duhamel", false, 0.06, duhamel, 0.01 + 0.02, 3, null],
    ];
    expect(certificate.checks.map(({ name }) => name)).toEqual(expected.map(([name]) => name));
    for (const [name, decides, left, right, off, step, holds] of expected) {
      const check = find(certificate, name);
      near(check.left, left, `${name}: left`);
      near(check.right, right, `${name}: right`);
      assertWithin([check.slack], [right - left - off], 1e-13, `${name}: slack`);
      expect([check.decides, check.step, check.holds, check.firstFailure], name).toEqual([
        ...[decides, step, holds, null],
      ]);
    }
    expect(find(certificate, "residual").statement).toBe("flow");
    expect(find(certificate, "Grönwall").statement).toBe("flow");
    expect(find(certificate, "Duhamel").statement).toBe("descent");
  });

  test("with H_∞ the premise is its λ, the start must be within λ/4, and one more width is told", () => {
    const certificate = certify(WATCHED, RUN, 1.6, SIZE)!;
    expect([certificate.lambda, certificate.lambdaOf]).toEqual([1.6, "limit"]);
    near(certificate.radius, (8 / 1.6) * 3, "R′");
    const { left, right, slack, holds, decides } = find(certificate, "start near limit");
    near(left, 0.3, "left");
    near(right, 0.4, "right");
    assertWithin([slack], [0.05], 1e-15, "slack");
    expect([decides, holds]).toEqual([true, true]);
    near(find(certificate, "eigenvalue").left, 0.8, "λ/2");
    near(find(certificate, "eigenvalue, closed circle").left, 1, "5λ/8");
    near(find(certificate, "drift of the kernel").right, 0.2, "λ/8");
    near(certificate.widths[3].width, 100 * ((4 * 0.3) / 1.6) ** 2, "width of the start");
    const far = certify([made(0, { limitDrift: 0.5, limitDriftBound: 0.05 })], RUN, 1.6, SIZE)!;
    expect(find(far, "start near limit").holds).toBe(false);
    expect(find(far, "start near limit").firstFailure).toEqual({ step: 0, time: 0 });
    expect(far.holds).toBe(false);
  });

  test("widths are those of the formulas, with the largest drift of all looks", () => {
    const { widths } = certify(WATCHED, RUN, null, SIZE)!;
    expect(widths).toHaveLength(3);
    // n = 3 · 2, λ = 2, two hidden layers, 0.05 at step 1.
    near(widths[0].width, 9, "n² / λ²");
    near(widths[1].width, 9 * 3 ** 12, "with R^(6D)");
    near(widths[2].width, 100 * ((8 * 0.05) / 2) ** 2, "of the drift");
  });

  test("T is the last look before an eigenvalue below λ/2 or a Jacobian beyond K", () => {
    const until = (...steps: TrackedStep[]) => certify([made(0), ...steps], RUN, null, SIZE)!.time;
    near(until(made(1), made(2), made(5)), 0.5, "never");
    // λ = 2: 1.1 ± 0.2 may be below 1, 1.1 ± 0.05 is not.
    const low = { lambdaMin: 1.1, lambdaMinBound: 0.2 };
    near(until(made(1), made(2, low), made(5)), 0.1, "eigenvalue");
    near(until(made(1), made(2, { ...low, lambdaMinBound: 0.05 }), made(5)), 0.5, "from below");
    // K = 4: λ_max up to 16.
    const steep = { lambdaMax: 15.9, lambdaMaxBound: 0.2 };
    near(until(made(1), made(2), made(4), made(5, steep)), 0.4, "Jacobian");
    near(until(made(1), made(5, { ...steep, lambdaMaxBound: 0.05 })), 0.5, "from above");
    expect(certify([made(0), made(1)], RUN, 5, SIZE)!.time).toBe(0);
  });

  test("a check that fails says so, with the first step at which it surely does", () => {
    const away = { gramDrift: 0.3, gramDriftBound: 0.01 };
    const certificate = certify(
      [made(0), made(1), made(2, away), made(3, { ...away, gramDrift: 0.5 }), made(4)],
      ...([RUN, null, SIZE] as const),
    )!;
    const { holds, firstFailure, step, left } = find(certificate, "drift of the kernel");
    expect([holds, step, left]).toEqual([false, 3, 0.5]);
    expect(firstFailure).toEqual({ step: 2, time: RATE * 2 });
    expect(certificate.holds).toBe(false);
  });

  test("within the intervals, and where a side is no number, nothing is told: null", () => {
    expect(certify([made(0), made(1), made(2)], RUN, null, SIZE)!.holds).toBe(true);
    const doubt = certify(
      [made(0), made(1, { gramDrift: 0.26, gramDriftBound: 0.02 })],
      RUN,
      null,
      SIZE,
    )!;
    const drift = find(doubt, "drift of the kernel");
    expect([drift.holds, drift.firstFailure]).toEqual([null, null]);
    expect(doubt.holds).toBe(false);
    for (const parameterDrift of [NaN, Infinity]) {
      const lost = certify([made(0), made(1, { parameterDrift }), made(2)], RUN, null, SIZE)!;
      const { holds, slack } = find(lost, "way of the weights");
      expect(holds).toBe(parameterDrift === Infinity ? false : null);
      expect(slack).toBeLessThan(Infinity);
      expect(lost.holds).toBe(false);
    }
  });

  test("what is shown beside does not decide", () => {
    // Weyl: 2 − 0.1 ≤ 1.5 is false, and no gradient is as small.
    const odd = { loss: 1, residualNorm: 1, lambdaMin: 1.5, gramDrift: 0.1, gradientNorm: 1 };
    const certificate = certify([made(0), made(1, odd)], RUN, null, SIZE)!;
    for (const name of ["Weyl", "no critical point"]) {
      expect(find(certificate, name).holds, name).toBe(false);
      expect(find(certificate, name).firstFailure, name).toEqual({ step: 1, time: RATE });
      expect(find(certificate, name).decides, name).toBe(false);
    }
    expect(certificate.holds).toBe(true);
  });

  test("Grönwall's is told of every step, and null where steps were left out", () => {
    const after = (step: number, loss: number) =>
      find(certify([made(0), made(step, { loss })], RUN, null, SIZE)!, "Grönwall");
    // L(0) e^(−2 · 2 · 0.1 · steps).
    expect(after(1, 4.5 * Math.exp(-0.4) * 0.999).holds).toBe(true);
    expect(after(1, 4.5 * Math.exp(-0.4) * 1.001).holds).toBe(false);
    expect(after(2, 4.5 * Math.exp(-0.8) * 0.999).holds).toBe(null);
    const { holds, firstFailure } = after(2, 4.5 * Math.exp(-0.8) * 1.001);
    expect([holds, firstFailure]).toEqual([null, { step: 2, time: 0.2 }]);
  });

  test("Duhamel's sum with ρ = 1 counts steps, and with ρ beyond 1 grows", () => {
    const right = (rate: number, lambdaMin: number, lambdaMax: number) => {
      const looks = [
        made(0, { lambdaMin, lambdaMinBound: 0.5, lambdaMax, lambdaMaxBound: 0.5 }),
        made(3, { gramDrift: 0.2, residualNorm: 2, linearGap: 1e6 }),
        made(5, { gramDrift: 0.1, gramDriftBound: 0.2, residualNorm: 1, linearGap: 2e6 }),
      ];
      const check = find(certify(looks, { ...RUN, rate }, 1, SIZE)!, "Duhamel");
      expect(check.step).toBe(5);
      return check.right;
    };
    near(right(0.5, 0.25, 3), 0.5 * 0.4 * 3 + 0.5 * 0.4 * 2, "ρ = 1");
    near(right(1, 0.75, 2), 0.4 * (1 + 1.5 + 2.25) * 1.5 ** 2 + 0.4 * (1 + 1.5), "ρ = 1.5");
  });

  test("there is none of no steps, of another loss, or of batches and momentum", () => {
    expect(certify([], RUN, null, SIZE)).toBeNull();
    expect(certify(WATCHED, { ...RUN, loss: "logistic" }, null, SIZE)).toBeNull();
    expect(certify(WATCHED, { ...RUN, plain: false }, null, SIZE)).toBeNull();
    expect(certify([made(0)], RUN, null, SIZE)).not.toBeNull();
  });
});

describe("bounds on the loss", () => {
  test("mse, small steps: the exponent takes the lesser eigenvalue of both ends, from below", () => {
    const bounds = lossBounds(WATCHED, RUN);
    const exponents = [0, 2 * 1.8 * 0.1, 2 * 1.8 * 0.1 + 2 * 1.8 * 0.2];
    bounds.forEach(({ bound, boundOf }, k) => {
      near(bound, 4.5 * Math.exp(-exponents[k]), `look ${k}`);
      expect(boundOf).toBe("flow, sampled: L(0) exp(−2 ∫ λ_min)");
    });
    const [, next] = lossBounds([made(0), made(1)], RUN);
    expect(next.boundOf).toBe("flow: L(0) exp(−2 ∫ λ_min)");
    const [, unknown] = lossBounds([made(0), made(1, { lambdaMinBound: 3 })], RUN);
    expect(unknown.bound).toBe(4.5);
  });

  test("mse, once η λ_max is beyond 1.25: the product of the worst factors, and so it stays", () => {
    const run = { ...RUN, rate: 0.5 };
    const looks = [
      made(0, { lambdaMax: 2.4 }),
      made(1, { lambdaMin: 1.5, lambdaMax: 2.5 }),
      made(2, { lambdaMax: 2.6, lambdaMaxBound: 0.2, lambdaMin: 1.8, lambdaMinBound: 0.2 }),
      made(3, { lambdaMax: 2, lambdaMin: 0.2, lambdaMinBound: 0.1 }),
    ];
    const bounds = lossBounds(looks, run);
    expect(bounds.map(({ boundOf }) => boundOf?.slice(0, 7))).toEqual([
      ...["flow: L", "flow: L", "descent", "descent"],
    ]);
    expect(bounds[2].boundOf).toBe("descent: L(0) Π max (1 − ηλ)²");
    near(bounds[1].bound, 4.5 * Math.exp(-2 * 1.5 * 0.1), "at 1.25");
    // Factors |1 − ηλ|: 0.25 twice at first; |1 − 1.4| of step 2; then 1 − 0.05.
    near(bounds[2].bound, 4.5 * 0.25 ** 2 * 0.4 ** 2, "step 2");
    near(bounds[3].bound, 4.5 * 0.25 ** 2 * 0.4 ** 2 * 0.95 ** 2, "step 3");
    const [, four] = lossBounds([made(0), made(4)], { ...run, rate: 0.45 });
    near(four.bound, 4.5 * 0.8 ** 8, "four steps at once");
    expect(four.boundOf).toBe("descent, sampled: L(0) Π max (1 − ηλ)²");
  });

  for (const [loss, curvature] of [
    ["logistic", 0.25],
    ["softmax", 0.5],
  ] as const)
    test(`${loss}: what steps take at least, null once one is too large, never below 0`, () => {
      const run = { ...RUN, loss };
      const bounds = lossBounds(WATCHED, run);
      const share = 0.1 - (curvature * 0.01 * 4.5) / 2;
      const first = share * 1.8 * 2.45 ** 2;
      near(bounds[0].bound, 4.5, "start");
      near(bounds[1].bound, 4.5 - first, "step 1");
      near(bounds[2].bound, 4.5 - first - 2 * share * 1.8 * 1.7 ** 2, "step 3");
      expect(bounds[2].boundOf).toMatch(/^descent, sampled: L\(0\) − Σ/);
      const rate = 0.5;
      // η − c η² λ / 2 = 0 at λ = 2 / (c η).
      const edge = 2 / (curvature * rate);
      const at = (lambdaMax: number) =>
        lossBounds([made(0), made(1, { lambdaMax }), made(2)], { ...run, rate });
      near(at(edge * 0.999)[1].bound, 4.5 - rate * 0.001 * 2 * 2.4 ** 2, "nearly too large");
      for (const { bound, boundOf } of at(edge * 1.001).slice(1))
        expect([bound, boundOf]).toEqual([null, null]);
      expect(lossBounds([made(0), made(100, { residualNorm: 3 })], run)[1].bound).toBe(0);
    });

  test("of batches or momentum there is none", () => {
    for (const { bound, boundOf } of lossBounds(WATCHED, { ...RUN, plain: false }))
      expect([bound, boundOf]).toEqual([null, null]);
    expect(lossBounds([], RUN)).toEqual([]);
  });
});
