// with fragments/load.wgsl, fragments/store.wgsl
// product — the matrix product that every stage is made of; what becomes of a sum is the epilogue's to say.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left    f32 [depth, rows]      both operands with the summed axis slowest,
//       right   f32 [depth, columns]   so that each loads as vec4s along its own axis
// out   through `finish(row, column4, sum)` of the epilogue, which writes the padding too
// dims  what the epilogues read besides: outputs per sample, rowSamples = rows / outputs, samples = columns / outputs
//       triangle = 1 leaves out the groups that lie wholly above the diagonal; firstRow is a multiple of 16
// grid  [⌈padded(columns) / (4 · LANES)⌉, padded rows of this call / 8]; one lane computes 8 rows × 4 columns
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, k = min(depth, 64) + ⌈depth / 64⌉ + 1, u = 2⁻²³:
//       one for the product, then sums over blocks of 64, then over blocks, in an order that no tile changes
// cost  2 · rows · columns · depth flops; 32 + 16 · LANES bytes loaded for 64 · LANES flops
// from  registers only, rows uniform in a workgroup: no barriers, the shape that software adapters like best
struct Dims {
  depth: u32,
  rows: u32,
  columns: u32,
  firstRow: u32,
  triangle: u32,
  outputs: u32,
  rowSamples: u32,
  samples: u32,
  scale: f32,
  shift: f32,
}

@group(0) @binding(0) var<storage, read> left: array<vec4f>;
@group(0) @binding(1) var<storage, read> right: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

override LANES: u32 = 16u;
const STEP = 16u;

@compute @workgroup_size(LANES)
fn product(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let row = dims.firstRow + 8u * group.y;
  let column4 = group.x * LANES + local.x;
  if dims.triangle == 1u && 4u * group.x * LANES > row + 7u {
    return;
  }
  if 4u * column4 >= padded(dims.columns) {
    return;
  }
  let leftPitch = pitch4(dims.rows);
  let rightPitch = pitch4(dims.columns);
  var t0 = vec4f();
  var t1 = vec4f();
  var t2 = vec4f();
  var t3 = vec4f();
  var t4 = vec4f();
  var t5 = vec4f();
  var t6 = vec4f();
  var t7 = vec4f();
  let blocks = (dims.depth + 63u) / 64u;
  for (var block = 0u; block < blocks; block++) {
    var s0 = vec4f();
    var s1 = vec4f();
    var s2 = vec4f();
    var s3 = vec4f();
    var s4 = vec4f();
    var s5 = vec4f();
    var s6 = vec4f();
    var s7 = vec4f();
    for (var quarter = 0u; quarter < 4u; quarter++) {
      let first = 64u * block + STEP * quarter;
      if first >= dims.depth {
        break;
      }
      for (var k = 0u; k < STEP; k++) {
        let a = (first + k) * leftPitch + row / 4u;
        let upper = left[a];
        let lower = left[a + 1u];
        let b = right[(first + k) * rightPitch + column4];
        s0 = fma(vec4f(upper.x), b, s0);
        s1 = fma(vec4f(upper.y), b, s1);
        s2 = fma(vec4f(upper.z), b, s2);
        s3 = fma(vec4f(upper.w), b, s3);
        s4 = fma(vec4f(lower.x), b, s4);
        s5 = fma(vec4f(lower.y), b, s5);
        s6 = fma(vec4f(lower.z), b, s6);
        s7 = fma(vec4f(lower.w), b, s7);
      }
    }
    t0 += s0;
    t1 += s1;
    t2 += s2;
    t3 += s3;
    t4 += s4;
    t5 += s5;
    t6 += s6;
    t7 += s7;
  }
  // One call in a loop: eight copies of an epilogue with φ in it would take seconds to compile.
  var sums = array<vec4f, 8>(t0, t1, t2, t3, t4, t5, t6, t7);
  for (var i = 0u; i < 8u; i++) {
    finish(row + i, column4, sums[i]);
  }
}
