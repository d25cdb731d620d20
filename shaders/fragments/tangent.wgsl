// tangent — epilogue of a product of weights and the tangent of activations: the tangent of the layer's activations.
//
//   out[h, i] = φ′(z[h, i]) · (before[h, i] + scale · sum)
//
// in    z       f32 [rows, columns]   the layer's pre-activations
//       before  f32 [rows, columns]   what the tangent of the weights contributes
// out   out     f32 [rows, columns]
// error three roundings more than the sum, and that of φ′ in activations.wgsl
@group(0) @binding(3) var<storage, read> z: array<vec4f>;
@group(0) @binding(4) var<storage, read> before: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let seen = z[at];
  // A loop, as four copies of φ′ would take seconds to compile.
  var slope = vec4f();
  for (var c = 0u; c < 4u; c++) {
    slope[c] = phiPrime(seen[c]);
  }
  let value = slope * (before[at] + dims.scale * sum);
  out[at] = keep(row, dims.rows, column4, dims.columns, value);
}
