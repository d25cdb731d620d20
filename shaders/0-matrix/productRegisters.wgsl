// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/store.wgsl
// productRegisters — the matrix product in registers alone: nothing shared, no subgroups; runs wherever WebGPU does.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in buffers.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 8 × 4 · LANES values, tiles over x and y, slabs over z; one lane 8 rows × 4 columns
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k = 1 + min(depth, 64) + min(⌈depth / 64⌉, 16) +
//       ⌈depth / 1024⌉: the product, blocks of 64, slabs of 16 blocks, slabs; an order that no tile and no class changes
// cost  2 · rows · columns · depth flops; 32 + 16 · LANES bytes loaded for 64 · LANES flops
override LANES: u32 = 16u;
const STEP = 16u;

@compute @workgroup_size(LANES)
fn productRegisters(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let leftPitch = pitch4(dims.leftColumns);
  let rightPitch = pitch4(dims.rightColumns);
  let place = tileAt(tile, 8u, 4u * LANES);
  let column4 = place.y / 4u + local.x;
  let leftAt = (dims.rowOrigin + place.x) / 4u;
  let rightAt = dims.columnOrigin / 4u + column4;
  var u0 = Quad();
  var u1 = Quad();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t0 = Quad();
    var t1 = Quad();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      var s0 = Quad();
      var s1 = Quad();
      for (var quarter = 0u; quarter < 4u; quarter++) {
        let first = 64u * block + STEP * quarter;
        if first >= dims.depth {
          break;
        }
        for (var k = 0u; k < STEP; k++) {
          let a = (first + k) * leftPitch + leftAt;
          let upper = left[a];
          let lower = left[a + 1u];
          let b = right[(first + k) * rightPitch + rightAt];
          addOuter(&s0, upper, b);
          addOuter(&s1, lower, b);
        }
      }
      addQuad(&t0, s0);
      addQuad(&t1, s1);
    }
    addQuad(&u0, t0);
    addQuad(&u1, t1);
  }
  var sums = array<Quad, 2>(u0, u1);
  begin(column4);
  for (var q = 0u; q < 2u; q++) {
    handQuad(group.z, place.x + 4u * q, column4, sums[q]);
  }
}
