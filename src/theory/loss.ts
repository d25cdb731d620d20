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
