export {
  operatorDensity,
  spectralDensity,
  type Density,
  type DensityOptions,
} from "./theory/density.ts";
export { limit, type LimitKernel, type LimitOptions } from "./theory/limit.ts";
export { LOSSES, type Loss } from "./theory/loss.ts";
export { DivergenceError, type TrainingOptions } from "./theory/options.ts";
export { Training, type Steps, type TrainingState } from "./theory/training.ts";
