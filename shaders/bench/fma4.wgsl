// fma4 — the peak of arithmetic: four chains of fused multiply-adds that do not wait for each other.
//
//   c[i] ← fma(c[i], factor, addend), TURNS · UNROLL times        out[lane] = Σ_i c[i], c[i] = lane mod 64 + i at first
//
// out   out   f32 [lanes]
// grid  [lanes / 64]
// error exact for whole numbers below 2²⁴; else two roundings a step
// cost  8 · TURNS · UNROLL flops a lane
struct Dims {
  factor: f32,
  addend: f32,
}

@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> dims: Dims;

override TURNS: u32 = 64u;
override UNROLL: u32 = 4u; // steps in the loop's body: 4, 8, 16 or 32

struct Chains {
  c0: f32,
  c1: f32,
  c2: f32,
  c3: f32,
}

@compute @workgroup_size(64)
fn fma4(@builtin(global_invocation_id) id: vec3u) {
  let m = dims.factor;
  let a = dims.addend;
  let x = f32(id.x % 64u);
  var s = Chains(
    x + 0.0,
    x + 1.0,
    x + 2.0,
    x + 3.0,
  );
  for (var turn = 0u; turn < TURNS; turn++) {
    four(&s, m, a);
    if UNROLL > 4u {
      four(&s, m, a);
    }
    if UNROLL > 8u {
      four(&s, m, a);
      four(&s, m, a);
    }
    if UNROLL > 16u {
      four(&s, m, a);
      four(&s, m, a);
      four(&s, m, a);
      four(&s, m, a);
    }
  }
  out[id.x] = s.c0 + s.c1 + s.c2 + s.c3;
}

fn four(s: ptr<function, Chains>, m: f32, a: f32) {
  step(s, m, a);
  step(s, m, a);
  step(s, m, a);
  step(s, m, a);
}

fn step(s: ptr<function, Chains>, m: f32, a: f32) {
  s.c0 = fma(s.c0, m, a);
  s.c1 = fma(s.c1, m, a);
  s.c2 = fma(s.c2, m, a);
  s.c3 = fma(s.c3, m, a);
}
