// with fragments/load.wgsl
// pick — some columns of a matrix, in a given order: a batch of samples.
//
//   out[k, j] = matrix[k, order[0, first + j]]          k < rows, j < columns
//
// in    matrix  f32 [rows, n]
//       order   f32 [1, n], whole numbers below n
// out   out     f32 [rows, columns], first + columns ≤ n
// grid  [⌈padded(columns) / 4 / 16⌉, padded(rows) / 4]; one lane four columns of four rows
// error exact
// cost  8 bytes a value
struct Dims {
  rows: u32,
  n: u32,
  columns: u32,
  first: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(16)
fn pick(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.columns) {
    return;
  }
  var source = vec4u();
  for (var c = 0u; c < 4u; c++) {
    let j = 4u * id.x + c;
    if j < dims.columns {
      source[c] = u32(order[dims.first + j]);
    }
  }
  for (var i = 0u; i < 4u; i++) {
    let row = 4u * id.y + i;
    let start = 4u * row * pitch4(dims.n);
    let values = vec4f(
      matrix[start + source.x],
      matrix[start + source.y],
      matrix[start + source.z],
      matrix[start + source.w],
    );
    out[row * pitch4(dims.columns) + id.x] = keep(row, dims.rows, id.x, dims.columns, values);
  }
}
