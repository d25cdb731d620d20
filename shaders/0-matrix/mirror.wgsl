// with fragments/load.wgsl
// mirror — the upper triangle of a symmetric matrix from its lower one.
//
//   matrix[i, j] = matrix[j, i]        j > i
//
// out   matrix  f32 [n, n]
// grid  [⌈n / 64⌉, n]; one lane an element
// error exact: both triangles hold the same bits
// cost  4 n² bytes
struct Dims {
  n: u32,
}

@group(0) @binding(0) var<storage, read_write> matrix: array<f32>;
@group(0) @binding(1) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn mirror(@builtin(global_invocation_id) id: vec3u) {
  if id.x < dims.n && id.y < id.x {
    let pitch = 4u * pitch4(dims.n);
    matrix[id.y * pitch + id.x] = matrix[id.x * pitch + id.y];
  }
}
