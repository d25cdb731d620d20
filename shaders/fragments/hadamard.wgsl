// hadamard — epilogue of a product of signals: out[i, j] += factor[⌊i / outputs⌋, ⌊j / outputs⌋] · scale · sum.
//
// in    factor  f32 [rowSamples, samples]   c² A Aᵀ + β² of the layer, one value a pair of samples
// out   out     f32 [rows, columns]                       signals of sample s and output o stand at s · outputs + o
// error three roundings more than the sum. Needs samples.wgsl.
@group(0) @binding(3) var<storage, read> factor: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let to = row * pitch4(dims.columns) + column4;
  let value = out[to] + weight(row, column4) * (dims.scale * sum);
  out[to] = keep(row, dims.rows, column4, dims.columns, value);
}

// The factors of four neighbours; with one output a column is a sample.
fn weight(row: u32, column4: u32) -> vec4f {
  let start = row / dims.outputs * pitch4(dims.samples);
  if dims.outputs == 1u {
    return factor[start + column4];
  }
  let sample = sampleOf(column4);
  let at = vec4u(start) + sample / 4u;
  let lane = sample % 4u;
  return vec4f(
    factor[at.x][lane.x],
    factor[at.y][lane.y],
    factor[at.z][lane.z],
    factor[at.w][lane.w],
  );
}
