// with fragments/load.wgsl
// peaks — the largest size of the values in each column of a matrix.
//
//   peak[0, s] = max over k of |matrix[k, s]|
//
// in    matrix  f32 [rows, columns]
// out   peak    f32 [1, columns]
// grid  [⌈padded(columns) / 4 / 64⌉]; one lane four columns
// error exact: sizes are compared as bits
// cost  4 bytes a value read
struct Dims {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> peak: array<vec4u>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn peaks(@builtin(global_invocation_id) id: vec3u) {
  let pitch = pitch4(dims.columns);
  if id.x >= padded(dims.columns) / 4u {
    return;
  }
  var largest = vec4u();
  for (var k = 0u; k < dims.rows; k++) {
    largest = max(largest, matrix[k * pitch + id.x] & vec4u(0x7fffffffu));
  }
  peak[id.x] = largest;
}
