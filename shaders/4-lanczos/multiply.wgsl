// with fragments/load.wgsl
// multiply — a symmetric matrix times one vector of the basis, in partial sums; only its lower tiles are read.
//
//   partial[b, j] = Σ_i  matrix[i, j] · basis[step, i]        64 b ≤ i < 64 (b + 1), j < 64 (b + 1)
//   partial[blocks + LANES s + l, i] = Σ_j  matrix[i, j] · basis[step, j]
//                                        j below i's block, in strip s: ⌊j / 1024⌋ = s, and of lane l: ⌊j / 4⌋ % LANES = l
//
// in    matrix   f32 [n, n] symmetric
//       basis    f32 [vectors, n]
// out   partial  f32 [parts, n], blocks = ⌈n / 64⌉, parts = blocks + LANES · strips, strips = ⌈padded(n) / 1024⌉; of row
//                b columns before 64 (b + 1), of the rows of strip s columns from 1024 s
// grid  [strips, blocks]; one workgroup 64 rows of one strip, the longest and the shortest row of tiles in turns, so that
//       any run of workgroups is as much work as another; one lane four columns of every 4 · LANES
// error |partial − exact| ≤ γ(36) · Σ |matrix · basis|, u = 2⁻²³: four terms, then 8 · 2 or at most 32 sums of four
// cost  2 n² flops, 2 n² bytes read; of the sums n² / 4 written and, while they grow, read back, LANES · n² / 512 written
//       LANES 8, 16 or 32: the widest subgroup, as its loads are then of memory side by side
struct Dims {
  n: u32,
  vectors: u32,
  blocks: u32,
  parts: u32,
  step: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read> basis: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

override LANES: u32 = 8u;

@compute @workgroup_size(LANES)
fn multiply(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let pitch = pitch4(dims.n);
  let last4 = padded(dims.n) / 4u;
  let half = group.y / 2u;
  let block = select(half, dims.blocks - 1u - half, group.y % 2u == 0u);
  let end = min(16u * (block + 1u), last4);
  let first = 256u * group.x;
  if first >= end {
    return;
  }
  let vector = dims.step * pitch;
  let beside = (dims.blocks + group.x * LANES + local.x) * pitch;
  for (var part = 0u; part < 8u; part++) {
    let row4 = 16u * block + 2u * part;
    if row4 >= last4 {
      break;
    }
    let upper = basis[vector + row4];
    let lower = basis[vector + row4 + 1u];
    var upperSum = vec4f();
    var lowerSum = vec4f();
    for (var t = 0u; t < 256u / LANES; t++) {
      let column4 = first + t * LANES + local.x;
      if column4 >= end {
        break;
      }
      // The tile on the diagonal is whole by its columns alone.
      let x = select(basis[vector + column4], vec4f(), column4 >= 16u * block);
      let out = block * pitch + column4;
      var sum = vec4f();
      if part > 0u {
        sum = partial[out];
      }
      let at = 4u * row4 * pitch + column4;
      let above = fourRows(at, pitch);
      let below = fourRows(at + 4u * pitch, pitch);
      upperSum += x * above;
      lowerSum += x * below;
      sum += above * upper;
      sum += below * lower;
      partial[out] = sum;
    }
    partial[beside + row4] = upperSum;
    partial[beside + row4 + 1u] = lowerSum;
  }
}

fn fourRows(at: u32, pitch: u32) -> mat4x4f {
  return mat4x4f(matrix[at], matrix[at + pitch], matrix[at + 2u * pitch], matrix[at + 3u * pitch]);
}
