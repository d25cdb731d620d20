// with fragments/load.wgsl, fragments/transcendental.wgsl
// loss — how far outputs are from their targets, and which way that grows.
//
//   LOSS 0   ℓ_i = ½ Σ_o (u − y)²                       r = u − y
//   LOSS 1   ℓ_i = Σ_o log(1 + e^(−y u)), y = ±1        r = −y / (1 + e^(y u))
//   LOSS 2   ℓ_i = log Σ_o e^(u_o) − Σ_o y_o u_o        r = softmax(u) − y, y ≥ 0, Σ_o y_o = 1
//   history[slot, group] = Σ ℓ_i over 256 samples       r[o, i] = ∂ℓ_i / ∂u[o, i]
//
// in    u, y     f32 [outputs, n]
// out   r        f32 [outputs, n]
//       history  f32 [slots, fields], row `slot`, fields from 0
// grid  [⌈padded(n) / 256⌉]; one lane four samples
// error u = 2⁻²³, O = outputs, D = max_o u_o − min_o u_o ≤ 80 of a sample
//       r: 0: u |r|; 1: 12 u |r| + 2⁻¹²⁰; 2: (2 D + O + 12) u softmax(u) + u |r| + 2⁻¹²⁰
//       ℓ_i: 0: γ(O + 4) ℓ_i; 1: γ(O + 12) ℓ_i + 2⁻¹²⁰; 2: (D + O + 8) u + γ(O + 12) ℓ⁺, ℓ⁺ = log Σ_o e^(u_o − max) +
//       Σ_o y_o (max − u_o). Their sum: γ(72) Σ ℓ_i more
// cost  16 bytes an output
struct Dims {
  outputs: u32,
  n: u32,
  slots: u32,
  fields: u32,
  slot: u32,
}

@group(0) @binding(0) var<storage, read> u: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> r: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> history: array<f32>;
@group(0) @binding(4) var<uniform> dims: Dims;

override LOSS: u32 = 0u;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn loss(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let column4 = 64u * group.x + lane;
  var each = vec4f();
  if 4u * column4 < padded(dims.n) {
    if LOSS == 2u {
      each = softmax(column4);
    } else {
      for (var o = 0u; o < dims.outputs; o++) {
        let at = o * pitch4(dims.n) + column4;
        if LOSS == 0u {
          let rest = u[at] - y[at];
          each += 0.5 * rest * rest;
          r[at] = keep(o, dims.outputs, column4, dims.n, rest);
        } else {
          each += margin(o, at, column4);
        }
      }
    }
  }
  each = keep(0u, 1u, column4, dims.n, each);
  parts[lane] = (each.x + each.y) + (each.z + each.w);
  workgroupBarrier();
  if lane == 0u {
    var sum = 0.0;
    for (var k = 0u; k < 64u; k++) {
      sum += parts[k];
    }
    history[4u * dims.slot * pitch4(dims.fields) + group.x] = sum;
  }
}

// log(1 + e^−m) and its slope for the margins m = y u.
fn margin(o: u32, at: u32, column4: u32) -> vec4f {
  let m = y[at] * u[at];
  var value = vec4f();
  var slope = vec4f();
  for (var c = 0u; c < 4u; c++) {
    value[c] = max(-m[c], 0.0) + logOnePlus(expOf(-abs(m[c])));
    slope[c] = logistic(-m[c]);
  }
  r[at] = keep(o, dims.outputs, column4, dims.n, -y[at] * slope);
  return value;
}

fn softmax(column4: u32) -> vec4f {
  let pitch = pitch4(dims.n);
  var top = u[column4];
  for (var o = 1u; o < dims.outputs; o++) {
    top = max(top, u[o * pitch + column4]);
  }
  var sum = vec4f();
  var value = vec4f();
  for (var o = 0u; o < dims.outputs; o++) {
    let below = u[o * pitch + column4] - top;
    value -= y[o * pitch + column4] * below;
    for (var c = 0u; c < 4u; c++) {
      sum[c] += expOf(below[c]);
    }
  }
  for (var o = 0u; o < dims.outputs; o++) {
    let at = o * pitch + column4;
    var share = vec4f();
    for (var c = 0u; c < 4u; c++) {
      share[c] = expOf(u[at][c] - top[c]) / sum[c];
    }
    r[at] = keep(o, dims.outputs, column4, dims.n, share - y[at]);
  }
  for (var c = 0u; c < 4u; c++) {
    value[c] += logOf(sum[c]);
  }
  return value;
}

// log x for x ≥ 1.
fn logOf(x: f32) -> f32 {
  let power = (bitcast<u32>(x) >> 23u) - 127u;
  return 0.6931471806 * f32(power) + logOnePlus(bitcast<f32>(bitcast<u32>(x) - (power << 23u)) - 1.0);
}
