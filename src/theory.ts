export {
  jacobianTimes,
  jacobianTransposed,
  kernelTimes,
  type Tangent,
} from "./stages/2-tangent.ts";
export { deviceCholesky, type DeviceCholesky, type RefinedSolution } from "./stages/4-factor.ts";
export {
  certify,
  lossBounds,
  type Certificate,
  type Check,
  type LossBound,
  type Run,
  type Statement,
} from "./theory/certificate.ts";
export { cholesky, type Cholesky } from "./theory/cholesky.ts";
export {
  operatorDensity,
  spectralDensity,
  type Density,
  type DensityOptions,
} from "./theory/density.ts";
export { kernelDifference } from "./theory/difference.ts";
export { effectiveDimension } from "./theory/dimension.ts";
export { extremeEigenvalues } from "./theory/extremes.ts";
export { descentFilter, flowFilter, functionTimes, type Filter } from "./theory/filters.ts";
export { alignment, ofOutputs, operatorNorm, type Measured } from "./theory/kernelMeasures.ts";
export { leastEigenvalues, type LeastEigenvalues } from "./theory/least.ts";
export { limit, type LimitKernel, type LimitOptions } from "./theory/limit.ts";
export { lossAt, LOSSES, type Loss } from "./theory/loss.ts";
export { DivergenceError, type TrainingOptions } from "./theory/options.ts";
export { kernelSpectrum, type OperatorOptions, type OperatorPlan } from "./theory/operator.ts";
export {
  accuracy,
  ensemble,
  matrixFunctions,
  predict,
  type Blocks,
  type Ensemble,
  type MatrixFunctions,
  type Moment,
  type Prediction,
} from "./theory/predict.ts";
export { Tracker, type TrackedStep, type TrackingOptions } from "./theory/tracking.ts";
export {
  expectedRegime,
  rateOf,
  seenRegime,
  train,
  type Rate,
  type Regime,
  type Trained,
  type TrainOptions,
} from "./theory/train.ts";
export type { Steps, TrainingState } from "./theory/state.ts";
export { Training } from "./theory/training.ts";
export { gramTiles, type GramTile } from "./theory/tiles.ts";
export {
  depthLaw,
  slopeOf,
  widthLaw,
  type DepthLaw,
  type Series,
  type Slope,
  type WidthLaw,
  type WidthOptions,
} from "./theory/widths.ts";
