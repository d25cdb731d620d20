// with fragments/load.wgsl, fragments/textures.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/handed.wgsl, fragments/store.wgsl
// productTextures — productBroadcast with operands in textures: Mesa loads a texel at once, a buffer's values one by one.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in textures.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 4 · SUBGROUP × 4 · LANES values, tiles over x and y, slabs over z; one lane 4 columns of it
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k = 1 + min(depth, 64) + min(⌈depth / 64⌉, 16) +
//       ⌈depth / 1024⌉: the product, blocks of 64, slabs of 16 blocks, slabs; an order that no tile and no class changes
// cost  2 · rows · columns · depth flops; 16 · (SUBGROUP + LANES) bytes loaded for 32 · SUBGROUP · LANES flops
enable subgroups;
diagnostic(off, subgroup_uniformity);

override LANES: u32 = 8u; // a multiple of 8

@compute @workgroup_size(LANES)
fn productTextures(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let place = tileAt(tile, 4u * SUBGROUP, 4u * LANES);
  let column4 = place.y / 4u + local.x;
  let row4 = place.x / 4u + lane % SUBGROUP;
  var u = Rows();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t = Rows();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      let leftAt = blockAt(row4, block);
      let rightAt = blockAt(column4, block);
      var s = Rows();
      for (var part = 0u; part < 32u; part++) {
        if 64u * block + 2u * part >= dims.depth {
          break;
        }
        let by = vec2u(2u * PANEL4 * (part % 2u), part / 2u);
        let next = vec2u(PANEL4, 0u);
        let a0 = textureLoad(left, leftAt.xy + by, leftAt.z);
        let a1 = textureLoad(left, leftAt.xy + by + next, leftAt.z);
        let b0 = textureLoad(right, rightAt.xy + by, rightAt.z);
        let b1 = textureLoad(right, rightAt.xy + by + next, rightAt.z);
        addHanded(&s, a0, b0);
        addHanded(&s, a1, b1);
      }
      addRows(&t, s);
    }
    addRows(&u, t);
  }
  var sums = array<Quad, 8>(u.q0, u.q1, u.q2, u.q3, u.q4, u.q5, u.q6, u.q7);
  begin(column4);
  for (var q = 0u; q < SUBGROUP; q++) {
    handQuad(group.z, place.x + 4u * q, column4, sums[q]);
  }
}
