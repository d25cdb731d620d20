/**
 * What `webgpu-ntk/theory` takes from the core, so that both share one set of classes, shaders and plans. The names begin
 * with _: they are no part of the library's promise, and dist/ has numbers in their place.
 */
export { dispose as _dispose } from "./gpu/matrix.ts";
export { defineShader as _defineShader } from "./gpu/shader.ts";
export {
  checkOptions as _checkOptions,
  described as _described,
  ownValues as _ownValues,
} from "./gpu/values.ts";
export { phi as _phi, phiPrime as _phiPrime } from "./stages/0-activation.ts";
export {
  meter as _meter,
  norm64 as _norm64,
  PANEL as _PANEL,
  rowNorms as _rowNorms,
  rowProducts as _rowProducts,
  SLACK as _SLACK,
  turned as _turned,
  turns as _turns,
  U64 as _U64,
} from "./stages/0-double.ts";
export { bits as _bits, normals64 as _normals64 } from "./stages/0-normal.ts";
export { FiniteCheck as _FiniteCheck } from "./stages/0-finite.ts";
export {
  add as _add,
  defineProduct as _defineProduct,
  storeProduct as _storeProduct,
} from "./stages/0-product.ts";
export { checkWeights as _checkWeights } from "./stages/0-weights.ts";
export {
  fillForward as _fillForward,
  forwardFlops as _forwardFlops,
  sampleCount as _sampleCount,
} from "./stages/1-forward.ts";
export {
  backwardFlops as _backwardFlops,
  fillSignals as _fillSignals,
  mask as _mask,
} from "./stages/2-backward.ts";
export { hostFactor as _hostFactor, substitute as _substitute } from "./stages/4-cholesky.ts";
export { denseEigen as _denseEigen } from "./stages/4-dense.ts";
export {
  addLayers as _addLayers,
  mirrorLower as _mirrorLower,
  NOT_FINITE as _NOT_FINITE,
  Sides as _Sides,
} from "./stages/3-gram.ts";
export { tileSamples as _tileSamples, TILE_SIDE as _TILE_SIDE } from "./stages/3-plan.ts";
export {
  drawnSamples as _drawnSamples,
  exactFeatures as _exactFeatures,
  inputsOf as _inputsOf,
} from "./stages/3-exact.ts";
export { hostLanczos as _hostLanczos, inner as _inner } from "./stages/4-krylov.ts";
export {
  implicitQl as _implicitQl,
  tridiagonalEigen as _tridiagonalEigen,
} from "./stages/4-tridiagonal.ts";
export {
  CONFIDENCE as _CONFIDENCE,
  endsOf as _endsOf,
  figuresOf as _figuresOf,
  placesOf as _placesOf,
} from "./stages/5-spectrum.ts";
export { ntkOf as _ntkOf } from "./ntk.ts";
