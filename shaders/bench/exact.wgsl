// exact — whether the error of a sum or of a product can be had on this adapter, and how fma rounds.
//
//   out[2 i] = (e₁, e₂, e₃, e₄), out[2 i + 1] = (e₅, 0, 0, 0)        a, b = x[i].xy, p = a · b rounded
//
//   e₁ = a + b − (a + b rounded), by TwoSum as it stands in books: compilers may fold it to 0
//   e₂ = the same with the bits of the sum XORed with a zero that only the run knows
//   e₃ = a · b − p, by TwoProd, a and b cut into halves of 12 bits by a mask
//   e₄ = fma(a, b, −p): a · b − p where it is fused, 0 where it is not
//   e₅ = a · b − x[i].z, the host's own p in z: 0 unless product and sum are fused unasked
//
// in    x    f32x4 [n]       a, b, p, 0
// out   out  f32x4 [2 n]
// grid  [n / 64]
// error none where it works: each is exact, or 0
// cost  about 40 flops an i
// from  Knuth, TAOCP 2, 4.2.2; Dekker, A floating-point technique for extending the available precision, 1971
struct Dims {
  zero: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn exact(@builtin(global_invocation_id) id: vec3u) {
  let a = x[id.x].x;
  let b = x[id.x].y;
  let plain = rest(a, b, a + b);
  let guarded = rest(a, b, opaque(a + b));
  let p = opaque(a * b);
  let ha = high(a);
  let hb = high(b);
  let la = a - ha;
  let lb = b - hb;
  let product = ((ha * hb - p) + ha * lb + la * hb) + la * lb;
  out[2u * id.x] = vec4f(plain, guarded, product, fma(a, b, -p));
  out[2u * id.x + 1u] = vec4f(a * b - x[id.x].z, 0.0, 0.0, 0.0);
}

// What a + b lost when it was rounded to s.
fn rest(a: f32, b: f32, s: f32) -> f32 {
  let t = s - a;
  return (a - (s - t)) + (b - t);
}

fn opaque(value: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(value) ^ dims.zero);
}

fn high(value: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(value) & 0xfffff000u);
}
