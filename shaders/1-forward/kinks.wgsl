// with fragments/load.wgsl
// kinks — lists the pre-activations so close to 0 that rounding may have put them on the wrong side of it.
//
//   found[slot, 0] += 1, found[slot, count before + 1] = 2 · (h · columns + i) + [z > 0]      where |z[h, i]| ≤ near
//
// in    z      f32 [rows, columns]   rows are units, columns samples
// out   found  u32 [slots, capacity]     zeros beforehand; places beyond the capacity are counted, not listed
// grid  [⌈stored vec4s / 64⌉ over two axes]; one lane one vec4
// error exact; the order of the list is the device's
// cost  4 bytes a value read
struct Dims {
  rows: u32,
  columns: u32,
  slots: u32,
  capacity: u32,
  slot: u32,
  near: f32,
}

@group(0) @binding(0) var<storage, read> z: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn kinks(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let place = id.x + id.y * 64u * groups.x;
  let pitch = pitch4(dims.columns);
  let row = place / pitch;
  if row >= dims.rows {
    return;
  }
  let value = abs(z[place]);
  let close = value <= vec4f(dims.near);
  if !any(close) {
    return;
  }
  let start = dims.slot * 4u * pitch4(dims.capacity);
  for (var lane = 0u; lane < 4u; lane++) {
    let column = 4u * (place % pitch) + lane;
    if close[lane] && column < dims.columns {
      let at = atomicAdd(&found[start], 1u) + 1u;
      if at < dims.capacity {
        atomicStore(&found[start + at], 2u * (row * dims.columns + column) + u32(z[place][lane] > 0.0));
      }
    }
  }
}
