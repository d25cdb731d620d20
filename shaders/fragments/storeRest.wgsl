// storeRest — epilogue of a product Bᵀ B: out[i, j] = (Xᵀ X − Qᵀ Q)[i, j]; X is B with what deflate.wgsl took out of it.
//
// out   out  f32 [rows, columns]
// error that of leading.wgsl. Needs leading.wgsl, pair.wgsl.
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn finish(row: u32, column4: u32, sum: vec4f) {
  let value = withLeading(row, column4, sum).low;
  out[row * pitch4(dims.columns) + column4] = keep(row, dims.rows, column4, dims.columns, value);
}
