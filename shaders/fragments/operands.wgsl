// operands — what the product's classes share: its sizes, and the order of its tiles. Needs load.wgsl.
//
//   sum[i, j] = Σ_k  left[k, rowOrigin + i] · right[k, columnOrigin + j]        k < depth, i < rows, j < columns
//
// in    left [depth, leftColumns] and right [depth, rightColumns], as buffers.wgsl or textures.wgsl has them
// dims  rowOrigin and columnOrigin, multiples of 16, choose a part of the whole result
//       tiles firstTile … lastTile − 1 are computed; triangle = 1 leaves out those that lie wholly above the diagonal
//       each workgroup sums at most `slabs` slabs, those that the group's z says
//       slabRows = slabs · padded(rows)
//       zero = 0, which no compiler knows
//       scaleLow and shiftLow: what scale and shift lack, for epilogues in pairs
//       for the epilogues: outputs per sample, rowSamples = rows / outputs, samples = columns / outputs
struct Dims {
  depth: u32,
  leftColumns: u32,
  rightColumns: u32,
  rowOrigin: u32,
  columnOrigin: u32,
  rows: u32,
  columns: u32,
  triangle: u32,
  firstTile: u32,
  lastTile: u32,
  slabs: u32,
  slabRows: u32,
  outputs: u32,
  rowSamples: u32,
  samples: u32,
  zero: u32,
  scale: f32,
  shift: f32,
  scaleLow: f32,
  shiftLow: f32,
}

@group(0) @binding(2) var<uniform> dims: Dims;

// First row and first column of a tile of `high` × `wide` values, `wide` a multiple of `high`. Tiles below each other
// come after each other, as they read the same columns of `right`; in a triangle the squares of `wide` rows do.
fn tileAt(tile: u32, high: u32, wide: u32) -> vec2u {
  if dims.triangle == 0u {
    let down = (padded(dims.rows) + high - 1u) / high;
    return vec2u(tile % down * high, tile / down * wide);
  }
  let part = wide / high;
  let square = tile / part;
  let across = (padded(dims.rows) + wide - 1u) / wide;
  // The largest u with u (u + 1) / 2 ≤ square; f32 alone goes wrong where squares are many.
  var u = u32((sqrt(8.0 * f32(square) + 1.0) - 1.0) / 2.0);
  u -= u32(u * (u + 1u) / 2u > square);
  u += u32((u + 1u) * (u + 2u) / 2u <= square);
  let v = square - u * (u + 1u) / 2u;
  return vec2u((across - 1u - v) * wide + tile % part * high, (across - 1u - u) * wide);
}

// A slab is 16 blocks of 64 along the summed axis. Whether one workgroup adds all slabs or each a workgroup of its own
// and `productCollect` their sums, they are added in the same order.
fn slabsOf(group: u32) -> vec2u {
  return vec2u(group * dims.slabs, min((dims.depth + 1023u) / 1024u, (group + 1u) * dims.slabs));
}

fn blocksOf(slab: u32) -> vec2u {
  return vec2u(16u * slab, min((dims.depth + 63u) / 64u, 16u * slab + 16u));
}

// Hands a sum to the epilogue; sums of places that no matrix has are dropped. Slabs lie below each other.
fn hand(slab: u32, row: u32, column4: u32, sum: vec4f) {
  let rows = padded(dims.rows);
  if row < rows && 4u * column4 < padded(dims.columns) {
    finish(slab * rows + row, column4, sum);
  }
}
