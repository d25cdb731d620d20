// with fragments/load.wgsl
// slice — cuts a matrix into its leading bits, on one grid a column, and the rest, for products that are exact.
//
//   top[k, s] = matrix[k, s] rounded to a multiple of q[s]        q[s] = 2^(1 + exponent of peak[s] − bits)
//   rest[k, s] = matrix[k, s] − top[k, s]
//
// in    matrix  f32 [rows, columns]
//       peak    f32 [1, columns]        the largest size in each column
// out   top     f32 [rows, columns]
//       rest    f32 [rows, columns]
// grid  [⌈padded(columns) / 4 / 64⌉, padded(rows)]; one lane four columns of a row
// error exact: top has `bits` bits, the rest is what is left; where q would be subnormal, top is 0; a rest below 2⁻¹²⁶
//       may be taken for 0
// cost  12 bytes a value
struct Dims {
  rows: u32,
  columns: u32,
  bits: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read> peak: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> top: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rest: array<vec4f>;
@group(0) @binding(4) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn slice(@builtin(global_invocation_id) id: vec3u) {
  if id.x >= padded(dims.columns) / 4u {
    return;
  }
  let at = id.y * pitch4(dims.columns) + id.x;
  let value = matrix[at];
  let exponent = (bitcast<vec4u>(peak[id.x]) >> vec4u(23u)) + 1u;
  // Both q and 1 / q are normal numbers.
  let sound = (exponent > vec4u(dims.bits)) & (exponent < vec4u(253u + dims.bits));
  let field = select(vec4u(127u), exponent - dims.bits, sound);
  let q = bitcast<vec4f>(field << vec4u(23u));
  let over = bitcast<vec4f>((254u - field) << vec4u(23u));
  // By way of integers: what is left of an addition of 1.5 · 2²³ a compiler may take for nothing.
  let leading = select(vec4f(), vec4f(vec4i(round(value * over))) * q, sound);
  top[at] = leading;
  rest[at] = value - leading;
}
