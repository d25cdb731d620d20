import { CURVATURE, type Loss } from "./loss.ts";
import type { TrackedStep } from "./tracking.ts";

/**
 * What a statement is about: kernels and gradients at one moment; the gradient flow, of which steps that tend to 0 are
 * the limit; or descent itself, up to an O(η²) that is not counted.
 */
export type Statement = "kernel" | "flow" | "descent";

/** One inequality, left ≤ right, at each tracked step, with what its sides are known to. */
export interface Check {
  readonly name: string;
  readonly formula: string;
  readonly statement: Statement;
  /** Whether the argument rests on it; else it is shown beside. */
  readonly decides: boolean;
  /** Sides at the step of least slack. */
  readonly left: number;
  readonly right: number;
  /** right − left, less what both sides may be off by. */
  readonly slack: number;
  readonly step: number;
  /** True or false where the intervals leave no doubt at any step, else null. */
  readonly holds: boolean | null;
  /** The first step at which it surely fails. */
  readonly firstFailure: { readonly step: number; readonly time: number } | null;
}

/** The convergence argument of one training run, with numbers. */
export interface Certificate {
  /** Whether every inequality that the argument rests on surely holds at every tracked step. */
  readonly holds: boolean;
  /** The premise: λ = λ_min(H_∞) from below, or of H_0 where H_∞ was not given. */
  readonly lambda: number;
  readonly lambdaOf: "limit" | "start";
  /** K of ‖J_t‖ ≤ K: twice ‖J_0‖. */
  readonly jacobianBound: number;
  /** R′ = (2K / λ) ‖r_0‖. */
  readonly radius: number;
  /** The last tracked time up to which λ_min(H_t) ≥ λ/2 and ‖J_t‖ ≤ K: the argument's T as far as it was watched. */
  readonly time: number;
  readonly checks: readonly Check[];
  /** Widths that would be needed, none of them proved. */
  readonly widths: readonly { readonly formula: string; readonly width: number }[];
}

/** The loss's bound at one tracked step, and what it rests on. */
export interface LossBound {
  readonly bound: number | null;
  readonly boundOf: string | null;
}

/** What the bounds need to know of a run. */
export interface Run {
  readonly rate: number;
  readonly loss: Loss;
  /** Whether every step takes all samples, without momentum. */
  readonly plain: boolean;
}

const lower = ({ lambdaMin, lambdaMinBound }: TrackedStep): number =>
  Math.max(0, lambdaMin - lambdaMinBound);
const upper = ({ lambdaMax, lambdaMaxBound }: TrackedStep): number => lambdaMax + lambdaMaxBound;

/** Whether tracked steps follow each other without a gap: else what lies between two looks is not known, but sampled. */
const isSampled = (tracked: readonly TrackedStep[]): boolean =>
  tracked.some((now, k) => k > 0 && now.step - tracked[k - 1].step > 1);

/** Up to this x, |1 − x| ≤ e^(−x): a step of descent takes no less of the residual than the flow. */
const FLOWS = 1.25;

/**
 * Bounds on the loss from the kernels seen so far, at each tracked step.
 *
 *   mse, η λ_max ≤ 1.25     L(0) · exp(−2 ∫ λ_min(H_s) ds)
 *   mse, else               L(0) · Π max_i (1 − ηλ_i(H_k))²
 *   others                  L(0) − Σ (η − c η² λ_max(H_k) / 2) λ_min(H_k) ‖∂L/∂u‖²,  c the loss's largest curvature
 *
 * The first is Grönwall's for the flow; all are for descent too, up to what the network's own curvature adds, O(η²), which
 * is not counted. Between two looks λ_min, λ_max and slopes are taken as the worse of both ends: that is sampled, no bound
 * on what they were, unless every step is tracked.
 *
 * @returns null bounds where steps take batches or have momentum, and where a step is too large for the last to fall
 */
export function lossBounds(
  tracked: readonly TrackedStep[],
  { rate, loss, plain }: Run,
): LossBound[] {
  if (!plain) return tracked.map(() => ({ bound: null, boundOf: null }));
  const start = tracked[0]?.loss ?? 0;
  const sampled = isSampled(tracked) ? ", sampled" : "";
  const curvature = CURVATURE[loss];
  let exponent = 0;
  let product = 1;
  let fallen = 0;
  let flows = true;
  return tracked.map((now, k) => {
    flows &&= rate * now.lambdaMax <= FLOWS;
    if (k > 0) {
      const before = tracked[k - 1];
      const steps = now.step - before.step;
      const least = Math.min(lower(before), lower(now));
      const most = Math.max(upper(before), upper(now));
      exponent += 2 * least * (now.time - before.time);
      product *= Math.max(Math.abs(1 - rate * least), Math.abs(1 - rate * most)) ** (2 * steps);
      const share = rate - (curvature * rate * rate * most) / 2;
      const slope = Math.min(before.residualNorm, now.residualNorm);
      fallen = share >= 0 ? fallen + steps * share * least * slope ** 2 : NaN;
    }
    if (loss !== "mse") {
      const bound = Number.isNaN(fallen) ? null : Math.max(0, start - fallen);
      return {
        bound,
        boundOf:
          bound === null ? null : `descent${sampled}: L(0) − Σ (η − cη²λ_max/2) λ_min ‖∂L/∂u‖²`,
      };
    }
    return flows
      ? { bound: start * Math.exp(-exponent), boundOf: `flow${sampled}: L(0) exp(−2 ∫ λ_min)` }
      : { bound: start * product, boundOf: `descent${sampled}: L(0) Π max (1 − ηλ)²` };
  });
}

