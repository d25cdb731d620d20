// with fragments/load.wgsl, fragments/samples.wgsl
// rows — the part of a Jacobian panel that belongs to one layer.
//
//   panel[r, s] = weightScale · signals[o, s] · acts[k, ⌊s / outputs⌋]   p = firstParameter + r, o = ⌊p / fan⌋, k = p mod fan
//               = biasScale · signals[p − units · fan, s]                where p ≥ units · fan: the bias follows the weights
//   panel[r, s] = 0                                                      where r is beyond `count`: the panel's padding
//
// in    signals f32 [units, columns]     ∂f / ∂z of the layer, columns = samples · outputs
//       acts    f32 [fan, samples]       what the layer sees
// out   panel   f32 [depth, columns]     rows firstRow … firstRow + written − 1, which may end in the padding
// grid  [⌈padded(columns) / 4 / 16⌉, ⌈written / 16⌉]; one lane four columns of 16 rows, counting o and k along
// error two roundings a weight, one a bias
// cost  2 flops and 4 bytes written a value
struct Dims {
  units: u32,
  fan: u32,
  columns: u32,
  outputs: u32,
  samples: u32,
  depth: u32,
  firstRow: u32,
  written: u32,
  firstParameter: u32,
  count: u32,
  weightScale: f32,
  biasScale: f32,
}

@group(0) @binding(0) var<storage, read> signals: array<vec4f>;
@group(0) @binding(1) var<storage, read> acts: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> panel: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

const ROWS = 16u;

@compute @workgroup_size(16)
fn rows(@builtin(global_invocation_id) id: vec3u) {
  let column4 = id.x;
  if 4u * column4 >= padded(dims.columns) {
    return;
  }
  let pitch = pitch4(dims.columns);
  let actsPitch = pitch4(dims.samples);
  let sample = sampleOf(column4);
  let weights = dims.units * dims.fan;
  let first = ROWS * id.y;
  let parameter = dims.firstParameter + first;
  var o = parameter / dims.fan;
  var k = parameter % dims.fan;
  for (var i = 0u; i < ROWS; i++) {
    let r = first + i;
    if r >= dims.written {
      break;
    }
    var value = vec4f();
    if r < dims.count {
      if o < dims.units {
        value = dims.weightScale * signals[o * pitch + column4] * seen(k * actsPitch, column4, sample);
      } else {
        value = dims.biasScale * signals[(parameter + i - weights) * pitch + column4];
      }
    }
    let row = dims.firstRow + r;
    panel[row * pitch + column4] = keep(row, dims.depth, column4, dims.columns, value);
    k += 1u;
    if k == dims.fan {
      k = 0u;
      o += 1u;
    }
  }
}

// One activation of the four columns' samples; with one output a column is a sample.
fn seen(start: u32, column4: u32, sample: vec4u) -> vec4f {
  if dims.outputs == 1u {
    return acts[start + column4];
  }
  let at = vec4u(start) + sample / 4u;
  let lane = sample % 4u;
  return vec4f(acts[at.x][lane.x], acts[at.y][lane.y], acts[at.z][lane.z], acts[at.w][lane.w]);
}
