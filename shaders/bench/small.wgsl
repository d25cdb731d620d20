// small — how long a shader of a few statements takes until its first dispatch has ended.
//
//   out[i] = x[i] + NEW        i < 64
//
// in    x    f32 [64]
// out   out  f32 [64]
// grid  [1]
// error exact for small whole numbers
// cost  two statements to compile; a NEW that no cache has seen makes them be compiled
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

override NEW: f32 = 0.0;

@compute @workgroup_size(64)
fn small(@builtin(global_invocation_id) id: vec3u) {
  out[id.x] = x[id.x] + NEW;
}
