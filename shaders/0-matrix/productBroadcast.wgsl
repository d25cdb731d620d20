// with fragments/load.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/store.wgsl
// productBroadcast — the matrix product without barriers: each lane loads four rows of one k, and hands them to all lanes.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in operands.wgsl
// out   through `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 16 × 4 · LANES values, tiles over x and y, slabs over z; one lane 16 rows × 4 columns
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k = 1 + min(depth, 64) + min(⌈depth / 64⌉, 16) +
//       ⌈depth / 1024⌉: the product, blocks of 64, slabs of 16 blocks, slabs; an order that no tile and no class changes
// cost  2 · rows · columns · depth flops; 64 + 16 · LANES bytes loaded for 128 · LANES flops
//       SUBGROUP 4 or 8, lanes that every subgroup surely has; LANES a multiple of it
enable subgroups;

override LANES: u32 = 16u;
override SUBGROUP: u32 = 4u;

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
  let place = tileAt(tile, 16u, 4u * LANES);
  let column4 = place.y / 4u + local.x;
  let own = lane % SUBGROUP;
  let leftAt = (dims.rowOrigin + place.x) / 4u + own / 2u * leftPitch + own % 2u;
  let rightAt = dims.columnOrigin / 4u + column4;
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
      for (var part = 0u; part < 128u / SUBGROUP; part++) {
        let k = 64u * block + SUBGROUP / 2u * part;
        if k >= dims.depth {
          break;
        }
        let b = k * rightPitch + rightAt;
        let b0 = right[b];
        let b1 = right[b + rightPitch];
        var b2 = vec4f();
        var b3 = vec4f();
        if SUBGROUP > 4u {
          b2 = right[b + 2u * rightPitch];
          b3 = right[b + 3u * rightPitch];
        }
        let upper = left[k * leftPitch + leftAt];
        let lower = left[k * leftPitch + leftAt + 2u];
        addOuter(&s0, subgroupBroadcast(upper, 0u), b0);
        addOuter(&s0, subgroupBroadcast(upper, 2u), b1);
        if SUBGROUP > 4u {
          addOuter(&s0, subgroupBroadcast(upper, 4u), b2);
          addOuter(&s0, subgroupBroadcast(upper, 6u), b3);
        }
        addOuter(&s1, subgroupBroadcast(upper, 1u), b0);
        addOuter(&s1, subgroupBroadcast(upper, 3u), b1);
        if SUBGROUP > 4u {
          addOuter(&s1, subgroupBroadcast(upper, 5u), b2);
          addOuter(&s1, subgroupBroadcast(upper, 7u), b3);
        }
        addOuter(&s2, subgroupBroadcast(lower, 0u), b0);
        addOuter(&s2, subgroupBroadcast(lower, 2u), b1);
        if SUBGROUP > 4u {
          addOuter(&s2, subgroupBroadcast(lower, 4u), b2);
          addOuter(&s2, subgroupBroadcast(lower, 6u), b3);
        }
        addOuter(&s3, subgroupBroadcast(lower, 1u), b0);
        addOuter(&s3, subgroupBroadcast(lower, 3u), b1);
        if SUBGROUP > 4u {
          addOuter(&s3, subgroupBroadcast(lower, 5u), b2);
          addOuter(&s3, subgroupBroadcast(lower, 7u), b3);
        }
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
    handQuad(group.z, place.x + 4u * q, column4, sums[q]);
  }
}
