/**
 * What `webgpu-ntk/theory` takes from the core, so that both share one set of classes, shaders and plans. The names begin
 * with _: they are no part of the library's promise.
 */
export { dispose as _dispose } from "./gpu/matrix.ts";
export { checkOptions as _checkOptions } from "./gpu/values.ts";
export { normals64 as _normals64 } from "./stages/0-normal.ts";
export { hostLanczos as _hostLanczos } from "./stages/4-krylov.ts";
export { implicitQl as _implicitQl } from "./stages/4-tridiagonal.ts";
export { figuresOf as _figuresOf } from "./stages/5-spectrum.ts";
