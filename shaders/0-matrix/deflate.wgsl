// with fragments/load.wgsl, fragments/fewBits.wgsl
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
// grid  [⌈padded(columns) / 64⌉]; one workgroup 16 vec4 of columns, one lane every 16th row of two
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
var<workgroup> parts: array<vec4f, 512>;
var<workgroup> whole: array<vec4f, 32>;

@compute @workgroup_size(ACROSS, DOWN)
fn deflate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let pitch = pitch4(dims.columns);
  // Two vec4 of columns a lane. Lanes past the end take part in the sums, with nothing.
  let x4 = 2u * ACROSS * group.x + local.x;
  let y4 = x4 + ACROSS;
  let hasY = 4u * y4 < padded(dims.columns);
  let rows = select(0u, dims.rows, 4u * x4 < padded(dims.columns));
  // Four columns' coefficients, each by four directions.
  var sx = mat4x4f();
  var sy = mat4x4f();
  for (var k = local.y; k < rows; k += DOWN) {
    let c = directions[k * pitch4(4u)];
    let x = matrix[k * pitch + x4];
    let y = matrix[k * pitch + y4];
    sx += outer(c, x);
    sy += outer(c, y);
  }
  let qx = leadingBits(total(local, sx));
  let qy = leadingBits(total(local, sy));
  sx = mat4x4f();
  sy = mat4x4f();
  for (var k = local.y; k < rows; k += DOWN) {
    let c = directions[k * pitch4(4u)];
    // Exact: c q adds up multiples of one number, of at most 24 bits.
    let x = matrix[k * pitch + x4] - c * qx;
    let y = matrix[k * pitch + y4] - c * qy;
    rest[k * pitch + x4] = x;
    if hasY {
      rest[k * pitch + y4] = y;
    }
    sx += outer(c, x);
    sy += outer(c, y);
  }
  finish(local.y, x4, qx, total(local, sx));
  finish(local.y, y4, qy, total(local, sy));
}

// The padding below four columns, and what was taken out of them.
fn finish(down: u32, column4: u32, q: mat4x4f, inner: mat4x4f) {
  if 4u * column4 >= padded(dims.columns) {
    return;
  }
  for (var k = dims.rows + down; k < padded(dims.rows); k += DOWN) {
    rest[k * pitch4(dims.columns) + column4] = vec4f();
  }
  if down < 4u {
    let at = (4u * column4 + down) * pitch4(8u);
    leading[at] = q[down];
    leading[at + 1u] = inner[down] + 0.5 * (excess() * q[down]);
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
