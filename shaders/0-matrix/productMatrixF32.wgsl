// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/whole.wgsl, fragments/store.wgsl
// productMatrixF32 — the matrix product by subgroup matrices of f32, for adapters that have them.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//
// in    left, right [depth, …] and dims as in buffers.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 8 · M × 8 · N values, tiles over x and y, slabs over z; LANES lanes, at least four
//       subgroups, each of the first four 4 × 4 matrices; in their sums a lane owns two quads at most: 2 · M · N ≤ LANES
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k as in the other classes, if an adapter's matrices
//       add K products with no more than K roundings of u; WGSL promises nothing, so the search measures. The order
//       within a block of 64 is the adapter's: bits differ from the other classes
// cost  2 · rows · columns · depth flops; 32 · (M + N) bytes loaded, and loaded twice from workgroup memory, for
//       128 · M · N flops; the sums through workgroup memory once a block
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override LANES: u32 = 128u;
const M = 8u;
const N = 8u;
const K = 8u;

@compute @workgroup_size(LANES)
fn productMatrixF32(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let place = tileAt(tile, 8u * M, 8u * N);
  let row = subgroup / 2u * 4u * M;
  let column = subgroup % 2u * 4u * N;
  let second = local + LANES;
  var u0 = Quad();
  var u1 = Quad();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t0 = Quad();
    var t1 = Quad();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      let last = min(64u * block + 64u, padded(dims.depth));
      var s = array<Result, 16>();
      for (var start = 64u * block; start < last; start += STEP) {
        workgroupBarrier();
        fill(local, start, place);
        workgroupBarrier();
        if subgroup < 4u {
          for (var k = 0u; k < STEP; k += K) {
            let at = k * PITCH + row;
            let a0 = subgroupMatrixLoad<Left, col_major>(&staged, at, PITCH);
            let a1 = subgroupMatrixLoad<Left, col_major>(&staged, at + M, PITCH);
            let a2 = subgroupMatrixLoad<Left, col_major>(&staged, at + 2u * M, PITCH);
            let a3 = subgroupMatrixLoad<Left, col_major>(&staged, at + 3u * M, PITCH);
            for (var j = 0u; j < 4u; j++) {
              let across = k * PITCH + 8u * M + column + N * j;
              let b = subgroupMatrixLoad<Right, row_major>(&staged, across, PITCH);
              s[j] = subgroupMatrixMultiplyAccumulate(a0, b, s[j]);
              s[4u + j] = subgroupMatrixMultiplyAccumulate(a1, b, s[4u + j]);
              s[8u + j] = subgroupMatrixMultiplyAccumulate(a2, b, s[8u + j]);
              s[12u + j] = subgroupMatrixMultiplyAccumulate(a3, b, s[12u + j]);
            }
          }
        }
      }
      workgroupBarrier();
      if subgroup < 4u {
        for (var i = 0u; i < 16u; i++) {
          let at = (row + i / 4u * M) * 8u * N + column + i % 4u * N;
          subgroupMatrixStore<row_major>(&staged, at, s[i], 8u * N);
        }
      }
      workgroupBarrier();
      addQuad(&t0, quadAt(local));
      addQuad(&t1, quadAt(second));
    }
    addQuad(&u0, t0);
    addQuad(&u1, t1);
  }
  var own = array<Quad, 2>(u0, u1);
  for (var i = 0u; i < 2u; i++) {
    let quad = local + i * LANES;
    if quad < 4u * M * N {
      let column4 = place.y / 4u + quad % (2u * N);
      begin(column4);
      handQuad(group.z, place.x + 4u * (quad / (2u * N)), column4, own[i]);
    }
  }
}