/** A side of an inequality: a number and what it may be off by. */
type Side = readonly [value: number, bound?: number];

/**
 * The circular argument of the convergence proof, each inequality with both sides, at every tracked step of a run with the
 * `mse` loss: as long as λ_min(H_t) ≥ λ/2 and ‖J_t‖ ≤ K, the residual falls as e^(−λt/2), so that the weights stay
 * within R′, so that the kernel stays near H_0, so that λ_min(H_t) ≥ 5λ/8.
 *
 * @param tracked from step 0 on; what holds there by definition is looked at from the second on
 * @param limitMin λ_min(H_∞) from below; null for that of H_0
 * @param size samples, outputs, and layers of the network, and its least hidden width
 * @returns null where there is nothing to certify: no tracked step, another loss, batches or momentum
 *
 * **From** Bowman 2023, section 2.3; Weyl's and Duhamel's inequalities.
 */
export function certify(
  tracked: readonly TrackedStep[],
  run: Run,
  limitMin: number | null,
  size: {
    readonly n: number;
    readonly outputs: number;
    readonly layers: number;
    readonly width: number;
  },
): Certificate | null {
  if (tracked.length === 0 || run.loss !== "mse" || !run.plain) return null;
  const [start] = tracked;
  const lambda = limitMin ?? lower(start);
  const jacobianBound = 2 * start.jacobianNorm;
  const radius = ((2 * jacobianBound) / lambda) * start.residualNorm;
  const bounds = lossBounds(tracked, run);
  const duhamel = duhamelBounds(tracked, run.rate);
  const sampled = isSampled(tracked);
  const check = (
    name: string,
    formula: string,
    statement: Statement,
    sides: (now: TrackedStep, k: number) => readonly [Side, Side],
    how: { readonly first?: number; readonly beside?: boolean; readonly unsure?: boolean } = {},
  ): Check => {
    const { first = 0, beside = false, unsure = false } = how;
    let worst = { left: NaN, right: NaN, slack: Infinity, step: start.step };
    let firstFailure: Check["firstFailure"] = null;
    let open = unsure;
    for (const [k, now] of tracked.entries()) {
      if (k < first) continue;
      const [[left, leftBound = 0], [right, rightBound = 0]] = sides(now, k);
      const slack = right - left - leftBound - rightBound;
      // What is not a number, or not finite, tells nothing.
      if (!Number.isFinite(slack)) open = true;
      else if (slack < worst.slack) worst = { left, right, slack, step: now.step };
      if (!firstFailure && left - leftBound > right + rightBound)
        firstFailure = { step: now.step, time: now.time };
    }
    const known = !open && worst.slack >= 0;
    const holds = firstFailure ? (unsure ? null : false) : known ? true : null;
    return { name, formula, statement, decides: !beside, ...worst, holds, firstFailure };
  };
  const least = (now: TrackedStep): Side => [now.lambdaMin, now.lambdaMinBound];
  const limit: Check[] =
    limitMin === null
      ? []
      : [
          check("start near limit", "‖H_0 − H_∞‖ ≤ λ/4", "kernel", () => [
            [start.limitDrift ?? NaN, start.limitDriftBound ?? NaN],
            [lambda / 4],
          ]),
        ];
  const checks = [
    ...limit,
    check("eigenvalue", "λ/2 ≤ λ_min(H_t)", "kernel", (now) => [[lambda / 2], least(now)]),
    check("Jacobian", "‖J_t‖ ≤ K", "kernel", (now) => [
      [now.jacobianNorm, now.lambdaMaxBound / (2 * now.jacobianNorm)],
      [jacobianBound],
    ]),
    check("drift of the kernel", "‖H_t − H_0‖ ≤ λ/8", "kernel", (now) => [
      [now.gramDrift, now.gramDriftBound],
      [lambda / 8],
    ]),
    check("eigenvalue, closed circle", "5λ/8 ≤ λ_min(H_t)", "kernel", (now) => [
      [(5 * lambda) / 8],
      least(now),
    ]),
    check(
      ...(["residual", "‖r_t‖² ≤ e^(−λt) ‖r_0‖²", "flow"] as const),
      (now) => {
        const left = Math.exp(-lambda * now.time);
        return [
          [now.residualNorm ** 2, 2 * now.lossBound],
          [left * start.residualNorm ** 2, 2 * left * start.lossBound],
        ];
      },
      { first: 1 },
    ),
    check("way of the weights", "‖θ_t − θ_0‖ ≤ R′", "flow", (now) => [
      [now.parameterDrift],
      [radius, (radius / start.residualNorm) * start.outputBound],
    ]),
    check(
      ...(["Weyl", "λ_min(H_0) − ‖H_t − H_0‖ ≤ λ_min(H_t)", "kernel"] as const),
      (now) => [
        [start.lambdaMin - now.gramDrift, start.lambdaMinBound + now.gramDriftBound],
        least(now),
      ],
      { first: 1, beside: true },
    ),
    check(
      ...(["no critical point", "σ_min(J_t) √(2L) ≤ ‖∂L/∂θ‖", "kernel"] as const),
      (now) => [
        [now.gradientBound],
        // Sixteen roundings of Jᵀ r, as an f32 pass may have them: an estimate.
        [now.gradientNorm, 2 ** -20 * now.jacobianNorm * now.residualNorm],
      ],
      { beside: true },
    ),
    check(
      ...(["Grönwall", bounds[bounds.length - 1].boundOf ?? "", flowsOf(bounds)] as const),
      (now, k) => {
        const { bound } = bounds[k];
        return [
          [now.loss, now.lossBound],
          [bound ?? NaN, ((bound ?? NaN) / start.loss) * start.lossBound],
        ];
      },
      { first: 1, beside: true, unsure: sampled },
    ),
    check(
      "Duhamel",
      "‖r_k − (1 − ηH_0)^k r_0‖ ≤ Σ_j ρ^(k−1−j) η ‖H_j − H_0‖ ‖r_j‖, ρ = ‖1 − ηH_0‖",
      "descent",
      (now, k) => [
        [now.linearGap ?? NaN, now.outputBound],
        [duhamel[k], start.outputBound],
      ],
      // Up to the network's own curvature, O(η²), which is not counted.
      { first: 1, beside: true, unsure: true },
    ),
  ];
  const inside = tracked.findIndex(
    (now) => lower(now) < lambda / 2 || Math.sqrt(upper(now)) > jacobianBound,
  );
  const { n, outputs, layers, width } = size;
  const order = n * outputs;
  const depth = layers - 1;
  const last = Math.max(...tracked.map((now) => now.gramDrift));
  const widths = [
    { formula: "n² / λ²", width: (order / lambda) ** 2 },
    {
      formula: "n² R^(6D) / λ², R = n / λ",
      width: (order / lambda) ** 2 * (order / lambda) ** (6 * depth),
    },
    {
      formula: "m (8 ‖H_T − H_0‖ / λ)², if the drift falls as 1/√m",
      width: width * ((8 * last) / lambda) ** 2,
    },
    ...(limitMin === null
      ? []
      : [
          {
            formula: "m (4 ‖H_0 − H_∞‖ / λ)², if that falls as 1/√m",
            width: width * ((4 * (start.limitDrift ?? NaN)) / lambda) ** 2,
          },
        ]),
  ];
  return {
    holds: checks.every(({ decides, holds }) => !decides || holds === true),
    lambda,
    lambdaOf: limitMin === null ? "start" : "limit",
    jacobianBound,
    radius,
    time:
      inside < 0 ? tracked[tracked.length - 1].time : inside === 0 ? 0 : tracked[inside - 1].time,
    checks,
    widths,
  };
}

const flowsOf = (bounds: readonly LossBound[]): Statement =>
  bounds[bounds.length - 1].boundOf?.startsWith("flow") ? "flow" : "descent";

/** The right side of Duhamel's inequality for descent at each tracked step, the worse of both ends in between. */
function duhamelBounds(tracked: readonly TrackedStep[], rate: number): number[] {
  const [start] = tracked;
  const rho = Math.max(Math.abs(1 - rate * lower(start)), Math.abs(1 - rate * upper(start)));
  let sum = 0;
  return tracked.map((now, k) => {
    if (k === 0) return 0;
    const before = tracked[k - 1];
    const force = (step: TrackedStep) => (step.gramDrift + step.gramDriftBound) * step.residualNorm;
    const steps = now.step - before.step;
    // 1 + ρ + … + ρ^(steps − 1).
    const terms = rho === 1 ? steps : (1 - rho ** steps) / (1 - rho);
    sum = sum * rho ** steps + rate * terms * Math.max(force(before), force(now));
    return sum;
  });
}
