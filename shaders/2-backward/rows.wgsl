// with fragments/load.wgsl
// rows — the part of a Jacobian panel that belongs to one layer.
//
//   panel[r, s] = weightScale · signals[o, s] · acts[k, ⌊s / outputs⌋]   p = firstParameter + r, o = ⌊p / fan⌋, k = p mod fan
//               = biasScale · signals[p − units · fan, s]                where p ≥ units · fan: the bias follows the weights
//   panel[r, s] = 0                                                      where r is beyond `count`: the panel's padding
//
// in    signals f32 [units, columns]             ∂f / ∂z of the layer, columns = samples · outputs
//       acts    f32 [fan, columns / outputs]     what the layer sees
// out   panel   f32 [depth, columns]             rows firstRow … firstRow + count, and the padding after the last layer
// grid  [⌈padded(columns) / 4 / 64⌉, rows written]
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
  firstParameter: u32,
  count: u32,
  weightScale: f32,
  biasScale: f32,
}

@group(0) @binding(0) var<storage, read> signals: array<vec4f>;
@group(0) @binding(1) var<storage, read> acts: array<f32>;
@group(0) @binding(2) var<storage, read_write> panel: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn rows(@builtin(global_invocation_id) id: vec3u) {
  let r = id.y;
  let column4 = id.x;
  let row = dims.firstRow + r;
  if 4u * column4 >= padded(dims.columns) || row >= padded(dims.depth) {
    return;
  }
  let pitch = pitch4(dims.columns);
  var value = vec4f();
  if r < dims.count {
    let parameter = dims.firstParameter + r;
    let weights = dims.units * dims.fan;
    if parameter < weights {
      let start = parameter % dims.fan * 4u * pitch4(dims.samples);
      let sample = (4u * vec4u(column4) + vec4u(0u, 1u, 2u, 3u)) / dims.outputs;
      let at = vec4u(start) + sample;
      let act = vec4f(acts[at.x], acts[at.y], acts[at.z], acts[at.w]);
      value = dims.weightScale * signals[parameter / dims.fan * pitch + column4] * act;
    } else {
      value = dims.biasScale * signals[(parameter - weights) * pitch + column4];
    }
  }
  panel[row * pitch + column4] = keep(row, dims.depth, column4, dims.columns, value);
}
