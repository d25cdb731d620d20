// empty — what a dispatch costs that has nothing to do.
//
//   out[0] = 1        where wanted = 1, which it never is
//
// out   out  f32 [1]
// grid  [1]
// error exact
// cost  that of starting one lane
struct Dims {
  wanted: u32,
}

@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(1)
fn empty() {
  if dims.wanted == 1u {
    out[0] = 1.0;
  }
}
