// mask — epilogue of a product of weights and signals: the signals of the layer below.
//
//   out[h, s] = scale · sum · φ′(z[h, ⌊s / outputs⌋])
//
// in    z    f32 [rows, samples]   pre-activations of the layer below, one column a sample
// out   out  f32 [rows, columns]             signal of sample i and output o at column i · outputs + o
// error two roundings more than the sum, and that of φ′ in activations.wgsl. Needs samples.wgsl.
@group(0) @binding(3) var<storage, read> z: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let seen = before(row, column4);
  // A loop, as four copies of φ′ would take seconds to compile.
  var slope = vec4f();
  for (var c = 0u; c < 4u; c++) {
    slope[c] = phiPrime(seen[c]);
  }
  let to = row * pitch4(dims.columns) + column4;
  out[to] = keep(row, dims.rows, column4, dims.columns, dims.scale * sum * slope);
}

// The pre-activations of four neighbours; with one output a column is a sample.
fn before(row: u32, column4: u32) -> vec4f {
  let start = row * pitch4(dims.samples);
  if dims.outputs == 1u {
    return z[start + column4];
  }
  let sample = sampleOf(column4);
  let at = vec4u(start) + sample / 4u;
  let lane = sample % 4u;
  return vec4f(z[at.x][lane.x], z[at.y][lane.y], z[at.z][lane.z], z[at.w][lane.w]);
}
