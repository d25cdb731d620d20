// bias — epilogue of a product of a weights' tangent and activations: out[h, i] = scale · sum + shift · bias[h].
//
// in    bias  f32 [1, rows]
// out   out   f32 [rows, columns]
// error three roundings more than the sum
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let value = dims.scale * sum + dims.shift * bias[row];
  let at = row * pitch4(dims.columns) + column4;
  out[at] = keep(row, dims.rows, column4, dims.columns, value);
}
