// schur — epilogue of a product: what rows of a factor leave of a block of rows.
//
//   out[i, columnOrigin + j] = matrix[rowOrigin + i, columnOrigin + j] + shift · δ − sum
//
// in    matrix  f32 [leftColumns, rightColumns]   δ is 1 on its diagonal, else 0
// out   out     f32 [rows, rightColumns]          columns before columnOrigin stay as they are
// error one rounding for the shift unless it is 0, one for the difference
@group(0) @binding(3) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let pitch = pitch4(dims.rightColumns);
  let at = dims.columnOrigin / 4u + column4;
  let i = dims.rowOrigin + row;
  let j = vec4u(4u * at) + vec4u(0u, 1u, 2u, 3u);
  let shifted = matrix[i * pitch + at] + select(vec4f(), vec4f(dims.shift), j == vec4u(i));
  out[row * pitch + at] = keep(row, dims.rows, column4, dims.columns, shifted - sum);
}
