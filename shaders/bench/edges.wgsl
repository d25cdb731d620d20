// edges — what this adapter makes of subnormals, of NaN, and of large arguments of its own functions.
//
//   out[2 i] = bits of (tanh(x[i].x), sin(x[i].y), tiny · one, tiny + zero)
//   out[2 i + 1] = (1 where nan ≠ nan, bits of max(nan, 0), bits of zero / zero, 0)        tiny, nan = x[i].zw
//
// in    x    f32x4 [n]       large argument, argument in [−π, π], subnormal, NaN
// out   out  u32x4 [2 n]     bits, as arithmetic on NaN may be folded away
// grid  [n / 64]
// error what is looked for
// cost  one tanh and one sin an i
struct Dims {
  one: f32,
  zero: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn edges(@builtin(global_invocation_id) id: vec3u) {
  let v = x[id.x];
  out[2u * id.x] = bitcast<vec4u>(vec4f(tanh(v.x), sin(v.y), v.z * dims.one, v.z + dims.zero));
  let unequal = select(0u, 1u, v.w != v.w);
  let most = bitcast<u32>(max(v.w, 0.0));
  let quotient = bitcast<u32>(dims.zero / dims.zero);
  out[2u * id.x + 1u] = vec4u(unequal, most, quotient, 0u);
}
