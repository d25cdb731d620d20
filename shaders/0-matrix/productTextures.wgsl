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
  let place = tileAt(grouped(tile, 4u * SUBGROUP, 4u * LANES), 4u * SUBGROUP, 4u * LANES);
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
      for (var part = 0u; part < 16u; part++) {
        if 64u * block + 4u * part >= dims.depth {
          break;
        }
        let a = fourAt(left, leftAt + vec3u(0u, part, 0u));
        let b = fourAt(right, rightAt + vec3u(0u, part, 0u));
        addFour(&s.q0, 0u, a, b);
        addFour(&s.q1, 1u, a, b);
        addFour(&s.q2, 2u, a, b);
        addFour(&s.q3, 3u, a, b);
        addFour(&s.q4, 4u, a, b);
        addFour(&s.q5, 5u, a, b);
        addFour(&s.q6, 6u, a, b);
        addFour(&s.q7, 7u, a, b);
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

// s[i, j] += Σ_k a[k][i] of that lane · b[k][j]        k < 4, i < 4, j < 4
//
// Row by row, so that Mesa loads and stores a sum once for four products; it shuffles at a third of a broadcast's cost.
fn addFour(s: ptr<function, Quad>, lane: u32, a: mat4x4f, b: mat4x4f) {
  (*s).r0 = addRow((*s).r0, lane, vec4f(a[0].x, a[1].x, a[2].x, a[3].x), b);
  (*s).r1 = addRow((*s).r1, lane, vec4f(a[0].y, a[1].y, a[2].y, a[3].y), b);
  (*s).r2 = addRow((*s).r2, lane, vec4f(a[0].z, a[1].z, a[2].z, a[3].z), b);
  (*s).r3 = addRow((*s).r3, lane, vec4f(a[0].w, a[1].w, a[2].w, a[3].w), b);
}

fn addRow(s: vec4f, lane: u32, a: vec4f, b: mat4x4f) -> vec4f {
  let two = fma(vec4f(subgroupShuffle(a.y, lane)), b[1], fma(vec4f(subgroupShuffle(a.x, lane)), b[0], s));
  return fma(vec4f(subgroupShuffle(a.w, lane)), b[3], fma(vec4f(subgroupShuffle(a.z, lane)), b[2], two));
}
