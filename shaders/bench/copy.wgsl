// copy — how fast a buffer can be copied, by a shader.
//
//   out[i] = x[i]        i = first + k · STEP, k < TRIPS · UNROLL, first = group · LANES · TRIPS · UNROLL + local · LANE
//
// in    x    f32x4 [groups · LANES · TRIPS · UNROLL]
// out   out  f32x4 [groups · LANES · TRIPS · UNROLL]
// grid  [groups]; LANE = 1, STEP = LANES: a group's lanes side by side; LANE = TRIPS · UNROLL, STEP = 1: each its own run
// error exact
// cost  16 bytes read and 16 written a vec4
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

override LANES: u32 = 256u;
override LANE: u32 = 1u;
override STEP: u32 = 256u;
override TRIPS: u32 = 1u;
override UNROLL: u32 = 1u; // vec4s in the loop's body: 1, 2, 4 or 8

@compute @workgroup_size(LANES)
fn copy(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let first = group.x * LANES * TRIPS * UNROLL + local.x * LANE;
  for (var trip = 0u; trip < TRIPS; trip++) {
    let at = first + trip * UNROLL * STEP;
    one(at);
    if UNROLL > 1u {
      one(at + STEP);
    }
    if UNROLL > 2u {
      one(at + 2u * STEP);
      one(at + 3u * STEP);
    }
    if UNROLL > 4u {
      one(at + 4u * STEP);
      one(at + 5u * STEP);
      one(at + 6u * STEP);
      one(at + 7u * STEP);
    }
  }
}

fn one(at: u32) {
  out[at] = x[at];
}
