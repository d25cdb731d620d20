// textures — the product's operands in textures: panels of 128 columns below each other, so that values that a tile needs
// one after another lie near each other. Needs operands.wgsl.
//
// in    left, right  f32 [depth, …], the columns of the part that is wanted: value [k, 4 · c4 + i] is component i of texel
//       x = 32 · (k % 4) + c4 % 32,   row = c4 / 32 · panelRows() + k / 4,   y = row % 8192,   layer = row / 8192
@group(0) @binding(0) var left: texture_storage_2d_array<rgba32float, read>;
@group(0) @binding(1) var right: texture_storage_2d_array<rgba32float, read>;

const PANEL4 = 32u;

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
