// with fragments/load.wgsl, fragments/pair.wgsl
// descend — one step down a gradient, for weights that are sums of two f32 each.
//
//   velocity = momentum · velocity + gradient            weight + rest −= rate · velocity
//   history[slot, first + group] = Σ gradient²           over 1024 vec4s of the buffer
//
// in    gradient      f32 [rows, columns]
// out   velocity      f32 [rows, columns]; [1, 1] and untouched without momentum: the gradient itself stands in
//       weight, rest  f32 [rows, columns], |rest| at most half an ulp of the weight
//       history       f32 [slots, fields], row `slot`, fields from `first`
// grid  [⌈vec4s / 1024⌉] of the stored vec4s; one lane 16 of them, 64 apart
// error velocity: 2 roundings; weight + rest: 2 u |rate · velocity| + 2⁻⁴⁶ |weight|, so that steps far below an ulp add up;
//       Σ gradient²: γ(84) of itself; u = 2⁻²³
// cost  20 bytes a value, 28 with momentum
struct Dims {
  rows: u32,
  columns: u32,
  velocityRows: u32,
  velocityColumns: u32,
  slots: u32,
  fields: u32,
  slot: u32,
  first: u32,
  rate: f32,
  momentum: f32,
  zero: u32,
}

@group(0) @binding(0) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> velocity: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rest: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> history: array<f32>;
@group(0) @binding(5) var<uniform> dims: Dims;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn descend(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let end = padded(dims.rows) * pitch4(dims.columns);
  var squares = vec4f();
  for (var k = 0u; k < 16u; k++) {
    let at = 1024u * group.x + 64u * k + lane;
    if at >= end {
      break;
    }
    let slope = gradient[at];
    squares += slope * slope;
    var along = slope;
    if dims.momentum != 0.0 {
      along += dims.momentum * velocity[at];
      velocity[at] = along;
    }
    let moved = twoSum(weight[at], rest[at] - dims.rate * along);
    weight[at] = moved.high;
    rest[at] = moved.low;
  }
  parts[lane] = (squares.x + squares.y) + (squares.z + squares.w);
  workgroupBarrier();
  if lane == 0u {
    var sum = 0.0;
    for (var k = 0u; k < 64u; k++) {
      sum += parts[k];
    }
    history[4u * dims.slot * pitch4(dims.fields) + dims.first + group.x] = sum;
  }
}
