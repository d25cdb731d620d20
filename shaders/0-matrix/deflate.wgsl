// with fragments/load.wgsl
// deflate — takes a matrix's leading directions out of it.
//
//   X = C Q + B        (Xᵀ X)[i, j] = (Qᵀ Q)[i, j] + (Bᵀ B + Qᵀ Y + Yᵀ Q)[i, j]        Y = Cᵀ B + (Cᵀ C − 1) Q / 2
//
// The first part is exact, as Q has few bits; B and Y are small where columns of X are much alike.
//
// in    matrix      f32 [rows, columns]      X
//       directions  f32 [rows, 4]            C as `lead` makes it
//       moments     f32 [2, 16]              Cᵀ C
// out   rest        f32 [rows, columns]      B
//       leading     f32 [columns, 8]         Qᵀ and Yᵀ; values 8 to 15 of a row, padding, are not written
// grid  [⌈padded(columns) / 32⌉]; one workgroup eight vec4 of columns, one lane every 16th row of one
// error Q is Cᵀ X on a grid of 2^(1 + exponent of the column's largest − 10), so that C Q and Qᵀ Q are exact;
//       |Q − Cᵀ X| ≤ a grid's half + γ(k) · |C|ᵀ |X|; |B − (X − C Q)| ≤ u |B|, u = 2⁻²³;
//       |Y − exact| ≤ γ(k) · (|C|ᵀ |B| + |Cᵀ C − 1| |Q| / 2), k = ⌈rows / 16⌉ + 24
// cost  26 flops and 12 bytes a value of the matrix
struct Dims {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read> directions: array<vec4f>;
@group(0) @binding(2) var<storage, read> moments: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rest: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> leading: array<vec4f>;
@group(0) @binding(5) var<uniform> dims: Dims;

const ACROSS = 8u;
const DOWN = 16u;
const BITS = 10u;
var<workgroup> parts: array<vec4f, 512>;
var<workgroup> whole: array<vec4f, 32>;

@compute @workgroup_size(ACROSS, DOWN)
fn deflate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let pitch = pitch4(dims.columns);
  let column4 = ACROSS * group.x + local.x;
  // Lanes past the end take part in the sums, with nothing.
  let inside = 4u * column4 < padded(dims.columns);
  let rows = select(0u, dims.rows, inside);
  // Four columns' coefficients, each by four directions.
  var sums = mat4x4f();
  for (var k = local.y; k < rows; k += DOWN) {
    sums += outer(directions[k * pitch4(4u)], matrix[k * pitch + column4]);
  }
  var q = total(local, sums);
  for (var j = 0u; j < 4u; j++) {
    q[j] = leadingBits(q[j]);
  }
  sums = mat4x4f();
  for (var k = local.y; k < rows; k += DOWN) {
    let c = directions[k * pitch4(4u)];
    // Exact: c q adds up multiples of one number, of at most 24 bits.
    let left = matrix[k * pitch + column4] - c * q;
    rest[k * pitch + column4] = left;
    sums += outer(c, left);
  }
  let inner = total(local, sums);
  if !inside {
    return;
  }
  for (var k = dims.rows + local.y; k < padded(dims.rows); k += DOWN) {
    rest[k * pitch + column4] = vec4f();
  }
  let j = local.y;
  if j < 4u {
    let at = (4u * column4 + j) * pitch4(8u);
    leading[at] = q[j];
    leading[at + 1u] = inner[j] + 0.5 * (excess() * q[j]);
  }
}

// Cᵀ C − 1.
fn excess() -> mat4x4f {
  let low = pitch4(16u);
  var m = mat4x4f();
  for (var s = 0u; s < 4u; s++) {
    m[s][s] = -1.0;
    m[s] = (m[s] + moments[s]) + moments[low + s];
  }
  return m;
}

fn outer(c: vec4f, x: vec4f) -> mat4x4f {
  return mat4x4f(c * x.x, c * x.y, c * x.z, c * x.w);
}

// The sum over all lanes that share columns, for each of these lanes.
fn total(local: vec3u, own: mat4x4f) -> mat4x4f {
  for (var s = 0u; s < 4u; s++) {
    parts[(DOWN * s + local.y) * ACROSS + local.x] = own[s];
  }
  workgroupBarrier();
  if local.y < 4u {
    var sum = vec4f();
    for (var other = 0u; other < DOWN; other++) {
      sum += parts[(DOWN * local.y + other) * ACROSS + local.x];
    }
    whole[ACROSS * local.y + local.x] = sum;
  }
  workgroupBarrier();
  let at = local.x;
  return mat4x4f(whole[at], whole[ACROSS + at], whole[2u * ACROSS + at], whole[3u * ACROSS + at]);
}

// Rounded to 10 bits on one grid; 0 where that grid would not be of normal numbers.
fn leadingBits(x: vec4f) -> vec4f {
  let size = abs(x);
  let exponent = (bitcast<u32>(max(max(size.x, size.y), max(size.z, size.w))) >> 23u) + 1u;
  if exponent <= BITS || exponent > 254u {
    return vec4f();
  }
  let grid = bitcast<f32>((exponent - BITS) << 23u);
  // By way of integers: what is left of an addition of 1.5 · 2²³ a compiler may take for nothing.
  return vec4f(vec4i(round(x / grid))) * grid;
}
