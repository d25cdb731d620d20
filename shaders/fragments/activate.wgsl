// activate — epilogue of a product of weights and activations: the layer's pre-activations and activations.
//
//   z[h, i] = scale · sum + shift · bias[h]        a[h, i] = φ(z[h, i])
//
// in    bias  f32 [1, rows]        zeros where the network has none
// out   z, a  f32 [rows, columns]  rows are units, columns samples
// error z: three roundings more than the sum; a: that of φ in activations.wgsl
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> z: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> a: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let value = dims.scale * sum + dims.shift * bias[row];
  z[at] = keep(row, dims.rows, column4, dims.columns, value);
  // A loop, as four copies of φ would take seconds to compile.
  var phis = vec4f();
  for (var c = 0u; c < 4u; c++) {
    phis[c] = phi(value[c]);
  }
  a[at] = keep(row, dims.rows, column4, dims.columns, phis);
}
