// with fragments/load.wgsl, fragments/fewBits.wgsl
// deflate — takes a matrix's leading directions out of it.
//
//   X = C Q + B        (Xᵀ X)[i, j] = (Qᵀ Q)[i, j] + (Bᵀ B + Qᵀ Y + Yᵀ Q)[i, j]        Y = Cᵀ B + (Cᵀ C − 1) Q / 2
//
// The first part is exact, as Q has few bits; B and Y are small where columns of X are much alike.
//
// in    matrix      f32 [rows, columns]      X
//       directions  f32 [rows, 4]            C as `lead` makes it
//       excess      f32 [4, 4]               Cᵀ C − 1
// out   rest        f32 [rows, columns]      B
//       leading     f32 [columns, 8]         Qᵀ and Yᵀ; values 8 to 15 of a row, padding, are not written
// grid  [⌈padded(columns) / 64⌉]; one workgroup 16 vec4 of columns, one lane 16 / DOWN strands of rows of two
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
@group(0) @binding(2) var<storage, read> excess: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rest: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> leading: array<vec4f>;
@group(0) @binding(5) var<uniform> dims: Dims;

const ACROSS = 8u;
override DOWN: u32 = 16u; // 1 where lanes are few: then none waits for another
const STRANDS = 16u;
var<workgroup> parts: array<vec4f, 512>;
var<workgroup> whole: array<vec4f, 32>;

// Two vec4 of columns by four directions.
struct Shares {
  x: mat4x4f,
  y: mat4x4f,
}

@compute @workgroup_size(ACROSS, DOWN)
fn deflate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let x4 = 2u * ACROSS * group.x + local.x;
  let down = select(local.y, 0u, DOWN == 1u);
  let own = swept(down, x4, Shares(), false);
  let q = Shares(leadingBits(total(local, own.x)), leadingBits(total(local, own.y)));
  let inner = swept(down, x4, q, true);
  finish(down, x4, q.x, total(local, inner.x));
  finish(down, x4 + ACROSS, q.y, total(local, inner.y));
}

// A lane's part of Cᵀ (X − C q), with X − C q written or not. What lanes past the end load and add up goes nowhere.
fn swept(down: u32, x4: u32, q: Shares, written: bool) -> Shares {
  let pitch = pitch4(dims.columns);
  let y4 = x4 + ACROSS;
  let end4 = select(0u, padded(dims.columns) / 4u, written);
  let long = (dims.rows + STRANDS - 1u) / STRANDS;
  var sum = Shares();
  for (var strand = down; strand < STRANDS; strand += DOWN) {
    var own = Shares();
    let end = min((strand + 1u) * long, dims.rows);
    for (var k = strand * long; k < end; k++) {
      let c = directions[k * pitch4(4u)];
      // Exact: c q adds up multiples of one number, of at most 24 bits.
      let x = matrix[k * pitch + x4] - c * q.x;
      let y = matrix[k * pitch + y4] - c * q.y;
      if x4 < end4 {
        rest[k * pitch + x4] = x;
      }
      if y4 < end4 {
        rest[k * pitch + y4] = y;
      }
      own.x += outer(c, x);
      own.y += outer(c, y);
    }
    sum.x += own.x;
    sum.y += own.y;
  }
  return sum;
}

// The padding below four columns, and what was taken out of them.
fn finish(down: u32, column4: u32, q: mat4x4f, inner: mat4x4f) {
  let inside = 4u * column4 < padded(dims.columns);
  for (var k = dims.rows + down; inside && k < padded(dims.rows); k += DOWN) {
    rest[k * pitch4(dims.columns) + column4] = vec4f();
  }
  let p = pitch4(4u);
  let m = mat4x4f(excess[0], excess[p], excess[2u * p], excess[3u * p]);
  for (var c = down; inside && c < 4u; c += DOWN) {
    let at = (4u * column4 + c) * pitch4(8u);
    leading[at] = q[c];
    leading[at + 1u] = inner[c] + 0.5 * (m * q[c]);
  }
}

fn outer(c: vec4f, x: vec4f) -> mat4x4f {
  return mat4x4f(c * x.x, c * x.y, c * x.z, c * x.w);
}

// The sum over all lanes that share columns, for each of these lanes.
fn total(local: vec3u, own: mat4x4f) -> mat4x4f {
  if DOWN == 1u {
    return own;
  }
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
  return mat4x4f(whole[local.x], whole[ACROSS + local.x], whole[2u * ACROSS + local.x], whole[3u * ACROSS + local.x]);
}
