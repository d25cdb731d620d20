// pieces — f32 values as three exact pieces of f16, and sums of their products by subgroup matrices of M × N × K.
//
//   2^e · x = p + 2⁻¹¹ q + 2⁻²² r
//   2^(e + f) · x · x′ from p p′ + 2⁻¹¹ (p q′ + q p′) + 2⁻²² (q q′ + p r′ + r p′)
//
// No piece is subnormal, as WGSL lets adapters flush what is. Needs operands.wgsl, LANES, M, N, K.
// error none in pieces and products; what is left out is at most 2⁻²⁹ |x · x′|
const STEP = 16u;
const PITCH = 4u * (M + N);

alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;

struct Lefts {
  p: Left,
  q: Left,
  r: Left,
}

struct Rights {
  p: Right,
  q: Right,
  r: Right,
}

struct Sums {
  large: Result,
  middle: Result,
  small: Result,
}

// STEP rows of p, then of q, then of r; in each the columns of `left` before those of `right`.
var<workgroup> pieces: array<f16, 3u * STEP * PITCH>;
// The tile's sums of one size [4 · M, 4 · N].
var<workgroup> sums: array<f32, 16u * M * N>;
// Bits of each column's largest value.
var<workgroup> most: array<atomic<u32>, PITCH>;
// Whether pieces fail to hold a value of the block.
var<workgroup> lossy: atomic<u32>;

fn clear(local: u32) {
  for (var i = local; i < PITCH; i += LANES) {
    atomicStore(&most[i], 0u);
  }
  atomicStore(&lossy, 0u);
}

// Four values of row k: columns of `left`, then those of `right`.
fn operand(x: u32, k: u32, place: vec2u) -> vec4f {
  if x < M {
    return left[k * pitch4(dims.leftColumns) + (dims.rowOrigin + place.x) / 4u + x];
  }
  return right[k * pitch4(dims.rightColumns) + (dims.columnOrigin + place.y) / 4u + x - M];
}

// A lane has four columns, x, of every `high`-th row from y; lanes that are left over have none.
fn look(local: u32, first: u32, last: u32, place: vec2u) {
  let x = local % (M + N);
  let y = local / (M + N);
  let high = LANES / (M + N);
  if y == high {
    return;
  }
  var top = vec4u();
  for (var k = first + y; k < last; k += high) {
    top = max(top, bitcast<vec4u>(abs(operand(x, k, place))));
  }
  for (var i = 0u; i < 4u; i++) {
    atomicMax(&most[4u * x + i], top[i]);
  }
}

fn fill(local: u32, first: u32, place: vec2u) {
  let x = local % (M + N);
  let y = local / (M + N);
  let high = LANES / (M + N);
  if y == high {
    return;
  }
  let e = power(exponents(x));
  for (var k = y; k < STEP; k += high) {
    cut(k * PITCH + 4u * x, e * operand(x, first + k, place));
  }
}

// The largest value of a column times 2^e lies from 2¹³ to 2¹⁴, as far as 2^e and 2^-e are normal numbers.
fn exponents(x: u32) -> vec4i {
  var e = vec4i();
  for (var i = 0u; i < 4u; i++) {
    e[i] = min(140 - i32(atomicLoad(&most[4u * x + i]) >> 23u), 126);
  }
  return e;
}

fn power(e: vec4i) -> vec4f {
  return bitcast<vec4f>((e + 127) << vec4u(23u));
}

// The leading 11 bits. Not f16 and back, which compilers take for nothing at all.
fn leading(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) & vec4u(0xffffe000u));
}

fn cut(at: u32, x: vec4f) {
  let p = leading(x);
  let y = 2048.0 * (x - p);
  let q = select(vec4f(), leading(y), abs(y) >= vec4f(0x1p-14));
  let z = 2048.0 * (y - q);
  let r = leading(z);
  for (var i = 0u; i < 4u; i++) {
    pieces[at + i] = f16(p[i]);
    pieces[STEP * PITCH + at + i] = f16(q[i]);
    pieces[2u * STEP * PITCH + at + i] = f16(r[i]);
  }
  if !all((r == z) & ((abs(x) >= vec4f(0x1p-13)) | (x == vec4f()))) {
    atomicStore(&lossy, 1u);
  }
}
