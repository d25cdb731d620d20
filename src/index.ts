export { GpuError, InputError, NonFiniteError, type GpuErrorCode } from "./errors.ts";
export { Gpu, openGpu, type GpuStats } from "./gpu/device.ts";
export { Matrix } from "./gpu/matrix.ts";
export type { OpenOptions, Store } from "./gpu/options.ts";
export { DEFAULT_LIMITS, type Limits } from "./gpu/plan.ts";
export type { Job, Progress } from "./gpu/queue.ts";
export { ACTIVATIONS, type Activation } from "./stages/0-activation.ts";
export { network, type Layer, type Network, type NetworkSpec } from "./stages/0-network.ts";
export { normals } from "./stages/0-normal.ts";
export {
  uploadWeights,
  weights,
  type DeviceWeights,
  type LayerWeights,
} from "./stages/0-weights.ts";
export { forward, type Activations } from "./stages/1-forward.ts";
export { decideKinks, type Kinks } from "./stages/1-kinks.ts";
export { backward, type Signals } from "./stages/2-backward.ts";
export { productCandidates, tuned, type Tuning } from "./stages/0-search.ts";
export { deviceKernel, gram } from "./stages/3-gram.ts";
export { planGram, type GramOptions, type GramPlan, type Route } from "./stages/3-plan.ts";
export { exactKernel, gramError, type ExactKernel } from "./stages/3-exact.ts";
export { gramPair, type PairMatrix } from "./stages/3-pair.ts";
export { lanczos, ritzVectors, type Lanczos, type LanczosOptions } from "./stages/4-lanczos.ts";
export {
  PRECISIONS,
  spectrum,
  type EigenvalueChoice,
  type EndsSolver,
  type Precision,
  type Spectrum,
  type SpectrumOptions,
} from "./stages/5-spectrum.ts";
export type { HostMatrix, Indefinite, Solution } from "./stages/4-cholesky.ts";
export { greatestEigenvalue, leastEigenvalue } from "./stages/5-extremes.ts";
export { diagnose, type Finding } from "./stages/5-diagnosis.ts";
export { boundedSpectrum, isSolved, type BoundedMatrix } from "./stages/5-bounded.ts";
export { ntk, tangentKernel, type Ntk, type NtkOptions } from "./ntk.ts";
export { fillJacobian } from "./stages/2-jacobian.ts";
export * from "./internals.ts";
