// sweep — how fast a buffer can be read: every vec4 of it once.
//
//   out[lane] = Σ_k  x[first + k · STEP]        k < TRIPS · UNROLL, first = group · LANES · TRIPS · UNROLL + local · LANE
//
// in    x    f32x4 [groups · LANES · TRIPS · UNROLL]
// out   out  f32x4 [groups · LANES]
// grid  [groups]; LANE = 1, STEP = LANES: a group's lanes side by side; LANE = TRIPS · UNROLL, STEP = 1: each its own run
// error exact for whole numbers whose sums stay below 2²⁴
// cost  16 bytes read a vec4
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

override LANES: u32 = 256u;
override LANE: u32 = 1u;
override STEP: u32 = 256u;
override TRIPS: u32 = 64u;
override UNROLL: u32 = 1u; // loads in the loop's body: 1, 2, 4 or 8

@compute @workgroup_size(LANES)
fn sweep(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let first = group.x * LANES * TRIPS * UNROLL + local.x * LANE;
  var sum = vec4f();
  for (var trip = 0u; trip < TRIPS; trip++) {
    let at = first + trip * UNROLL * STEP;
    sum += x[at];
    if UNROLL > 1u {
      sum += x[at + STEP];
    }
    if UNROLL > 2u {
      sum += x[at + 2u * STEP];
      sum += x[at + 3u * STEP];
    }
    if UNROLL > 4u {
      sum += x[at + 4u * STEP];
      sum += x[at + 5u * STEP];
      sum += x[at + 6u * STEP];
      sum += x[at + 7u * STEP];
    }
  }
  out[group.x * LANES + local.x] = sum;
}
