// tile — how fast a group's own memory can be read.
//
//   out[lane] = Σ_k  slots[(local + k) mod 256]        k < 8 · TURNS; slots[i] = x[i], 256 vec4s
//
// in    x    f32x4 [256]
// out   out  f32x4 [256 · groups]
// grid  [groups]
// error exact for whole numbers whose sums stay below 2²⁴
// cost  16 bytes a load, 8 · TURNS loads a lane; neighbours read neighbouring vec4s
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

override TURNS: u32 = 64u;

var<workgroup> slots: array<vec4f, 256>;

@compute @workgroup_size(256)
fn tile(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
  slots[local.x] = x[local.x];
  workgroupBarrier();
  var sum = vec4f();
  for (var turn = 0u; turn < TURNS; turn++) {
    let at = local.x + 8u * turn;
    sum += slots[at % 256u];
    sum += slots[(at + 1u) % 256u];
    sum += slots[(at + 2u) % 256u];
    sum += slots[(at + 3u) % 256u];
    sum += slots[(at + 4u) % 256u];
    sum += slots[(at + 5u) % 256u];
    sum += slots[(at + 6u) % 256u];
    sum += slots[(at + 7u) % 256u];
  }
  out[id.x] = sum;
}
