import { InputError, NonFiniteError } from "../errors.ts";
import { checkOptions, described } from "../gpu/values.ts";
import { LOSSES, type Loss } from "./loss.ts";

/** How a network is trained. */
export interface TrainingOptions {
  /** η, the learning rate: θ −= η ∂L/∂θ for the sum over samples, without 1/n. */
  readonly rate: number;
  /**
   * `mse` (default): ½ Σ (u − y)². `logistic`: Σ log(1 + e^(−y u)), y = ±1. `softmax`: Σ_i (log Σ_o e^(u_o) − Σ_o y_o u_o),
   * each sample's y ≥ 0 of sum 1. All are sums.
   */
  readonly loss?: Loss;
  /** μ of v = μ v + ∂L/∂θ, θ −= η v; default 0. */
  readonly momentum?: number;
  /** Samples of a step; default all. Fewer are drawn without putting back, a rest that fills no batch is left out. */
  readonly batch?: number;
  /** Seed of the order in which batches are drawn; default 0. */
  readonly seed?: number;
}

/** Training gone wrong: a loss or a gradient that is not finite, and where. */
export class DivergenceError extends NonFiniteError {
  /** The step whose loss or gradient it is. */
  readonly step: number;

  constructor(what: string, step: number) {
    const cure = "Lower the rate: below 2 / λ_max the loss falls.";
    super("train", `${what} of step ${step}`, 0, 1, cure);
    this.message = `train: ${what} of step ${step} is not finite, but must be. ${cure}`;
    this.step = step;
  }
}

/** @throws InputError where an option is not as it must be */
export function must(name: string, value: unknown, holds: boolean, what: string): void {
  if (!holds)
    throw new InputError(`train: ${name} is ${described(value)}, but must be ${what}. Correct it.`);
}

export const isWhole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;

/** The options with their defaults, for n samples. @throws InputError for a wrong one */
export function checkedOptions(options: TrainingOptions, n: number): Required<TrainingOptions> {
  checkOptions("train", options, ["rate", "loss", "momentum", "batch", "seed"]);
  const { rate, loss = "mse", momentum = 0, batch = n, seed = 0 } = options;
  must("rate", rate, rate >= 2 ** -126 && rate < 2 ** 127, "from 2⁻¹²⁶, below 2¹²⁷");
  must("loss", loss, LOSSES.includes(loss), `one of ${LOSSES.join(", ")}`);
  must("momentum", momentum, momentum >= 0 && momentum < 1, "a number from 0, below 1");
  must("batch", batch, isWhole(batch, 1, n), `a whole number from 1 to the ${n} samples`);
  // Places of samples are kept as f32.
  must("batch", batch, batch === n || n <= 2 ** 24, `all ${n} samples, as there are more than 2²⁴`);
  must("seed", seed, isWhole(seed, 0, 2 ** 32 - 1), "a whole number from 0, below 2³²");
  return { rate, loss, momentum, batch, seed };
}
