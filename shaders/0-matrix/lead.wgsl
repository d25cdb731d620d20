// with fragments/load.wgsl, fragments/orthogonal.wgsl
// lead — four nearly orthonormal directions of few bits in which most of a matrix's columns lies.
//
//   C = W T, rounded to multiples of q            W[k, s] = Σ matrix[k, i] over quarter s; T upper triangular, Cᵀ C ≈ 1
//   excess = Cᵀ C − 1
//
// in    matrix      f32 [rows, columns]
// out   directions  f32 [rows, 4]          C; q = 2^(1 + exponent of the largest − 11)
//       excess      f32 [4, 4]             padding of neither is written
// dims  stride      of so many vec4s of columns one is summed
// grid  [1]; one lane every LANES-th row, 8 to 128
// error |excess − exact| ≤ u |exact|, u = 2⁻²³, up to 2¹⁸ rows; Cᵀ C ≈ 1 to 1 %, where C is not 0; C leads as a sketch can tell
// cost  1 flop and 4 bytes a value summed; 200 flops and 64 bytes a row
// from  Halko, Martinsson & Tropp 2011, with sums in place of random combinations
struct Dims {
  rows: u32,
  columns: u32,
  stride: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> directions: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> excess: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

override LANES: u32 = 128u;
var<workgroup> parts: array<vec4f, 512>;
var<workgroup> whole: array<vec4f, 4>;

@compute @workgroup_size(LANES)
fn lead(@builtin(local_invocation_index) lane: u32) {
  let pitch = pitch4(4u);
  var most = vec4f();
  for (var k = lane; k < dims.rows; k += LANES) {
    directions[k * pitch] = sketched(k);
    most = max(most, abs(directions[k * pitch]));
  }
  let scale = 1.0 / powerAbove(lane, most);
  var gram = mat4x4f();
  for (var k = lane; k < dims.rows; k += LANES) {
    let c = directions[k * pitch] * scale;
    gram += mat4x4f(c * c.x, c * c.y, c * c.z, c * c.w);
  }
  let t = orthogonalizer(total(lane, gram));
  most = vec4f();
  for (var k = lane; k < dims.rows; k += LANES) {
    directions[k * pitch] = directions[k * pitch] * scale * t;
    most = max(most, abs(directions[k * pitch]));
  }
  let q = powerAbove(lane, most) / 2048.0;
  // Products of numbers of 11 bits, the lower 16 bits of each added apart from the others.
  var low = array<vec4i, 4>();
  var high = array<vec4i, 4>();
  for (var k = lane; k < dims.rows; k += LANES) {
    let c = vec4i(round(directions[k * pitch] / q));
    directions[k * pitch] = vec4f(c) * q;
    for (var s = 0u; s < 4u; s++) {
      low[s] += (c * c[s]) & vec4i(0xffff);
      high[s] += (c * c[s]) >> vec4u(16u);
    }
  }
  var lower = mat4x4f();
  var upper = mat4x4f();
  for (var s = 0u; s < 4u; s++) {
    lower[s] = vec4f(low[s] & vec4i(0xffff));
    upper[s] = vec4f(high[s] + (low[s] >> vec4u(16u)));
  }
  upper = total(lane, upper) * (65536.0 * q * q);
  lower = total(lane, lower) * (q * q);
  if lane < 4u {
    let one = vec4f(vec4u(lane) == vec4u(0u, 1u, 2u, 3u));
    excess[lane * pitch] = (upper[lane] - one) + lower[lane];
  }
}

// Each quarter's columns added up, of every `stride` vec4s one.
fn sketched(k: u32) -> vec4f {
  let row = k * pitch4(dims.columns);
  let across = (dims.columns + 3u) / 4u;
  var w = vec4f();
  for (var s = 0u; s < 4u; s++) {
    var sum = vec4f();
    for (var column4 = s * across / 4u; column4 < (s + 1u) * across / 4u; column4 += dims.stride) {
      sum += matrix[row + column4];
    }
    w[s] = (sum.x + sum.y) + (sum.z + sum.w);
  }
  return w;
}

// The least power of 2 above the largest of all lanes' values; 1 where they are 0.
fn powerAbove(lane: u32, own: vec4f) -> f32 {
  parts[lane] = own;
  workgroupBarrier();
  if lane == 0u {
    whole[0] = vec4f();
    for (var other = 0u; other < LANES; other++) {
      whole[0] = max(whole[0], parts[other]);
    }
  }
  workgroupBarrier();
  let bits = bitcast<u32>(max(max(whole[0].x, whole[0].y), max(whole[0].z, whole[0].w)));
  return select(bitcast<f32>(min((bits >> 23u) + 1u, 253u) << 23u), 1.0, bits == 0u);
}

// The sum of all lanes' matrices.
fn total(lane: u32, own: mat4x4f) -> mat4x4f {
  for (var s = 0u; s < 4u; s++) {
    parts[LANES * s + lane] = own[s];
  }
  workgroupBarrier();
  if lane < 4u {
    whole[lane] = vec4f();
    for (var other = 0u; other < LANES; other++) {
      whole[lane] += parts[LANES * lane + other];
    }
  }
  workgroupBarrier();
  return mat4x4f(whole[0], whole[1], whole[2], whole[3]);
}
