import loadWgsl from "../../shaders/fragments/load.wgsl";
import transcendentalWgsl from "../../shaders/fragments/transcendental.wgsl";
import lossWgsl from "../../shaders/5-training/loss.wgsl";
import { InputError } from "../errors.ts";
import { defineShader } from "../gpu/shader.ts";
import type { Values } from "../gpu/values.ts";

export const loss = defineShader({
  name: "loss",
  wgsl: [lossWgsl, loadWgsl, transcendentalWgsl],
  dims: ["outputs", "n", "slots", "fields", "slot"],
  buffers: {
    u: ["read", "outputs", "n"],
    y: ["read", "outputs", "n"],
    r: ["read_write", "outputs", "n"],
    history: ["read_write", "slots", "fields"],
  },
  sizes: { LOSS: 0 },
});
/** Samples whose sum of losses is one field of the history. */
export const GROUP_SAMPLES = 256;

/** What training minimizes, in the order of LOSS in `loss.wgsl`. */
export const LOSSES = ["mse", "logistic", "softmax"] as const;
export type Loss = (typeof LOSSES)[number];

/** @throws InputError for targets of another shape, or of values that the loss does not know */
export function checkTargets(targets: Values, n: number, outputs: number, loss: Loss): void {
  if (targets.length !== n * outputs)
    throw new InputError(
      `train: targets hold ${targets.length} values, but must hold samples × outputs = ${n} × ${outputs}. Check their shape.`,
    );
  for (let i = 0; i < n; i++) {
    const row = targets.subarray(i * outputs, (i + 1) * outputs);
    const sum = row.reduce((all, value) => all + value, 0);
    const wrong = {
      mse: false,
      logistic: row.some((value) => Math.abs(value) !== 1),
      softmax: row.some((value) => !(value >= 0)) || !(Math.abs(sum - 1) <= outputs * 2 ** -23),
    }[loss];
    if (wrong)
      throw new InputError(
        `train: the targets of sample ${i} are ${row.subarray(0, 4).join(", ")}${outputs > 4 ? ", …" : ""}, but must ${
          loss === "logistic" ? "be −1 or 1" : "be from 0 and add up to 1"
        } for the ${loss} loss. Encode them so, or take another loss.`,
      );
  }
}

/**
 * The loss of outputs, and how it grows with them, in f64 on the CPU.
 *
 * @param u, y outputs and targets [n, O]
 * @returns L = Σ ℓ_i, and ∂L/∂u [n, O]
 */
export function lossAt(
  loss: Loss,
  u: ArrayLike<number>,
  y: ArrayLike<number>,
  outputs: number,
): { readonly value: number; readonly slopes: Float64Array } {
  const slopes = new Float64Array(u.length);
  let value = 0;
  for (let at = 0; at < u.length; at += outputs) {
    let [top, sum] = [-Infinity, 0];
    for (let o = at; o < at + outputs; o++) top = Math.max(top, u[o]);
    for (let o = at; o < at + outputs; o++) sum += Math.exp(u[o] - top);
    if (loss === "softmax") value += Math.log(sum);
    for (let o = at; o < at + outputs; o++) {
      const rest = u[o] - y[o];
      const margin = u[o] * y[o];
      if (loss === "mse") {
        value += 0.5 * rest * rest;
        slopes[o] = rest;
      } else if (loss === "logistic") {
        value += Math.max(-margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)));
        slopes[o] = -y[o] / (1 + Math.exp(margin));
      } else {
        value += y[o] * (top - u[o]);
        slopes[o] = Math.exp(u[o] - top) / sum - y[o];
      }
    }
  }
  return { value, slopes };
}

/** The largest curvature of a loss in its outputs: descent is stable below 2 / (that · λ_max). */
export const CURVATURE: Readonly<Record<Loss, number>> = {
  mse: 1,
  logistic: 1 / 4,
  softmax: 1 / 2,
};
