// with fragments/load.wgsl
// turn — a matrix on its side, so that a product can sum along its other axis.
//
//   out[j, i] = matrix[i, j]          i < rows, j < columns
//
// in    matrix  f32 [rows, columns]
// out   out     f32 [columns, rows]
// grid  [⌈padded(columns) / 4 / 16⌉, padded(rows) / 4]; one lane a square of 4 × 4, padding too
// error exact
// cost  8 bytes a value
struct Dims {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(16)
fn turn(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.columns) {
    return;
  }
  let pitch = pitch4(dims.columns);
  let at = 4u * id.y * pitch + id.x;
  let square = mat4x4f(
    matrix[at],
    matrix[at + pitch],
    matrix[at + 2u * pitch],
    matrix[at + 3u * pitch],
  );
  var turned = transpose(square);
  let turnedPitch = pitch4(dims.rows);
  for (var i = 0u; i < 4u; i++) {
    out[(4u * id.x + i) * turnedPitch + id.y] = turned[i];
  }
}
