import type { Network } from "../stages/0-network.ts";
import { checkWeights, type LayerWeights } from "../stages/0-weights.ts";
import { isWhole, must } from "./options.ts";

/** All that the next step depends on. */
export interface TrainingState {
  readonly step: number;
  /** Weights rounded to f32, as `weights` gives them. */
  readonly weights: readonly LayerWeights[];
  /** What that lacks: a weight is the sum of both. */
  readonly rest: readonly LayerWeights[];
  /** Null without momentum. */
  readonly velocity: readonly LayerWeights[] | null;
}

/** What some steps in a row did. */
export interface Steps {
  /** Loss of the step's batch before the step. */
  readonly losses: Float64Array;
  /** ‖∂L/∂θ‖ of that loss. */
  readonly gradientNorms: Float64Array;
}

/** Weights that no caller changes any more; what is none is found out later. */
export const copied = (values: readonly LayerWeights[]): LayerWeights[] =>
  Array.from(values ?? [], ({ weight, bias }) => ({
    weight: weight?.slice(),
    bias: bias?.slice() ?? null,
  }));

/** A state that no caller changes any more. @throws InputError for one that does not fit the network */
export function ownState(net: Network, state: TrainingState, moves: boolean): TrainingState {
  const { step, weights, rest, velocity } = state;
  must("state.step", step, isWhole(step, 0, 2 ** 53), "a whole number from 0");
  must("state", velocity, !moves || velocity !== null, "of training with momentum, as this is");
  const own = {
    step,
    weights: copied(weights),
    rest: copied(rest),
    velocity: velocity && copied(velocity),
  };
  checkWeights(net, own.rest);
  if (own.velocity) checkWeights(net, own.velocity);
  return own;
}
