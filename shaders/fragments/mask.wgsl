// mask — epilogue of a product of weights and signals: the signals of the layer below.
//
//   out[h, s] = scale · sum · φ′(z[h, ⌊s / outputs⌋])
//
// in    z    f32 [rows, samples]   pre-activations of the layer below, one column a sample
// out   out  f32 [rows, columns]             signal of sample i and output o at column i · outputs + o
// error two roundings more than the sum, and that of φ′ in activations.wgsl
@group(0) @binding(3) var<storage, read> z: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn finish(row: u32, column4: u32, sum: vec4f) {
  let start = row * 4u * pitch4(dims.samples);
  let column = 4u * vec4u(column4) + vec4u(0u, 1u, 2u, 3u);
  let at = vec4u(start) + column / dims.outputs;
  // A loop, as four copies of φ′ would take seconds to compile.
  var slope = vec4f();
  for (var c = 0u; c < 4u; c++) {
    slope[c] = phiPrime(z[at[c]]);
  }
  let to = row * pitch4(dims.columns) + column4;
  out[to] = keep(row, dims.rows, column4, dims.columns, dims.scale * sum * slope);
}
