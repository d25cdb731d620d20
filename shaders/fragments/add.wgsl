// add — epilogue of a product: out[i, j] += scale · sum.
//
// out   out   f32 [rows, columns]
// error one rounding for the scale unless it is a power of two, one for the sum
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  out[at] = keep(row, dims.rows, column4, dims.columns, out[at] + dims.scale * sum);
}
