// with fragments/load.wgsl
// reverse — both axes from their ends, so that the last rows are the first.
//
//   out[i, j] = matrix[rows − 1 − i, columns − 1 − j]          i < rows, j < columns
//
// in    matrix  f32 [rows, columns]
// out   out     f32 [rows, columns]
// grid  [⌈padded(columns) / 64⌉, padded(rows)]; one lane a value, padding too
// error exact
// cost  8 bytes a value
struct Dims {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn reverse(@builtin(global_invocation_id) id: vec3u) {
  if id.x >= padded(dims.columns) {
    return;
  }
  let pitch = 4u * pitch4(dims.columns);
  let inside = id.x < dims.columns && id.y < dims.rows;
  let place = (dims.rows - 1u - id.y) * pitch + dims.columns - 1u - id.x;
  out[id.y * pitch + id.x] = select(0.0, matrix[select(0u, place, inside)], inside);
}
