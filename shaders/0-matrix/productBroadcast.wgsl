// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/handed.wgsl, fragments/store.wgsl
// productBroadcast — the matrix product without barriers: each lane loads four rows, and lanes swap them.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in buffers.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 4 · SUBGROUP × 4 · LANES values, tiles over x and y, slabs over z; one lane 4 columns of it
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k = 1 + min(depth, 64) + min(⌈depth / 64⌉, 16) +
//       ⌈depth / 1024⌉: the product, blocks of 64, slabs of 16 blocks, slabs; an order that no tile and no class changes
// cost  2 · rows · columns · depth flops; 16 · (SUBGROUP + LANES) bytes loaded for 32 · SUBGROUP · LANES flops
enable subgroups;
diagnostic(off, subgroup_uniformity);

override LANES: u32 = 16u; // a multiple of SUBGROUP

@compute @workgroup_size(LANES)
fn productBroadcast(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let leftPitch = pitch4(dims.leftColumns);
  let rightPitch = pitch4(dims.rightColumns);
  let place = tileAt(tile, 4u * SUBGROUP, 4u * LANES);
  let column4 = place.y / 4u + local.x;
  let leftAt = (dims.rowOrigin + place.x) / 4u + lane % SUBGROUP;
  let rightAt = dims.columnOrigin / 4u + column4;
  var u = Rows();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t = Rows();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      var s = Rows();
      // As many values at a step as an instruction cache has room for, in the order that SwiftShader and Mesa do best.
      for (var part = 0u; part < 4u * SUBGROUP; part++) {
        let k = 64u * block + 16u / SUBGROUP * part;
        if k >= dims.depth {
          break;
        }
        if SUBGROUP == 4u {
          addHanded(&s, left[k * leftPitch + leftAt], right[k * rightPitch + rightAt]);
          addHanded(&s, left[(k + 1u) * leftPitch + leftAt], right[(k + 1u) * rightPitch + rightAt]);
          addHanded(&s, left[(k + 2u) * leftPitch + leftAt], right[(k + 2u) * rightPitch + rightAt]);
          addHanded(&s, left[(k + 3u) * leftPitch + leftAt], right[(k + 3u) * rightPitch + rightAt]);
        } else {
          let a0 = left[k * leftPitch + leftAt];
          let a1 = left[(k + 1u) * leftPitch + leftAt];
          let b0 = right[k * rightPitch + rightAt];
          let b1 = right[(k + 1u) * rightPitch + rightAt];
          addHanded(&s, a0, b0);
          addHanded(&s, a1, b1);
        }
      }
      addRows(&t, s);
    }
    addRows(&u, t);
  }
  var sums = array<Quad, 8>(u.q0, u.q1, u.q2, u.q3, u.q4, u.q5, u.q6, u.q7);
  begin(column4);
  for (var q = 0u; q < SUBGROUP; q++) {
    handQuad(group.z, place.x + 4u * q, column4, sums[(lane ^ q) % SUBGROUP]);
  }
}
