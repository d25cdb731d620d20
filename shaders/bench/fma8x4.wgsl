// fma8x4 — the peak of arithmetic: eight chains of fused multiply-adds of vec4s that do not wait for each other.
//
//   c[i] ← fma(c[i], factor, addend), TURNS · UNROLL times        out[lane] = Σ_i c[i], c[i] = lane mod 64 + i at first
//
// out   out   f32 [lanes]
// grid  [lanes / 64]
// error exact for whole numbers below 2²⁴; else two roundings a step
// cost  64 · TURNS · UNROLL flops a lane
struct Dims {
  factor: f32,
  addend: f32,
}

@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> dims: Dims;

override TURNS: u32 = 64u;
override UNROLL: u32 = 4u; // steps in the loop's body: 4, 8, 16 or 32

struct Chains {
  c0: vec4f,
  c1: vec4f,
  c2: vec4f,
  c3: vec4f,
  c4: vec4f,
  c5: vec4f,
  c6: vec4f,
  c7: vec4f,
}

@compute @workgroup_size(64)
fn fma8x4(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(dims.factor);
  let a = vec4f(dims.addend);
  let x = vec4f(f32(id.x % 64u));
  var s = Chains(
    x + vec4f(0.0, 1.0, 2.0, 3.0),
    x + vec4f(4.0, 5.0, 6.0, 7.0),
    x + vec4f(8.0, 9.0, 10.0, 11.0),
    x + vec4f(12.0, 13.0, 14.0, 15.0),
    x + vec4f(16.0, 17.0, 18.0, 19.0),
    x + vec4f(20.0, 21.0, 22.0, 23.0),
    x + vec4f(24.0, 25.0, 26.0, 27.0),
    x + vec4f(28.0, 29.0, 30.0, 31.0),
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
  let sum = s.c0 + s.c1 + s.c2 + s.c3 + s.c4 + s.c5 + s.c6 + s.c7;
  out[id.x] = sum.x + sum.y + sum.z + sum.w;
}

fn four(s: ptr<function, Chains>, m: vec4f, a: vec4f) {
  step(s, m, a);
  step(s, m, a);
  step(s, m, a);
  step(s, m, a);
}

fn step(s: ptr<function, Chains>, m: vec4f, a: vec4f) {
  s.c0 = fma(s.c0, m, a);
  s.c1 = fma(s.c1, m, a);
  s.c2 = fma(s.c2, m, a);
  s.c3 = fma(s.c3, m, a);
  s.c4 = fma(s.c4, m, a);
  s.c5 = fma(s.c5, m, a);
  s.c6 = fma(s.c6, m, a);
  s.c7 = fma(s.c7, m, a);
}
