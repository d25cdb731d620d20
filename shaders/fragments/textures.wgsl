// textures — the product's operands in textures: panels of 256 columns below each other, so that values that a tile needs
// one after another lie near each other. Needs operands.wgsl.
//
// in    left, right  f32 [depth, …], the columns of the part that is wanted: value [k, 4 · c4 + i] is component i of texel
//       x = 64 · (k % 4) + c4 % 64,   row = c4 / 64 · panelRows() + k / 4,   y = row % 8192,   layer = row / 8192
@group(0) @binding(0) var left: texture_storage_2d_array<rgba32float, read>;
@group(0) @binding(1) var right: texture_storage_2d_array<rgba32float, read>;

const PANEL4 = 64u;

// Rows of texels that a panel takes: whole blocks of 64 values along the summed axis, which no layer's end cuts.
fn panelRows() -> u32 {
  return (dims.depth + 63u) / 64u * 16u;
}

// The texel where a block of 64 values along the summed axis begins: x, y and layer.
fn blockAt(column4: u32, block: u32) -> vec3u {
  let row = column4 / PANEL4 * panelRows() + 16u * block;
  return vec3u(column4 % PANEL4, row % 8192u, row / 8192u);
}

// Four values along the summed axis of four columns: the texels of one row that belong to them.
fn fourAt(operand: texture_storage_2d_array<rgba32float, read>, at: vec3u) -> mat4x4f {
  return mat4x4f(
    textureLoad(operand, at.xy, at.z),
    textureLoad(operand, at.xy + vec2u(PANEL4, 0u), at.z),
    textureLoad(operand, at.xy + vec2u(2u * PANEL4, 0u), at.z),
    textureLoad(operand, at.xy + vec2u(3u * PANEL4, 0u), at.z),
  );
}

// The tile in the order of `tileAt` that comes at this place: groups of four columns of tiles, each row by row, so that
// what a group reads of `right` stays in a processor's cache and what a row reads of `left` is used four times.
fn grouped(place: u32, high: u32, wide: u32) -> u32 {
  let down = (padded(dims.rows) + high - 1u) / high;
  if dims.triangle == 0u {
    let across = (padded(dims.columns) + wide - 1u) / wide;
    let first = place / (4u * down) * 4u;
    let rest = place - first * down;
    let group = min(4u, across - first);
    return (first + rest % group) * down + rest / group;
  }
  // Row u of the triangle, a column of the result, has u + 1 squares of tiles; the last row comes first.
  let part = wide / high;
  let square = place / part;
  let across = (down + part - 1u) / part;
  let first = (across - 1u - tileAt(place, high, wide).y / wide) / 4u * 4u;
  let rest = square - first * (first + 1u) / 2u;
  let group = min(4u, across - first);
  var u = first + rest % group;
  var v = rest / group;
  if v >= first {
    // The corner of the group, a triangle of four rows.
    let corner = rest - group * first;
    let row = u32(corner > 0u) + u32(corner > 2u) + u32(corner > 5u);
    u = first + row;
    v = first + corner - row * (row + 1u) / 2u;
  }
  return (u * (u + 1u) / 2u + v) * part + place % part;
}
