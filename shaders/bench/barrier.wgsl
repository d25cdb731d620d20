// barrier — what a workgroup barrier costs: the same loop with barriers and without.
//
//   v[lane] ← v[lane + 1 mod 64] + 1, TURNS times        out[lane] = v[lane], v[lane] = x[lane] at first
//
// in    x    f32 [64]
// out   out  f32 [64]
// grid  [1]; FENCED = 0 leaves the barriers out, and each lane then reads what it wrote itself
// error exact for whole numbers below 2²⁴
// cost  TURNS barriers of 64 lanes; two halves of the slots take turns, so that one barrier a turn is enough
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

override TURNS: u32 = 64u;
override FENCED: u32 = 1u;

var<workgroup> slots: array<f32, 128>;

@compute @workgroup_size(64)
fn barrier(@builtin(local_invocation_id) local: vec3u) {
  let neighbour = (local.x + FENCED) % 64u;
  var v = x[local.x];
  for (var turn = 0u; turn < TURNS; turn++) {
    let half = 64u * (turn % 2u);
    slots[half + local.x] = v;
    if FENCED == 1u {
      workgroupBarrier();
    }
    v = slots[half + neighbour] + 1.0;
  }
  out[local.x] = v;
}
