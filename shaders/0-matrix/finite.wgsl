// with fragments/load.wgsl
// finite — counts the values of a matrix that are NaN or infinite, keeps where the first is stored, and the largest.
//
//   found[slot, 0] += 1, found[slot, 1] = max(·, 2³² − 1 − place)      where the exponent's bits are all ones
//   found[slot, 2] = max(·, bits of |value|)                           elsewhere
//
// in    matrix  u32 [rows, columns]   the bits: arithmetic on NaN may be folded away, bits may not
// out   found   u32 [slots, 3]        row `slot`, zeros beforehand; a place counts the padding too
// grid  [stored vec4s / 64 / 64]; one lane 64 vec4s, neighbours beside each other
// error exact
// cost  4 bytes a value read
struct Dims {
  rows: u32,
  columns: u32,
  slots: u32,
  slot: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> dims: Dims;

const SEGMENT = 64u;

@compute @workgroup_size(64)
fn finite(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let first = SEGMENT * 64u * group.x + local.x;
  let end = padded(dims.rows) * pitch4(dims.columns);
  var count = 0u;
  var lowest = 0xffffffffu;
  var largest = vec4u();
  for (var k = 0u; k < SEGMENT; k++) {
    let place = first + 64u * k;
    if place >= end {
      break;
    }
    let size = matrix[place] & vec4u(0x7fffffffu);
    let bad = size >= vec4u(0x7f800000u);
    largest = max(largest, select(size, vec4u(), bad));
    count += dot(select(vec4u(), vec4u(1u), bad), vec4u(1u));
    let at = select(vec4u(0xffffffffu), vec4u(4u * place) + vec4u(0u, 1u, 2u, 3u), bad);
    lowest = min(lowest, min(min(at.x, at.y), min(at.z, at.w)));
  }
  let slot = dims.slot * 4u * pitch4(3u);
  atomicMax(&found[slot + 2u], max(max(largest.x, largest.y), max(largest.z, largest.w)));
  if count > 0u {
    atomicAdd(&found[slot], count);
    atomicMax(&found[slot + 1u], 0xffffffffu - lowest);
  }
}
