// with fragments/load.wgsl
// mirror — the upper triangle of a symmetric matrix from its lower one.
//
//   matrix[i, j] = matrix[j, i]        j > i
//
// out   matrix  f32 [n, n]
// grid  [⌈padded(n) / 4 / 64⌉, padded(n) / 4]; one lane a square of 4 × 4 on the diagonal or above it
// error exact: both triangles hold the same bits
// cost  4 n² bytes
struct Dims {
  n: u32,
}

@group(0) @binding(0) var<storage, read_write> matrix: array<vec4f>;
@group(0) @binding(1) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn mirror(@builtin(global_invocation_id) id: vec3u) {
  let column4 = id.x;
  let row4 = id.y;
  if 4u * column4 >= padded(dims.n) || row4 > column4 {
    return;
  }
  let pitch = pitch4(dims.n);
  let lower = 4u * column4 * pitch + row4;
  let a = matrix[lower];
  let b = matrix[lower + pitch];
  let c = matrix[lower + 2u * pitch];
  let d = matrix[lower + 3u * pitch];
  var turned = transpose(mat4x4f(a, b, c, d));
  let to = 4u * row4 * pitch + column4;
  // On the diagonal each row keeps what lies below it.
  for (var i = 0u; i < 4u; i++) {
    let at = to + i * pitch;
    var value = turned[i];
    if row4 == column4 {
      value = select(matrix[at], value, vec4u(0u, 1u, 2u, 3u) > vec4u(i));
    }
    matrix[at] = value;
  }
}
