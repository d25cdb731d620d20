// whole — a tile's operands in workgroup memory for subgroup matrices of f32, and its sums as quads. Needs operands.wgsl,
// buffers.wgsl, quad.wgsl, LANES, M, N, K.
//
//   fill    STEP rows of both operands from row `start` on, the columns of `left` before those of `right`
//   quadAt  a quad of the tile's sums [8 · M, 8 · N], which take the operands' place
const STEP = 16u;
// Four values more than the tile's columns of both operands, so that rows do not fall on the same banks.
const PITCH = 8u * (M + N) + 4u;

alias Left = subgroup_matrix_left<f32, K, M>;
alias Right = subgroup_matrix_right<f32, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;

var<workgroup> staged: array<f32, max(STEP * PITCH, 64u * M * N)>;

fn fill(local: u32, start: u32, place: vec2u) {
  let wide = 2u * (M + N);
  for (var i = local; i < STEP * wide; i += LANES) {
    let at = i / wide * PITCH + 4u * (i % wide);
    let x = operand(start + i / wide, i % wide, place);
    staged[at] = x.x;
    staged[at + 1u] = x.y;
    staged[at + 2u] = x.z;
    staged[at + 3u] = x.w;
  }
}

// Four values of row k: columns of `left`, then those of `right`.
fn operand(k: u32, x: u32, place: vec2u) -> vec4f {
  if x < 2u * M {
    return left[k * pitch4(dims.leftColumns) + (dims.rowOrigin + place.x) / 4u + x];
  }
  return right[k * pitch4(dims.rightColumns) + (dims.columnOrigin + place.y) / 4u + x - 2u * M];
}

fn quadAt(quad: u32) -> Quad {
  let at = 32u * N * (quad / (2u * N)) + 4u * (quad % (2u * N));
  return Quad(four(at), four(at + 8u * N), four(at + 16u * N), four(at + 24u * N));
}

fn four(at: u32) -> vec4f {
  return vec4f(staged[at], staged[at + 1u], staged[at + 2u], staged[at + 3u]);
}
