// large — how long a shader of many statements takes until its first dispatch has ended.
//
//   out[i] = NEW + Σ_k  fma(x[i + k], x[i + k + 1], k)        k < 128, i < 64
//
// in    x    f32 [192]
// out   out  f32 [64]
// grid  [1]
// error exact for small whole numbers
// cost  128 loads and multiply-adds to compile, none in a loop; a NEW that no cache has seen makes them be compiled
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

override NEW: f32 = 0.0;

@compute @workgroup_size(64)
fn large(@builtin(global_invocation_id) id: vec3u) {
  out[id.x] = NEW + (sixtyFour(id.x, 0u) + sixtyFour(id.x, 64u));
}

fn sixtyFour(i: u32, k: u32) -> f32 {
  return (sixteen(i, k) + sixteen(i, k + 16u)) + (sixteen(i, k + 32u) + sixteen(i, k + 48u));
}

fn sixteen(i: u32, k: u32) -> f32 {
  return (four(i, k) + four(i, k + 4u)) + (four(i, k + 8u) + four(i, k + 12u));
}

fn four(i: u32, k: u32) -> f32 {
  return (one(i, k) + one(i, k + 1u)) + (one(i, k + 2u) + one(i, k + 3u));
}

fn one(i: u32, k: u32) -> f32 {
  return fma(x[i + k], x[i + k + 1u], f32(k));
}
