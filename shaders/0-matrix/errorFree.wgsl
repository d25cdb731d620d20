// with fragments/load.wgsl, fragments/pair.wgsl
// errorFree — sums with what f32 lacks of them, to see whether this adapter lets it be had.
//
//   out[0] + out[1] = operands[0] + operands[1]
//
// in    operands  f32 [2, n]
// out   out       f32 [2, n]
// grid  [⌈padded(n) / 4 / 64⌉]; one lane four columns
// error none where pair.wgsl does what it says
// cost  14 flops a column
struct Dims {
  n: u32,
  zero: u32,
}

@group(0) @binding(0) var<storage, read> operands: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn errorFree(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.n) {
    return;
  }
  let pitch = pitch4(dims.n);
  let sum = twoSum(operands[id.x], operands[pitch + id.x]);
  out[id.x] = sum.high;
  out[pitch + id.x] = sum.low;
}
