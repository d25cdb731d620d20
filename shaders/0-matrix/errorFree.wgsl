// with fragments/load.wgsl, fragments/pair.wgsl
// errorFree — sums and products with what f32 lacks of them, to see whether this adapter lets it be had.
//
//   out[0] + out[1] = operands[0] + operands[1]          out[2] + out[3] = operands[0] · operands[1]
//
// in    operands  f32 [2, n]
// out   out       f32 [4, n]
// grid  [⌈padded(n) / 4 / 64⌉]; one lane four columns
// error none where pair.wgsl does what it says
// cost  60 flops a column
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
  let a = operands[id.x];
  let b = operands[pitch + id.x];
  let s = twoSum(a, b);
  let p = twoProduct(a, b);
  out[id.x] = s.high;
  out[pitch + id.x] = s.low;
  out[2u * pitch + id.x] = p.high;
  out[3u * pitch + id.x] = p.low;
}
