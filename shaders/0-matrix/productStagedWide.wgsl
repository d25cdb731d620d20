// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/store.wgsl
// productStagedWide — the matrix product staged in workgroup memory, 8 × 8 values a lane: for GPUs with many registers.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in buffers.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 64 × 128 values, tiles over x and y, slabs over z; 128 lanes, each 8 rows × 8 columns
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k = 1 + min(depth, 64) + min(⌈depth / 64⌉, 16) +
//       ⌈depth / 1024⌉: the product, blocks of 64, slabs of 16 blocks, slabs; an order that no tile and no class changes
// cost  2 · rows · columns · depth flops; 768 bytes loaded for 16384 flops, 16 words of workgroup memory for 64 fma
const STEP = 16u;

var<workgroup> leftPart: array<vec4f, 256>;
var<workgroup> rightPart: array<vec4f, 512>;

@compute @workgroup_size(128)
fn productStagedWide(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let leftPitch = pitch4(dims.leftColumns);
  let rightPitch = pitch4(dims.rightColumns);
  let place = tileAt(tile, 64u, 128u);
  let x = local % 16u;
  let y = local / 16u;
  let leftAt = (dims.rowOrigin + place.x) / 4u + x;
  let rightAt = (dims.columnOrigin + place.y) / 4u + x;
  var u0 = Quad();
  var u1 = Quad();
  var u2 = Quad();
  var u3 = Quad();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t0 = Quad();
    var t1 = Quad();
    var t2 = Quad();
    var t3 = Quad();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      var s0 = Quad();
      var s1 = Quad();
      var s2 = Quad();
      var s3 = Quad();
      for (var quarter = 0u; quarter < 4u; quarter++) {
        let first = 64u * block + STEP * quarter;
        if first >= dims.depth {
          break;
        }
        for (var half = 0u; half < 2u; half++) {
          let k = 8u * half + y;
          leftPart[16u * k + x] = left[(first + k) * leftPitch + leftAt];
          rightPart[32u * k + x] = right[(first + k) * rightPitch + rightAt];
          rightPart[32u * k + x + 16u] = right[(first + k) * rightPitch + rightAt + 16u];
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
          let upper = leftPart[16u * k + 2u * y];
          let lower = leftPart[16u * k + 2u * y + 1u];
          let near = rightPart[32u * k + x];
          let far = rightPart[32u * k + x + 16u];
          addOuter(&s0, upper, near);
          addOuter(&s1, lower, near);
          addOuter(&s2, upper, far);
          addOuter(&s3, lower, far);
        }
        workgroupBarrier();
      }
      addQuad(&t0, s0);
      addQuad(&t1, s1);
      addQuad(&t2, s2);
      addQuad(&t3, s3);
    }
    addQuad(&u0, t0);
    addQuad(&u1, t1);
    addQuad(&u2, t2);
    addQuad(&u3, t3);
  }
  var sums = array<Quad, 4>(u0, u1, u2, u3);
  for (var q = 0u; q < 4u; q++) {
    let column4 = place.y / 4u + x + 16u * (q / 2u);
    if q % 2u == 0u {
      begin(column4);
    }
    handQuad(group.z, place.x + 8u * y + 4u * (q % 2u), column4, sums[q]);
  }
}
