// buffers — the product's operands as matrices: the summed axis slowest, so that each loads as vec4s along its own.
//
// in    left   f32 [depth, leftColumns]
//       right  f32 [depth, rightColumns]
@group(0) @binding(0) var<storage, read> left: array<vec4f>;
@group(0) @binding(1) var<storage, read> right: array<vec4f>;
